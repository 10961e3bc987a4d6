"""Silence messages of libraries; errors still pass."""

import logging
import warnings

import lightning.pytorch  # noqa: F401 - it sets its own levels when imported


def quieten(first_process: bool = True) -> None:
    """Keep Lightning's advice off the terminal, and what other processes say twice."""
    if not first_process:
        logging.getLogger("mrcontrast").setLevel(logging.WARNING)
    for name in ("lightning.pytorch", "lightning.fabric", "lightning"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for message in (
        ".*does not have many workers.*",
        ".*Checkpoint directory .* exists and is not empty.*",
        ".*number of training batches .* is smaller than the logging interval.*",
        ".*resuming from a checkpoint that ended before the epoch ended.*",
        ".*GPU available but not used.*",
        ".*isinstance.treespec, LeafSpec.. is deprecated.*",
        ".*module.s. in eval mode at the start of training.*",
    ):
        warnings.filterwarnings("ignore", message)
