"""Our own log lines, on the standard output."""

import logging
import sys


def show_progress() -> None:
    """Write our own log lines to the standard output, as they are."""
    log = logging.getLogger("mrcontrast")
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("%(message)s"))
    log.handlers = [handler]
    log.setLevel(logging.INFO)
    log.propagate = False
