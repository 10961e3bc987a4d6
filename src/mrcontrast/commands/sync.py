"""``mrcontrast sync``: send records that wait for an MLflow server."""

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Collection
from pathlib import Path

from mrcontrast.errors import MrcontrastError, UsageError, with_cause
from mrcontrast.tracking import attachments
from mrcontrast.tracking.outbox import OUTBOXES, Outbox
from mrcontrast.tracking.records import is_below, read_records
from mrcontrast.tracking.store import absolute_uri, default_uri


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of ``mrcontrast sync``."""
    add, where = parser.add_argument, "a run, or a folder with runs somewhere below"
    add("folder", type=Path, metavar="FOLDER", help=where)
    other = "another allowed address, besides MLFLOW_TRACKING_URI or the outputs' database; "
    add("--to", action="append", default=[], metavar="URI", help=f"{other}can be repeated")


def run(args: Namespace) -> int:
    """Show the address of each outbox and send it; return 0, or 1 if records still wait."""
    if not args.folder.is_dir():
        raise UsageError(f"Expected a folder, got none ({args.folder}). Check the path.")
    allowed = {default_uri(), *map(absolute_uri, args.to)}
    troubles, ready = [], []
    for path in sorted(args.folder.rglob(OUTBOXES)):
        try:
            ready.append(checked_outbox(path, allowed))
        except MrcontrastError as error:
            troubles.append(with_cause(error))
    troubles += [trouble for outbox in ready if (trouble := send(outbox))]
    sys.stdout.writelines(f"{trouble}\n" for trouble in troubles)
    if not troubles:
        sys.stdout.write(f"Nothing waits below {args.folder}\n")
    return 1 if troubles else 0


def checked_outbox(path: Path, allowed: Collection[str]) -> Outbox:
    """Return an outbox, and print its address and the number of its records and files."""
    uri, run_id = attachments.address_at(path)
    waiting, _ = read_records(path)
    files = [record["artifact"] for record in waiting if "artifact" in record]
    sys.stdout.write(f"{path.parent}: {len(waiting)} records, {len(files)} files -> {uri}\n")
    if uri not in allowed:
        raise MrcontrastError(
            f"Expected records for {' or '.join(sorted(allowed))}, got some for {uri} ({path}). "
            f"Add --to {uri} if you know that address."
        )
    if outside := [name for name in files if not is_below(path.parent, name)]:
        raise MrcontrastError(
            f"Expected files below {path.parent}, got {outside[0]} ({path}). Remove that line."
        )
    return Outbox(attachments.connect(uri), run_id, path, uri)


def send(outbox: Outbox) -> str:
    """Send the records of an outbox, and return the reason if some still wait, in one line."""
    with outbox.lock(0.0) as ours:
        if not ours:
            return f"{outbox.path.parent}: a process is sending these records"
        sent = outbox.flush_alone()
    return "" if sent else f"{outbox.path.parent}: the server does not answer, records still wait"
