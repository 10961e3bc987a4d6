"""What is learned of a run after its training: an evaluation and its report."""

import json
from pathlib import Path

from omegaconf import OmegaConf

from mrcontrast.errors import MrcontrastError
from mrcontrast.runs.folder import RunFolder
from mrcontrast.tracking.outbox import OUTBOX, Outbox
from mrcontrast.tracking.records import address_of
from mrcontrast.tracking.store import absolute_uri, connect


def outbox_of(folder: RunFolder) -> Outbox | None:
    """Return the way to a run's record in MLflow; None for a run that has none."""
    uri = OmegaConf.select(folder.config, "logger.tracking_uri")
    run_id = folder.provenance.get("mlflow_run_id")
    if uri is None or run_id is None:
        return None
    return Outbox(connect(uri), run_id, folder.path / OUTBOX, absolute_uri(uri))


def address_at(path: Path) -> tuple[str, str]:
    """Return where an outbox goes, as its first line or else its run folder says: address, run id.

    Raises:
        MrcontrastError: Neither says it.
    """
    if (address := address_of(path)) is not None:
        return absolute_uri(address[0]), address[1]
    folder = RunFolder(path.parent)
    if folder.config_path.is_file():
        uri = OmegaConf.select(folder.config, "logger.tracking_uri")
        run_id = folder.provenance.get("mlflow_run_id")
        if uri is not None and run_id is not None:
            return absolute_uri(str(uri)), run_id
    raise MrcontrastError(
        f"Expected an outbox that says where to send, got one without ({path}). "
        "Remove it if the record is not wanted."
    )


def attach_evaluation(folder: RunFolder, method: str, evaluation: Path, report: Path) -> None:
    """Add a run's held-out figures in the brain, and the report, to its record.

    Args:
        folder: Of the run.
        method: Its name in the evaluation.
        evaluation: Folder with ``summary.json``.
        report: The HTML page.
    """
    outbox = outbox_of(folder)
    if outbox is None:
        return
    summary = json.loads((evaluation / "summary.json").read_text(encoding="utf-8"))
    brain = summary["methods"].get(method, {}).get("brain", {})
    means = {f"test/{method}/{name}": row["mean"] for name, row in brain.items() if row}
    outbox.metrics({name: mean for name, mean in means.items() if mean is not None}, step=0)
    outbox.artifact(report, report.parent.name)
