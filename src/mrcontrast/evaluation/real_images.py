"""Check references: real T1w images without contrast agent."""

from collections.abc import Mapping
from pathlib import Path

from mrcontrast.data.image_kinds import CONTRAST_AGENT, PHASE, SYNTHETIC, not_scanned
from mrcontrast.data.sidecars import Sidecars, data_set_of
from mrcontrast.errors import MrcontrastError
from mrcontrast.evaluation.pairing import REFERENCES, group_folder, only

WORDS = {
    SYNTHETIC: "synthetic",
    CONTRAST_AGENT: "taken after contrast agent",
    PHASE: "of phase or of one part of a complex image",
}


def index_references(folder: Path) -> dict[str, Path]:
    """Find the reference of each session; among several images the one without ``doubt``.

    Raises:
        MrcontrastError: There is no such folder, or a session has several such images.
    """
    index, sidecars = {}, Sidecars(data_set_of(folder))
    for name, paths in group_folder(folder, REFERENCES).items():
        real = (
            [path for path in paths if doubt(path, sidecars) is None] if len(paths) > 1 else paths
        )
        index[name] = only(real or paths, name, folder)
    return index


def find_doubts(references: Mapping[str, Path], folder: Path) -> dict[str, str]:
    """Return the ``doubt`` of each session that has one."""
    sidecars = Sidecars(data_set_of(folder))
    found = {name: doubt(path, sidecars) for name, path in references.items()}
    return {name: words for name, words in found.items() if words is not None}


def doubt(path: Path, sidecars: Sidecars) -> str | None:
    """Return why an image is no real T1w image without contrast agent, or None.

    >>> doubt(Path("sub-01_ce-gad_T1w.nii.gz"), Sidecars(Path()))
    'taken after contrast agent, by its name'
    """
    if (kind := not_scanned(path.name, {})) is not None:
        return f"{WORDS[kind]}, by its name"
    kind = not_scanned(path.name, sidecars.known(path))
    return None if kind is None else f"{WORDS[kind]}, by its sidecar"


def refuse_doubtful(references: Mapping[str, Path], doubts: Mapping[str, str]) -> None:
    """Refuse references that are no real T1w images.

    Args:
        references: By session.
        doubts: Why, of the sessions with ``doubt``.

    Raises:
        MrcontrastError: There are such; the first is named.
    """
    if doubts:
        name, words = next(iter(doubts.items()))
        more = f" and {len(doubts) - 1} more" if len(doubts) > 1 else ""
        raise MrcontrastError(
            f"Expected real T1w images without contrast agent as references, got one that is "
            f"{words} ({references[name]}{more}). Choose other --references, or pass "
            "--any-reference to take them as they are."
        )
