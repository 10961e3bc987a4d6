"""The volumes of a model's sources in a folder, by contrast and session."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from mrcontrast.data.contrasts import ending_of, pattern_of
from mrcontrast.data.predictions import ENDINGS, stem
from mrcontrast.errors import MrcontrastError
from mrcontrast.inference.mask_files import session_of

SYNTHETIC = "_desc-synth"


def volumes_of(folder: Path, contrast: str, out_dir: Path, optional: bool = False) -> list[Path]:
    """Return the volumes of one contrast in a folder, but for outputs.

    Raises:
        MrcontrastError: There is none, and it is not optional.
    """
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

    Args:
        first: Of the first contrast.
        found: All volumes of each contrast; those of the session are in the folder of ``first``,
            else anywhere, with its sub and ses entities.
        optional: Contrasts that the session may lack.
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
