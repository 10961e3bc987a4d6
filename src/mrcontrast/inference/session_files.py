"""Files of a session, found by their names: volumes, brain masks, and what contrast they have."""

import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from mrcontrast.data.contrasts import (
    contrast_of_name,
    contrast_of_protocol,
    ending_of,
    pattern_of,
    title_of,
)
from mrcontrast.data.predictions import BRAIN_MASK, ENDINGS, read_sidecar, stem, without_contrast
from mrcontrast.errors import MrcontrastError, UsageError

DESCRIPTIONS = ("SeriesDescription", "ProtocolName")
NOT_A_BRAIN = r"_label-|lesion"
SYNTHETIC = "_desc-synth"


def volumes_of(folder: Path, contrast: str, out_dir: Path, optional: bool = False) -> list[Path]:
    """Return the volumes of one contrast in a folder, but for outputs."""
    out = out_dir.resolve()
    inside = folder.resolve() in out.parents
    found = [
        path
        for path in sorted(folder.rglob(pattern_of(contrast)))
        if path.name.endswith(ENDINGS)
        and SYNTHETIC not in path.name
        and not path.name.startswith(".")  # "._x" is a Mac's companion of x
        and not (inside and out in (path.parent.resolve() / path.name).parents)
    ]
    if not found and not optional:
        raise MrcontrastError(
            f"Expected files that end in _{ending_of(contrast)}.nii.gz, got none ({folder}). "
            "Rename or convert."
        )
    return found


def gathered(
    first: Path, found: Mapping[str, list[Path]], optional: Sequence[str] = ()
) -> tuple[dict[str, Path], str | None]:
    """Return the files of one session by contrast, and why they do not serve, if so.

    They are in the folder of ``first``, else anywhere, with its sub and ses entities. The session
    may lack an ``optional`` contrast.
    """
    (name, _), *others = found.items()
    files = {name: first}
    for other, paths in others:
        same = [path for path in paths if session_of(path) == session_of(first)]
        same = [path for path in same if path.parent == first.parent] or same
        if not same and other in optional:
            continue
        if len(same) != 1:
            listed = ", ".join(path.name for path in same) or "none"
            ending = ending_of(other)
            return files, f"Expected one _{ending} file with {first.name}, got {listed} ({first})."
        files[other] = same[0]
    return files, None


def names_of(sources: Sequence[Path], folder: Path) -> list[str]:
    """Return the file names without endings, with their paths below a folder where they repeat.

    >>> paths = [Path("in/a/x.nii"), Path("in/b/x.nii"), Path("in/b/y.nii")]
    >>> names_of(paths, Path("in"))
    ['a/x', 'b/x', 'y']
    """
    uses = Counter(stem(source) for source in sources)
    return [
        name if uses[name] == 1 else (source.relative_to(folder).parent / name).as_posix()
        for source in sources
        for name in [stem(source)]
    ]


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


def contrast_refusal(source: Path, contrast: str) -> str | None:
    """Return why a file does not serve as a model's source; None if nothing speaks against it.

    An autoencoder returns the contrast that it is given: another one would look like a translation.
    """
    facts, known = read_sidecar(source), (None, contrast)
    names = {"its name": contrast_of_name(stem(source))}
    for key in DESCRIPTIONS:
        if text := facts.get(key):
            said = contrast_of_protocol(text, facts.get("InversionTime"))
            names[f"{key} {text!r} of its sidecar"] = said
    others = (f"{title_of(name)} by {place}" for place, name in names.items() if name not in known)
    if (found := next(others, None)) is None:
        return None
    return (
        f"Expected {title_of(contrast)} for this model, got {source.name}, which is {found}. "
        "Name another model or file, or pass --any-contrast if that is wrong."
    )
