"""``mrcontrast sync``: send to MLflow what waits since its server was away."""

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from mrcontrast.errors import MrcontrastError, UsageError, with_cause

if TYPE_CHECKING:
    from mrcontrast.tracking.outbox import Outbox


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of ``mrcontrast sync``."""
    parser.add_argument(
        "folder", type=Path, metavar="FOLDER", help="a run, or a folder with runs somewhere below"
    )
    parser.add_argument(
        "--to",
        action="append",
        default=[],
        metavar="URI",
        help="another address that records may go to, beside the one of MLFLOW_TRACKING_URI or of "
        "the outputs; can be repeated",
    )


def run(args: Namespace) -> int:
    """Run ``mrcontrast sync``: show where the records go, then send them.

    Returns:
        Exit code: 0, or 1 if records still wait somewhere.

    Raises:
        UsageError: There is no such folder.
    """
    from mrcontrast.tracking.outbox import OUTBOXES
    from mrcontrast.tracking.store import absolute_uri, default_uri

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


def checked_outbox(path: Path, allowed: Collection[str]) -> "Outbox":
    """Return an outbox after saying where it goes, and how many records and files it sends.

    Raises:
        MrcontrastError: It cannot be read, goes to an address that was not asked for, names files
            of other folders, or its store cannot be opened.
    """
    from mrcontrast.tracking import attachments
    from mrcontrast.tracking.outbox import Outbox
    from mrcontrast.tracking.records import is_below, read_records

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


def send(outbox: "Outbox") -> str:
    """Send what waits in an outbox, and return in one line why records still wait, if they do."""
    with outbox.lock(0.0) as ours:
        if not ours:
            return f"{outbox.path.parent}: a process is sending these records"
        sent = outbox.flush_alone()
    return "" if sent else f"{outbox.path.parent}: the server does not answer, records still wait"
