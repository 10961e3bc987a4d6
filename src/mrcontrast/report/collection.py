"""The sessions of an evaluation: references with predictions and masks, and what is missing."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mrcontrast.errors import MrcontrastError
from mrcontrast.report.pairing import (
    MASKS,
    PREDICTIONS,
    REFERENCES,
    TREE_MASKS,
    Case,
    index_folder,
    listing,
    match,
)

Missing = dict[str, dict[str, list[str]]]


@dataclass(frozen=True)
class Collection:
    """All sessions to score.

    Attributes:
        cases: Sessions that at least one method predicts.
        mask_source: Where the brain masks come from, in words.
        missing: By method, the sessions under "no_prediction" and "no_reference"; empty if none.
    """

    cases: list[Case]
    mask_source: str
    missing: Missing


def collect(
    predictions: Mapping[str, Path],
    references: Path,
    masks: Path | None,
    allow_missing: bool,
    splits: Mapping[str, str],
) -> Collection:
    """Find the sessions to score, their masks, and who lacks a counterpart.

    Args:
        predictions: Folder by method.
        references: Folder of the real images.
        masks: Folder of brain masks; None looks beside the references.
        allow_missing: Go on without sessions that lack a counterpart.
        splits: Split by session where the references have splits, else empty; only sessions of
            the splits that hold a prediction are expected.

    Raises:
        MrcontrastError: A counterpart is missing and ``allow_missing`` is off, a file is
            ambiguous, only some sessions have a mask, or nothing is left.
    """
    known = index_folder(references, REFERENCES)
    found: dict[str, dict[str, Path]] = {}
    missing: Missing = {}
    for method, folder in predictions.items():
        found[method], foreign = match(index_folder(folder, PREDICTIONS), known, folder)
        missing[method] = {"no_reference": sorted(foreign)}
    used = {name for paths in found.values() for name in paths}
    if splits:
        used_splits = {splits.get(name) for name in used}
        known = {name: path for name, path in known.items() if splits.get(name) in used_splits}
    for method, paths in found.items():
        missing[method]["no_prediction"] = sorted(set(known) - set(paths))
    missing = {method: lists for method, lists in missing.items() if any(lists.values())}
    if not used or (missing and not allow_missing):
        raise _missing_fault(missing, predictions, references)
    mask_files, source = _find_masks(sorted(used), references, masks)
    cases = [
        Case(name, known[name], mask_files.get(name), _of_session(found, name))
        for name in sorted(used)
    ]
    return Collection(cases, source, missing)


def _of_session(found: Mapping[str, Mapping[str, Path]], name: str) -> dict[str, Path]:
    """Return the prediction of one session by method."""
    return {method: paths[name] for method, paths in found.items() if name in paths}


def _find_masks(
    names: list[str], references: Path, masks: Path | None
) -> tuple[dict[str, Path], str]:
    """Return the mask of each session, and in words where they come from."""
    if masks is None:
        index = index_folder(references, TREE_MASKS)
        if not index:
            return {}, "non-zero voxels of each reference: largest component, holes filled"
    else:
        index = index_folder(masks, MASKS)
    found, _ = match(index, dict.fromkeys(names), masks or references)
    if absent := set(names) - set(found):
        raise MrcontrastError(
            f"Expected a brain mask of every subject, got none of {listing(absent)} "
            f"({masks or references}). Add them."
        )
    return found, str(masks or f"{references}: *_desc-brain_mask")


def _missing_fault(
    missing: Missing, predictions: Mapping[str, Path], references: Path
) -> MrcontrastError:
    """Word the first lack; both folders are named, for either may be the wrong one."""
    if not missing:
        folders = ", ".join(map(str, (references, *predictions.values())))
        return MrcontrastError(f"Expected NIfTI images, got none ({folders}). Check the paths.")
    method, lists = next(iter(missing.items()))
    kind, other = (
        ("prediction", "reference") if lists["no_prediction"] else ("reference", "prediction")
    )
    return MrcontrastError(
        f"Expected a {kind} for each {other}, got none for {listing(lists[f'no_{kind}'])} "
        f"({method}: {predictions[method]} and {references}). Name files by their sub- entity or "
        "all alike, or pass --allow-missing to leave these out and list them."
    )
