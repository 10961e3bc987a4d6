"""The facts about an evaluation: data, models, seeds, intensities."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mrcontrast.data.contrasts import title_of
from mrcontrast.data.manifest import Manifest
from mrcontrast.data.predictions import PredictionFiles
from mrcontrast.data.record import MANIFEST
from mrcontrast.errors import MrcontrastError
from mrcontrast.report.evaluation import Evaluation
from mrcontrast.report.sessions import Session, locate
from mrcontrast.runs.folder import RunFolder

HASH_LENGTH = 12
Facts = dict[str, str]


def data_facts(evaluation: Evaluation) -> Facts:
    """Return the scored data: number of subjects, data set, grid and units."""
    inputs, summary = evaluation.summary["inputs"], evaluation.summary
    subjects = {row.subject for row in evaluation.rows}
    counts = "1 subject" if len(subjects) == 1 else f"{len(subjects)} subjects"
    if len(evaluation.names) > len(subjects):
        counts += f", {len(evaluation.names)} sessions"
    if splits := inputs.get("splits"):
        counts += f" of the {' and '.join(splits)} split"
    intensity = summary["intensity_range"]
    low, high = (
        f"{end:g}" if isinstance(end, int | float) else str(end)
        for end in (intensity["low"], intensity["high"])
    )
    # Folders above the masks say who ran it and where.
    path, _, pattern = str(inputs["masks"]).partition(": ")
    return {
        "Scored": counts,
        **_manifest_facts(evaluation),
        "Intensity range": f"{low} to {high}",
        "At scoring": str(summary["normalisation"]),
        "Brain masks": ": ".join(filter(None, (Path(path).name or path, pattern))),
    }


def method_facts(sessions: Mapping[str, Session], methods: list[str]) -> dict[str, Facts]:
    """Return the model and sampling of each method, from the sidecars of its volumes."""
    return {method: _sidecar_facts(_sidecars(sessions, method)) for method in methods}


def _manifest_facts(evaluation: Evaluation) -> Facts:
    """Return the hashes and the grid of a prepared data set; of another folder its name."""
    references = evaluation.summary["inputs"]["references"]
    raw = evaluation.is_at_full_grid
    study = evaluation.folder.parent
    folder = study / "data" if raw else locate(Path(references), study)
    if not (folder / MANIFEST).is_file():
        return {"References": folder.name}
    manifest = Manifest.read(folder)
    record = manifest.records[0]
    shown = [*evaluation.sources, evaluation.target]
    named: dict[str, list[str]] = {}
    for contrast, fitted in record.normalisers.items():
        if contrast in shown or not evaluation.sources:
            named.setdefault(str(fitted["name"]), []).append(title_of(contrast))
    grid = f"{' × '.join(map(str, record.shape))} voxels of {record.spacing_mm:g} mm"
    return {
        "Data hash": manifest.data_hash[:HASH_LENGTH],
        "Split hash": manifest.split_hash[:HASH_LENGTH],
        "Sites": ", ".join(sorted({each.site for each in manifest.records})),
        "Grid": "the subjects' own" if raw else grid,
        "Normalised by": ", ".join(f"{by} ({', '.join(of)})" for by, of in named.items()),
    }


def _sidecars(sessions: Mapping[str, Session], method: str) -> list[dict[str, Any]]:
    """Read the sidecars of one method; predictions of another system have none."""
    found = []
    for session in sessions.values():
        path = session.case.predictions.get(method)
        sidecar = None if path is None else PredictionFiles(path).sidecar
        if sidecar is not None and sidecar.is_file():
            try:
                found.append(json.loads(sidecar.read_text(encoding="utf-8")))
            except ValueError as error:
                raise MrcontrastError(
                    f"Expected JSON, got: {error} ({sidecar}). Translate again."
                ) from error
    return found


def _sidecar_facts(sidecars: list[dict[str, Any]]) -> Facts:
    """Return what the sidecars of one method say; differing values stand side by side."""
    if not sidecars:
        return {"Made by": "no sidecar: another system"}

    def values(key: str) -> str:
        found = dict.fromkeys(sidecar.get(key) for sidecar in sidecars)
        return ", ".join("–" if value is None else str(value) for value in found)

    made = sorted({f"{by['Name']} {by['Version']}" for s in sidecars for by in s["GeneratedBy"]})
    seeds = {sidecar.get("Seed") for sidecar in sidecars}
    return {
        "Stage": values("Stage"),
        "Weights": ", ".join(sorted({str(s.get("WeightsSHA256"))[:HASH_LENGTH] for s in sidecars})),
        "Sampler": values("Sampler"),
        "Steps": values("Steps"),
        "Draws": values("Samples"),
        "Sampling seed": str(seeds.pop()) if len(seeds) == 1 else "one a subject, in its sidecar",
        "Made by": ", ".join(made),
        **_training_facts(sidecars[0]),
    }


def _training_facts(sidecar: dict[str, Any]) -> Facts:
    """Return seed, code and data of the training, if its run folder is still there."""
    provenance = RunFolder(sidecar["Model"]).provenance if sidecar.get("Model") else {}
    if provenance.get("weights_sha256") != sidecar.get("WeightsSHA256", ""):
        return {}
    return {
        "Training seed": str(provenance.get("seed")),
        "Trained on": f"data {str(provenance.get('data_hash'))[:HASH_LENGTH]}",
        "Code": str(provenance.get("git_sha") or "installed package")[:HASH_LENGTH],
        "torch": str(provenance.get("versions", {}).get("torch")),
    }
