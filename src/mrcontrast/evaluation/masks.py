"""Brain and lesion masks of the sessions of an evaluation, and their sources."""

from pathlib import Path

from mrcontrast.errors import MrcontrastError
from mrcontrast.evaluation.pairing import (
    LESIONS,
    MASKS,
    TREE_LESIONS,
    TREE_MASKS,
    index_folder,
    listing,
    match,
)

DERIVED_MASKS = "non-zero voxels of each reference: largest component, holes filled"
MASKS_BESIDE = ": *_desc-brain_mask"


def find_masks(
    names: list[str], references: Path, masks: Path | None
) -> tuple[dict[str, Path], str]:
    """Return the mask of each session, and the source of all."""
    if masks is None:
        index = index_folder(references, TREE_MASKS)
        if not index:
            return {}, DERIVED_MASKS
    else:
        index = index_folder(masks, MASKS)
    found, _ = match(index, dict.fromkeys(names), masks or references)
    if absent := set(names) - set(found):
        raise MrcontrastError(
            f"Expected a brain mask of every subject, got none of {listing(absent)} "
            f"({masks or references}). Add them."
        )
    return found, str(masks or f"{references}{MASKS_BESIDE}")


def find_lesions(
    names: list[str], references: Path, folder: Path | None
) -> tuple[dict[str, Path], str | None]:
    """Return the lesion masks of the sessions that have one, and the source of all.

    Raises:
        MrcontrastError: The given folder has none of any session.
    """
    if folder is None:
        found = files_of(names, references, TREE_LESIONS)
        source = f"{references}: *_label-lesion_mask"
    else:
        found, source = files_of(names, folder, LESIONS), str(folder)
        if not found:
            raise MrcontrastError(
                f"Expected a lesion mask of some subject, got none of {listing(names)} ({folder}). "
                "Check the path, or leave --lesion-mask out."
            )
    return found, f"{source}, of {len(found)} of {len(names)} sessions" if found else None


def files_of(names: list[str], folder: Path, patterns: tuple[str, ...]) -> dict[str, Path]:
    """Return the files of one kind by session."""
    return match(index_folder(folder, patterns), dict.fromkeys(names), folder)[0]
