"""The sessions of an evaluation: references with predictions and masks, and missing files."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mrcontrast.errors import MrcontrastError
from mrcontrast.evaluation.pairing import (
    LABELS,
    LESIONS,
    MASKS,
    TREE_LESIONS,
    TREE_MASKS,
    Case,
    index_folder,
    listing,
    match,
    prediction_patterns,
)
from mrcontrast.evaluation.real_images import find_doubts, index_references, refuse_doubtful

DERIVED_MASKS = "non-zero voxels of each reference: largest component, holes filled"
MASKS_BESIDE = ": *_desc-brain_mask"

Files = dict[str, Path]
Missing = dict[str, dict[str, list[str]]]  # method -> kind, such as "no_reference" -> sessions


@dataclass(frozen=True)
class Collection:
    """All sessions to score, with the sources of their masks for the summary."""

    cases: list[Case]
    mask_source: str
    missing: Missing
    lesion_source: str | None = None
    training: Mapping[str, Path] = field(default_factory=dict)  # images of training sessions
    doubts: Mapping[str, str] = field(default_factory=dict)  # why a reference is no real image

    @property
    def files(self) -> dict[str, dict[str, Any]]:
        """The files of each session, as text."""
        return {
            case.name: {
                "reference": str(case.reference),
                "mask": case.mask and str(case.mask),
                "lesion_mask": case.lesions and str(case.lesions),
                "labels": case.labels and str(case.labels),
                "predictions": {name: str(path) for name, path in case.predictions.items()},
            }
            for case in self.cases
        }


@dataclass(frozen=True)
class Rules:
    """Which sessions and references are taken."""

    allow_missing: bool = False  # leave out sessions without a counterpart
    any_reference: bool = False  # synthetic or after contrast agent
    shared: bool = True  # only sessions that all methods predict


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
        masks: Folder of brain masks; None for that of the references.
        lesion_masks: The same for lesions.
        rules: Which sessions and references are taken.

    Raises:
        MrcontrastError: A counterpart or a mask is missing, a file is ambiguous, a reference is no
            real image, or nothing is left.
    """
    rules = rules or Rules()
    known = every = _filled(index_references(references, target), references)
    found: dict[str, Files] = {}
    foreign: dict[str, list[str]] = {}
    for method, folder in predictions.items():
        index = _filled(index_folder(folder, prediction_patterns(target)), folder)
        found[method], foreign[method] = match(index, known, folder)
    used = {name for paths in found.values() for name in paths}
    if splits:
        used_splits = {splits.get(name) for name in used}
        known = {name: path for name, path in known.items() if splits.get(name) in used_splits}
    missing: Missing = {
        method: {"no_reference": sorted(foreign[method]), "no_prediction": sorted(lost)}
        for method, paths in found.items()
        if (lost := set(known) - set(paths)) or foreign[method]
    }
    if not used or (missing and not rules.allow_missing):
        raise _missing_fault(missing, predictions, references)
    if rules.shared:
        used = _shared(missing, found, predictions)
    names = sorted(used)
    chosen = {name: known[name] for name in names}
    doubts = find_doubts(chosen, references, target)
    if not rules.any_reference:
        refuse_doubtful(chosen, doubts, target)
    brains, mask_source = _find_masks(names, references, masks)
    lesions, lesion_source = _find_lesions(names, references, lesion_masks)
    labels = _files_of(names, references, LABELS) if splits else {}  # others number otherwise
    cases = []
    for name, reference in chosen.items():
        own = {method: paths[name] for method, paths in found.items() if name in paths}
        further = lesions.get(name), labels.get(name)
        cases.append(Case(name, reference, brains.get(name), own, *further))
    training = {name: path for name, path in every.items() if splits.get(name) == "train"}
    return Collection(cases, mask_source, missing, lesion_source, training, doubts)


def _filled(index: Files, folder: Path) -> Files:
    """Return the images of a folder; raise MrcontrastError if there is none."""
    if not index:
        raise MrcontrastError(f"Expected NIfTI images, got none ({folder}). Check the path.")
    return index


def _shared(
    missing: Missing, found: Mapping[str, Files], predictions: Mapping[str, Path]
) -> set[str]:
    """Return the sessions that all methods predict; add the others to the missing ones."""
    shared = set.intersection(*(set(paths) for paths in found.values()))
    if not shared:
        folders = ", ".join(f"{method}: {folder}" for method, folder in predictions.items())
        raise MrcontrastError(
            f"Expected a subject that all methods predict, got none ({folders}). "
            "Evaluate them apart, or name their files alike."
        )
    for method, paths in found.items():
        kinds = missing.pop(method, {})
        if more := sorted(set(paths) - shared):
            kinds["not_predicted_by_all"] = more
        if kinds:
            missing[method] = kinds  # in the order of the methods
    return shared


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


def _find_masks(names: list[str], references: Path, masks: Path | None) -> tuple[Files, str]:
    """Return the mask of each session, and the source of all; raise if one has none."""
    index = index_folder(masks or references, MASKS if masks else TREE_MASKS)
    if not masks and not index:
        return {}, DERIVED_MASKS
    found, _ = match(index, dict.fromkeys(names), masks or references)
    if absent := set(names) - set(found):
        raise MrcontrastError(
            f"Expected a brain mask of every subject, got none of {listing(absent)} "
            f"({masks or references}). Add them."
        )
    return found, str(masks or f"{references}{MASKS_BESIDE}")


def _find_lesions(
    names: list[str], references: Path, folder: Path | None
) -> tuple[Files, str | None]:
    """Return the lesion masks of the sessions that have one, and the source of all."""
    found = _files_of(names, folder or references, LESIONS if folder else TREE_LESIONS)
    if folder and not found:
        raise MrcontrastError(
            f"Expected a lesion mask of some subject, got none of {listing(names)} ({folder}). "
            "Check the path, or leave --lesion-mask out."
        )
    source = folder or f"{references}: *_label-lesion_mask"
    return found, f"{source}, of {len(found)} of {len(names)} sessions" if found else None


def _files_of(names: list[str], folder: Path, patterns: tuple[str, ...]) -> Files:
    """Return the files of one kind by session."""
    return match(index_folder(folder, patterns), dict.fromkeys(names), folder)[0]
