"""The facts about an evaluation: data, models, seeds, intensities."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mrcontrast.data.contrasts import title_of
from mrcontrast.data.manifest import Manifest
from mrcontrast.data.predictions import read_sidecar
from mrcontrast.data.record import MANIFEST
from mrcontrast.report.evaluation import Evaluation
from mrcontrast.report.sessions import Session, locate
from mrcontrast.runs.folder import RunFolder

HASH_LENGTH = 12
PROMPTS = {  # keys of sidecars, with their titles; only where one has them
    "Prompt": "Prompt",
    "NegativePrompt": "Negative prompt",
    "Guidance": "Guidance",
    "MissingSources": "Missing sources",
    "Controls": "Further ControlNets",
}
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
    """Return the sidecars of one method that are ours; other systems have none, or their own."""
    paths = [session.case.predictions.get(method) for session in sessions.values()]
    found = [read_sidecar(path) for path in paths if path is not None]
    return [facts for facts in found if _versions(facts)]


def _versions(facts: Mapping[str, Any]) -> set[str]:
    """Return the versions of this software that a sidecar names."""
    entries = facts.get("GeneratedBy")
    known = entries if isinstance(entries, list) else []
    ours = [e for e in known if isinstance(e, dict) and e.get("Name") == "mrcontrast"]
    return {str(each.get("Version")) for each in ours}


def _sidecar_facts(sidecars: list[dict[str, Any]]) -> Facts:
    """Return what the sidecars of one method say; differing values stand side by side."""
    if not sidecars:
        return {"Made by": "no sidecar: another system"}

    def values(key: str) -> str:
        found = dict.fromkeys(_text(sidecar.get(key)) for sidecar in sidecars)
        return ", ".join(found)

    def one(key: str) -> str:
        found = {_text(sidecar.get(key)) for sidecar in sidecars}
        return found.pop() if len(found) == 1 else "one a subject, in its sidecar"

    said = [key for key in PROMPTS if any(sidecar.get(key) for sidecar in sidecars)]
    versions = sorted(set().union(*map(_versions, sidecars)))
    return {
        "Stage": values("Stage"),
        "Weights": ", ".join(sorted({str(s.get("WeightsSHA256"))[:HASH_LENGTH] for s in sidecars})),
        "Sampler": values("Sampler"),
        "Steps": values("Steps"),
        "Draws": values("Samples"),
        **{PROMPTS[key]: one(key) for key in said},
        "Sampling seed": one("Seed"),
        "Made by": ", ".join(f"mrcontrast {version}" for version in versions),
        **_training_facts(sidecars[0]),
    }


def _text(value: Any) -> str:  # noqa: ANN401 - whatever JSON holds
    """Return a value of a sidecar as text: lists with commas, a further ControlNet as RUN:scale."""
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    if isinstance(value, dict):
        return f"{Path(str(value.get('Model'))).name}:{value.get('Scale')}"
    return "–" if value is None else str(value)


def _training_facts(sidecar: dict[str, Any]) -> Facts:
    """Return seed, code and data of the training, if its run folder is still there."""
    model = sidecar.get("Model")
    provenance = RunFolder(model).provenance if isinstance(model, str) and model else {}
    if provenance.get("weights_sha256") != sidecar.get("WeightsSHA256", ""):
        return {}
    return {
        "Training seed": str(provenance.get("seed")),
        "Trained on": f"data {str(provenance.get('data_hash'))[:HASH_LENGTH]}",
        "Code": str(provenance.get("git_sha") or "installed package")[:HASH_LENGTH],
        "torch": str(provenance.get("versions", {}).get("torch")),
    }
