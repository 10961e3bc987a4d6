"""Add the results of an evaluation to the MLflow record of a run."""

import json
from pathlib import Path

from omegaconf import OmegaConf

from mrcontrast.errors import MrcontrastError
from mrcontrast.runs.folder import RunFolder
from mrcontrast.tracking.outbox import OUTBOX, Outbox
from mrcontrast.tracking.records import address_of
from mrcontrast.tracking.store import absolute_uri, connect


def recorded_address(folder: RunFolder) -> tuple[str, str] | None:
    """Return store and run id of a run's MLflow record; None if there is none."""
    uri = OmegaConf.select(folder.config, "logger.tracking_uri")
    run_id = folder.provenance.get("mlflow_run_id")
    return None if uri is None or run_id is None else (absolute_uri(str(uri)), run_id)


def address_at(path: Path) -> tuple[str, str]:
    """Return store and run id of an outbox, from its first line or else its run folder."""
    if (address := address_of(path)) is not None:
        return absolute_uri(address[0]), address[1]
    folder = RunFolder(path.parent)
    if folder.config_path.is_file() and (address := recorded_address(folder)) is not None:
        return address
    raise MrcontrastError(
        f"Expected an outbox that says where to send, got one without ({path}). "
        "Remove it if the record is not wanted."
    )


def attach_evaluation(folder: RunFolder, method: str, evaluation: Path, report: Path) -> None:
    """Add a run's mean scores in the brain and the report to its record, if it has one."""
    if (address := recorded_address(folder)) is None:
        return
    uri, run_id = address
    outbox = Outbox(connect(uri), run_id, folder.path / OUTBOX, uri)
    summary = json.loads((evaluation / "summary.json").read_text(encoding="utf-8"))
    brain = summary["methods"].get(method, {}).get("brain", {})
    means = {f"test/{method}/{name}": row["mean"] for name, row in brain.items() if row}
    outbox.metrics({name: mean for name, mean in means.items() if mean is not None}, step=0)
    outbox.artifact(report, report.parent.name)
