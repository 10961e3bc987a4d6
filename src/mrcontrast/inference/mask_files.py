"""Brain masks of volumes, found by their names."""

import os
import re
from pathlib import Path

from mrcontrast.data.predictions import BRAIN_MASK, ENDINGS, stem, without_contrast
from mrcontrast.errors import MrcontrastError, UsageError

NOT_A_BRAIN = r"_label-|lesion"


def mask_beside(source: Path) -> Path | None:
    """Return ``<entities>_desc-brain_mask.nii.gz`` in the folder of a volume, if there is one."""
    entities = without_contrast(stem(source))
    found = [source.with_name(f"{entities}{BRAIN_MASK}{ending}") for ending in ENDINGS]
    return next((path for path in found if os.path.lexists(path)), None)


def mask_in(folder: Path, source: Path) -> Path:
    """Return the brain mask in a folder that has the sub and ses entities of a volume."""
    if not folder.is_dir():
        raise UsageError(f"Expected a folder of masks for a folder, got {folder}.")
    found = [
        path
        for ending in ENDINGS
        for path in sorted(folder.rglob(f"*mask{ending}"))
        if session_of(path) == session_of(source) and not re.search(NOT_A_BRAIN, path.name)
    ]
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise MrcontrastError(
            f"Expected one brain mask, got {names} ({source.name} in {folder}). "
            "Name masks sub-X[_ses-Y]_desc-brain_mask.nii.gz."
        )
    return found[0]


def session_of(path: Path) -> tuple[str, ...]:
    """Return the sub and ses entities of a file name, else what stands before its first "_"."""
    entities = re.findall(r"(?:^|_)((?:sub|ses)-[^_.]+)", path.name)
    return tuple(entities) or (stem(path).split("_")[0],)
