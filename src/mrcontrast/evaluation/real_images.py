"""Images that may stand as the truth: real ones, without contrast agent unless it is meant."""

from collections.abc import Mapping
from pathlib import Path

from mrcontrast.data.contrasts import TABLE, title_of
from mrcontrast.data.image_kinds import CONTRAST_AGENT, PHASE, SYNTHETIC, not_scanned
from mrcontrast.data.sidecars import Sidecars, data_set_of
from mrcontrast.errors import MrcontrastError
from mrcontrast.evaluation.pairing import IMAGE, group_folder, image_pattern, only

WORDS = {
    SYNTHETIC: "synthetic",
    CONTRAST_AGENT: "taken after contrast agent",
    PHASE: "of phase or of one part of a complex image",
}


def index_references(folder: Path, target: str) -> dict[str, Path]:
    """Find the reference of each session; of several images the one without ``doubt``.

    Raises:
        MrcontrastError: There is no such folder, or a session has several such images.
    """
    index, sidecars = {}, Sidecars(data_set_of(folder))
    for name, paths in group_folder(folder, (image_pattern(target), IMAGE)).items():
        several = paths if len(paths) > 1 else []
        real = [path for path in several if doubt(path, sidecars, target) is None]
        index[name] = only(real or paths, name, folder)
    return index


def find_doubts(references: Mapping[str, Path], folder: Path, target: str) -> dict[str, str]:
    """Return the ``doubt`` of each session that has one."""
    sidecars = Sidecars(data_set_of(folder))
    found = {name: doubt(path, sidecars, target) for name, path in references.items()}
    return {name: words for name, words in found.items() if words is not None}


def doubt(path: Path, sidecars: Sidecars, target: str) -> str | None:
    """Return why an image is no real image of a target; None if nothing speaks against it."""
    for facts, place in (({}, "name"), (sidecars.known(path), "sidecar")):
        kind = not_scanned(path.name, facts)
        if kind is not None and not (kind == CONTRAST_AGENT and with_agent(target)):
            return f"{WORDS[kind]}, by its {place}"
    return None


def with_agent(target: str) -> bool:
    """Return whether a contrast is one after contrast agent."""
    return target in TABLE and TABLE[target].entity.startswith("ce-")


def refuse_doubtful(references: Mapping[str, Path], doubts: Mapping[str, str], target: str) -> None:
    """Raise MrcontrastError for the first session with a ``doubt``, if there is one."""
    if doubts:
        name, words = next(iter(doubts.items()))
        more = f" and {len(doubts) - 1} more" if len(doubts) > 1 else ""
        raise MrcontrastError(
            f"Expected real {title_of(target)} images"
            f"{'' if with_agent(target) else ' without contrast agent'} as references, got one "
            f"that is {words} ({references[name]}{more}). Choose other --references, or pass "
            "--any-reference to take them as they are."
        )
