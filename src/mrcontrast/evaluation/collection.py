"""The sessions of an evaluation: references with predictions and masks, and missing files."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mrcontrast.errors import MrcontrastError
from mrcontrast.evaluation.masks import files_of, find_lesions, find_masks
from mrcontrast.evaluation.pairing import (
    LABELS,
    Case,
    index_folder,
    listing,
    match,
    prediction_patterns,
)
from mrcontrast.evaluation.real_images import find_doubts, index_references, refuse_doubtful

NOT_BY_ALL = "not_predicted_by_all"

Missing = dict[str, dict[str, list[str]]]


@dataclass(frozen=True)
class Collection:
    """All sessions to score.

    Attributes:
        cases: Sessions that all methods predict.
        mask_source: Source of the brain masks, for the summary.
        missing: Method -> "no_prediction", "no_reference" or "not_predicted_by_all" -> sessions.
        lesion_source: Source of the lesion masks; None without any.
        training: Images of the training sessions on the grid of the references; empty if unknown.
        doubts: Session -> reason why its reference is no real image of the target.
    """

    cases: list[Case]
    mask_source: str
    missing: Missing
    lesion_source: str | None = None
    training: Mapping[str, Path] = field(default_factory=dict)
    doubts: Mapping[str, str] = field(default_factory=dict)

    @property
    def files(self) -> dict[str, dict[str, Any]]:
        """The files of each session, as text."""
        return {
            case.name: {
                "reference": str(case.reference),
                "mask": _text(case.mask),
                "lesion_mask": _text(case.lesions),
                "labels": _text(case.labels),
                "predictions": {name: str(path) for name, path in case.predictions.items()},
            }
            for case in self.cases
        }


@dataclass(frozen=True)
class Rules:
    """Which sessions and references are taken.

    Attributes:
        allow_missing: Leave out sessions without a counterpart.
        any_reference: Accept synthetic references and those taken after contrast agent.
        shared: Take only sessions that all methods predict; else those that any method predicts.
    """

    allow_missing: bool = False
    any_reference: bool = False
    shared: bool = True


def collect(
    predictions: Mapping[str, Path],
    references: Path,
    target: str,
    splits: Mapping[str, str],
    masks: Path | None = None,
    lesion_masks: Path | None = None,
    rules: Rules | None = None,
) -> Collection:
    """Find the sessions to score, their masks, and missing counterparts.

    Args:
        predictions: Folder by method.
        references: Folder of the real images.
        target: Contrast of both.
        splits: Split by session, or empty; only splits with a prediction are expected.
        masks: Folder of brain masks; None for the folder of the references.
        lesion_masks: Folder of lesion masks; None for the folder of the references.
        rules: Which sessions and references are taken.

    Raises:
        MrcontrastError: A counterpart or a mask is missing, a file is ambiguous, a reference is no
            real image, or nothing is left.
    """
    rules = rules or Rules()
    known = every = _filled(index_references(references, target), references)
    found: dict[str, dict[str, Path]] = {}
    foreign: dict[str, list[str]] = {}
    for method, folder in predictions.items():
        index = _filled(index_folder(folder, prediction_patterns(target)), folder)
        found[method], foreign[method] = match(index, known, folder)
    used = {name for paths in found.values() for name in paths}
    if splits:
        used_splits = {splits.get(name) for name in used}
        known = {name: path for name, path in known.items() if splits.get(name) in used_splits}
    missing = _lacks(found, foreign, known)
    if not used or (missing and not rules.allow_missing):
        raise _missing_fault(missing, predictions, references)
    if rules.shared:
        missing, used = _shared(missing, found, predictions)
    chosen = {name: known[name] for name in sorted(used)}
    doubts = find_doubts(chosen, references, target)
    if not rules.any_reference:
        refuse_doubtful(chosen, doubts, target)
    training = {name: path for name, path in every.items() if splits.get(name) == "train"}
    found_all = _cases(chosen, found, references, bool(splits), masks, lesion_masks)
    return replace(found_all, missing=missing, training=training, doubts=doubts)


def _filled(index: dict[str, Path], folder: Path) -> dict[str, Path]:
    """Return the images of a folder.

    Raises:
        MrcontrastError: There is none.
    """
    if not index:
        raise MrcontrastError(f"Expected NIfTI images, got none ({folder}). Check the path.")
    return index


def _lacks(
    found: Mapping[str, Mapping[str, Path]],
    foreign: Mapping[str, list[str]],
    known: Mapping[str, Path],
) -> Missing:
    """Return the sessions without a counterpart, by method."""
    lists = {
        method: {
            "no_reference": sorted(foreign[method]),
            "no_prediction": sorted(set(known) - set(paths)),
        }
        for method, paths in found.items()
    }
    return {method: kinds for method, kinds in lists.items() if any(kinds.values())}


def _shared(
    missing: Missing, found: Mapping[str, Mapping[str, Path]], predictions: Mapping[str, Path]
) -> tuple[Missing, set[str]]:
    """Return the missing sessions with those not predicted by all, and the shared sessions.

    Raises:
        MrcontrastError: There is none.
    """
    shared = set.intersection(*(set(paths) for paths in found.values()))
    if not shared:
        folders = ", ".join(f"{method}: {folder}" for method, folder in predictions.items())
        raise MrcontrastError(
            f"Expected a subject that all methods predict, got none ({folders}). "
            "Evaluate them apart, or name their files alike."
        )
    all_missing = {
        method: missing.get(method, {}) | ({NOT_BY_ALL: sorted(more)} if more else {})
        for method, paths in found.items()
        for more in [set(paths) - shared]
    }
    return {method: kinds for method, kinds in all_missing.items() if kinds}, shared


def _cases(
    chosen: Mapping[str, Path],
    predictions: Mapping[str, Mapping[str, Path]],
    references: Path,
    prepared: bool,
    masks: Path | None,
    lesion_masks: Path | None,
) -> Collection:
    """Gather the files of each session."""
    names = list(chosen)
    mask_files, source = find_masks(names, references, masks)
    lesion_files, lesion_source = find_lesions(names, references, lesion_masks)
    labels = files_of(names, references, LABELS) if prepared else {}  # others number otherwise
    cases = [
        Case(name, reference, mask_files.get(name), own, lesion_files.get(name), labels.get(name))
        for name, reference in chosen.items()
        for own in [{m: paths[name] for m, paths in predictions.items() if name in paths}]
    ]
    return Collection(cases, source, {}, lesion_source)


def _missing_fault(
    missing: Missing, predictions: Mapping[str, Path], references: Path
) -> MrcontrastError:
    """Return the error for the first missing counterpart; it names both folders."""
    method, lists = next(iter(missing.items()))
    kind, other = (
        ("prediction", "reference") if lists["no_prediction"] else ("reference", "prediction")
    )
    return MrcontrastError(
        f"Expected a {kind} for each {other}, got none for {listing(lists[f'no_{kind}'])} "
        f"({method}: {predictions[method]} and {references}). Name files by their sub- entity or "
        "all alike, or pass --allow-missing to leave these out and list them."
    )


def _text(path: Path | None) -> str | None:
    """Return a path as text for JSON."""
    return None if path is None else str(path)
