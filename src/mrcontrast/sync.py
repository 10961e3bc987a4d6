"""``mrcontrast sync``: send to MLflow what waits since its server was away."""

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from mrcontrast.errors import MrcontrastError, UsageError
from mrcontrast.run_folder import RunFolder


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of ``mrcontrast sync``."""
    parser.add_argument(
        "folder", type=Path, metavar="FOLDER", help="a run, or a folder with runs somewhere below"
    )


def run(args: Namespace) -> int:
    """Run ``mrcontrast sync``.

    Returns:
        Exit code: 0, or 1 if the server of a run does not answer still.

    Raises:
        UsageError: There is no such folder.
        MrcontrastError: A run that waits does not say where to send.
    """
    from mrcontrast.tracking.outbox import OUTBOX

    if not args.folder.is_dir():
        raise UsageError(f"Expected a folder, got none ({args.folder}). Check the path.")
    left = [path for path in sorted(args.folder.rglob(OUTBOX)) if not send(path)]
    for path in left:
        sys.stdout.write(f"{path.parent}: the server does not answer, records still wait\n")
    if not left:
        sys.stdout.write(f"Nothing waits below {args.folder}\n")
    return 1 if left else 0


def send(outbox: Path) -> bool:
    """Send what waits in a run folder, and return whether all went.

    Raises:
        MrcontrastError: The folder does not say where to.
    """
    from mrcontrast.tracking.attachments import outbox_of

    folder = RunFolder(outbox.parent)
    record = outbox_of(folder)
    if record is None:
        raise MrcontrastError(
            f"Expected a run that MLflow knows, got one without its id ({folder.path}). "
            f"Remove {outbox.name} if the record is not wanted."
        )
    return record.flush()
