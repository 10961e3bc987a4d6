"""``mrcontrast sync``: send to MLflow what waits since its server was away."""

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from mrcontrast.errors import MrcontrastError, UsageError, with_cause


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of ``mrcontrast sync``."""
    parser.add_argument(
        "folder", type=Path, metavar="FOLDER", help="a run, or a folder with runs somewhere below"
    )


def run(args: Namespace) -> int:
    """Run ``mrcontrast sync``.

    Returns:
        Exit code: 0, or 1 if records still wait somewhere.

    Raises:
        UsageError: There is no such folder.
    """
    from mrcontrast.tracking.outbox import OUTBOX

    if not args.folder.is_dir():
        raise UsageError(f"Expected a folder, got none ({args.folder}). Check the path.")
    troubles = [trouble for path in sorted(args.folder.rglob(OUTBOX)) if (trouble := send(path))]
    sys.stdout.writelines(f"{trouble}\n" for trouble in troubles)
    if not troubles:
        sys.stdout.write(f"Nothing waits below {args.folder}\n")
    return 1 if troubles else 0


def send(path: Path) -> str:
    """Send what waits in an outbox, and return in one line why records still wait, if they do."""
    from mrcontrast.tracking.attachments import outbox_at

    try:
        outbox = outbox_at(path)
    except MrcontrastError as error:
        return with_cause(error)
    with outbox.lock(0.0) as ours:
        if not ours:
            return f"{path.parent}: a process is at work there, which sends its records itself"
        sent = outbox.flush_alone()
    return "" if sent else f"{path.parent}: the server does not answer, records still wait"
