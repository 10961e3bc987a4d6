"""Folders of a BIDS tree: which subjects and sessions there are, and which files they hold."""

import os
import re
from collections import defaultdict
from collections.abc import Collection, Sequence
from pathlib import Path

from mrcontrast.data.contrasts import MASK_ENDINGS
from mrcontrast.errors import MrcontrastError
from mrcontrast.preparation.pairs import visible
from mrcontrast.preparation.session import Dropped, natural

ARCHIVES = (".zip", ".tar", ".tgz", ".tar.gz", ".7z")
LABEL = r"(?:sub|ses)-[^\x00-\x1f\x7f]+"  # a line break or tab would break the tables
NO_LABEL = "Expected a label of letters and digits, got {!r} ({}). Rename it."
Visit = tuple[str, str | None]


def find_sessions(root: Path, operator: str) -> tuple[list[Visit], list[Dropped]]:
    """Return subjects and sessions with a folder, and rows for what only looks like a subject."""
    near = sorted(path for path in root.iterdir() if path.name.lower().startswith("sub-"))
    subjects = [path for path in near if path.name.startswith("sub-") and path.is_dir()]
    names = [path.name for path in subjects]
    sessions: list[Visit] = []
    dropped = []
    for path in near:
        if wrong := _not_a_subject(path, names):
            reason = f"Expected a folder sub-* for each subject, got {wrong} ({path}). Rename it."
            dropped.append(Dropped(path.name, None, operator, reason))
        elif path in subjects:
            labels = sorted(folder.name for folder in path.glob("ses-*") if folder.is_dir())
            wrong_labels = [label for label in labels if not re.fullmatch(LABEL, label)]
            reasons = [(label, NO_LABEL.format(label, path)) for label in wrong_labels]
            dropped += [Dropped(path.name, label, operator, text) for label, text in reasons]
            sessions += [(path.name, label) for label in labels if label not in wrong_labels]
            if not labels or (path / "anat").is_dir():
                sessions.append((path.name, None))
    return sessions, dropped


def visits_before(sessions: Sequence[Visit]) -> dict[Visit, Visit]:
    """Return the visit before each, in the order of their names, where numbers count.

    >>> visits_before([("sub-1", "ses-10"), ("sub-1", "ses-9"), ("sub-2", "ses-1")])
    {('sub-1', 'ses-10'): ('sub-1', 'ses-9')}
    """
    named = [visit for visit in sessions if visit[1] is not None]
    ordered = sorted(named, key=lambda visit: (visit[0], natural(str(visit[1]))))
    pairs = zip(ordered[1:], ordered, strict=False)
    return {later: former for later, former in pairs if later[0] == former[0]}


def _not_a_subject(path: Path, names: list[str]) -> str:
    """Return why something with a subject's name is none; "" for a subject and other files."""
    same = [n for n in names if n.lower() == path.name.lower() and n != path.name]
    if same:
        return f"{path.name} and {', '.join(same)}, which differ in letter case only"
    if path.is_dir() and path.name in names:
        wrong = f"a label that is empty or has control characters, {path.name!r}"
        return "" if re.fullmatch(LABEL, path.name) else wrong
    if path.is_dir():
        return f"{path.name}, in another letter case"
    if path.is_symlink():
        return "a broken link"
    return "an archive, which must be unpacked" if path.name.lower().endswith(ARCHIVES) else ""


def near_names(subjects: Collection[str]) -> list[tuple[str, ...]]:
    """Return the names of subjects that differ in leading zeros alone."""
    groups: dict[str, list[str]] = defaultdict(list)
    for name in sorted(set(subjects)):
        groups[name.removeprefix("sub-").lstrip("0")].append(name)
    return [tuple(names) for names in groups.values() if len(names) > 1]


def one_file(folder: Path, pattern: str) -> Path | None:
    """Return the one file like ``pattern``, or None; raise MrcontrastError for several."""
    found = visible(folder.glob(pattern))
    if len(found) > 1:
        raise MrcontrastError(
            f"Expected one file like {pattern}, got {len(found)} ({folder}). Remove the others."
        )
    return found[0] if found else None


def derived_mask(root: Path, image: Path, entities: str) -> Path | None:
    """Find the brain mask of an image in ``derivatives/masks``, with or without an anat folder."""
    folder = root / "derivatives" / "masks" / image.parent.parent.relative_to(root)
    ending = f"{MASK_ENDINGS['brain_mask']}.nii*"
    names = (f"{entities}_{ending}", f"{entities}_*_{ending}")
    paths = (one_file(where, name) for where in (folder, folder / "anat") for name in names)
    return next((path for path in paths if path is not None), None)


def files_below(folder: Path) -> list[str]:
    """Return the files of a session by their place in its folder; links are not followed."""
    found = []
    for place, _, names in os.walk(folder):
        seen = [Path(place) / name for name in names if not name.startswith(".")]
        found += [str(path.relative_to(folder)) for path in seen]
    return sorted(found)
