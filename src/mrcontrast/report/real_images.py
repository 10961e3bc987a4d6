"""Which images may stand as the truth: real T1w images without contrast agent."""

import re
from collections.abc import Mapping
from pathlib import Path

from mrcontrast.data.predictions import read_sidecar
from mrcontrast.errors import MrcontrastError
from mrcontrast.report.pairing import REFERENCES, group_folder, only, stem_of

NAMES = {
    r"(^|_)desc-[a-z0-9]*synth": "synthetic, by its name",
    r"(^|_)ce-|(^|[_-])t1(ce|c|gd)w?$": "taken after contrast agent, by its name",
}
TRUE = (True, 1, "true", "yes", "1")
ABSENT = (None, "", "n/a", "none")


def index_references(folder: Path) -> dict[str, Path]:
    """Find the reference of each session; of several images the one without ``doubt``.

    Raises:
        MrcontrastError: There is no such folder, or a session has several such images.
    """
    index = {}
    for name, paths in group_folder(folder, REFERENCES).items():
        real = [path for path in paths if doubt(path) is None] if len(paths) > 1 else paths
        index[name] = only(real or paths, name, folder)
    return index


def doubt(path: Path) -> str | None:
    """Say why an image is no real T1w image without contrast agent; None if nothing says so.

    >>> doubt(Path("sub-01_ce-gad_T1w.nii.gz"))
    'taken after contrast agent, by its name'
    """
    name = stem_of(path).lower()
    for pattern, words in NAMES.items():
        if re.search(pattern, name):
            return words
    facts = read_sidecar(path)
    if _plain(facts.get("Synthetic")) in TRUE:
        return "synthetic, by its sidecar"
    if _plain(facts.get("ContrastBolusIngredient")) not in ABSENT:
        return "taken after contrast agent, by its sidecar"
    return None


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


def _plain(value: object) -> object:
    """Return text in lower case, anything else as it is; a list or mapping as its text."""
    return value if isinstance(value, bool | int | None) else str(value).strip().lower()
