"""Pairs in BIDS trees, found by a small indexer of our own."""

import csv
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mrcontrast.errors import MrcontrastError
from mrcontrast.preparation.pairs import FilePair, raw_folder
from mrcontrast.preparation.subject import Dropped, Entry


class BidsPairs:
    """Pairs in a BIDS tree: ``sub-*/[ses-*/]anat/*_FLAIR.nii[.gz]`` with the T1w beside it.

    Both must have the same entities; ``<entities>_desc-brain_mask`` and
    ``<entities>_label-lesion_mask`` are taken from the same folder, else the brain mask from
    ``derivatives/masks``. Sex and age come from ``participants.tsv``.

    Args:
        root: Folder of the data set.
        site: Name in the manifest; None takes the name of the folder.
        pattern: Narrows the FLAIR files, such as "*_acq-3d_FLAIR.nii*".

    Raises:
        UsageError: ``root`` is no folder.
    """

    def __init__(self, root: str, site: str | None = None, pattern: str = "*_FLAIR.nii*") -> None:
        self.root = raw_folder(root)
        self.site = site or self.root.name
        self.pattern = pattern

    @property
    def folders(self) -> list[str]:
        """The raw data set, which is never written to."""
        return [str(self.root)]

    def index(self) -> tuple[list[Entry], list[Dropped]]:
        """Find the pairs; a contrast without its partner and an ambiguous session are dropped."""
        participants = _participants(self.root / "participants.tsv")
        found: dict[tuple[str, str | None], list[Path]] = defaultdict(list)
        for flair in self._anatomical(self.pattern):
            found[_session_of(flair)].append(flair)
        entries, dropped = [], self._without_flair(set(found))
        for (subject, session), flairs in found.items():
            try:
                pair = self._pair(flairs, participants.get(subject, {}))
            except MrcontrastError as error:
                dropped.append(Dropped(subject, session, type(self).__name__, str(error)))
            else:
                entries.append(Entry(subject, session, self.site, str(pair.flair), pair))
        return entries, dropped

    def _anatomical(self, pattern: str) -> list[Path]:
        """List files of the anat folders, with and without sessions."""
        folders = ("sub-*/anat", "sub-*/ses-*/anat")
        return sorted(path for folder in folders for path in self.root.glob(f"{folder}/{pattern}"))

    def _without_flair(self, sessions: set[tuple[str, str | None]]) -> list[Dropped]:
        """Name the sessions that have a T1w and no FLAIR."""
        lonely = {_session_of(t1w): t1w for t1w in self._anatomical("*_T1w.nii*")}
        return [
            Dropped(
                *session,
                type(self).__name__,
                f"Expected a FLAIR beside the T1w, got none like {self.pattern} ({t1w}).",
            )
            for session, t1w in lonely.items()
            if session not in sessions
        ]

    def _pair(self, flairs: list[Path], tags: Mapping[str, Any]) -> FilePair:
        """Find the partners of the one FLAIR of a session."""
        if len(flairs) > 1:
            raise MrcontrastError(
                f"Expected one FLAIR a session, got {', '.join(path.name for path in flairs)} "
                f"({flairs[0].parent}). Narrow `pattern`."
            )
        flair = flairs[0]
        entities = flair.name.partition("_FLAIR.nii")[0]
        t1w = _one(flair.parent, f"{entities}_T1w.nii*")
        if t1w is None:
            raise MrcontrastError(
                f"Expected a T1w with the entities of the FLAIR, got none ({flair}). "
                f"Add {entities}_T1w.nii.gz."
            )
        brain = _one(flair.parent, f"{entities}_desc-brain_mask.nii*")
        lesions = _one(flair.parent, f"{entities}_label-lesion_mask.nii*")
        return FilePair(flair, t1w, brain or self._derived_mask(flair, entities), lesions, tags)

    def _derived_mask(self, flair: Path, entities: str) -> Path | None:
        """Look for the brain mask in ``derivatives/masks``, with or without an anat folder."""
        folder = self.root / "derivatives" / "masks" / flair.parent.parent.relative_to(self.root)
        names = (f"{entities}_desc-brain_mask.nii*", f"{entities}_*_desc-brain_mask.nii*")
        paths = (_one(where, name) for where in (folder, folder / "anat") for name in names)
        return next((path for path in paths if path is not None), None)


def _one(folder: Path, pattern: str) -> Path | None:
    """Return the one file like ``pattern``, or None."""
    found = sorted(folder.glob(pattern))
    if len(found) > 1:
        raise MrcontrastError(
            f"Expected one file like {pattern}, got {len(found)} ({folder}). Remove the others."
        )
    return found[0] if found else None


def _session_of(path: Path) -> tuple[str, str | None]:
    """Return subject and session of an anatomical file, from its folders."""
    above = path.parent.parent
    return (above.parent.name, above.name) if above.name.startswith("ses-") else (above.name, None)


def _participants(path: Path) -> dict[str, dict[str, Any]]:
    """Read age (years, float) and other columns of ``participants.tsv``, "n/a" left out."""
    if not path.is_file():
        return {}
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    return {row.get("participant_id", ""): _tags(row) for row in rows}


def _tags(row: Mapping[str, Any]) -> dict[str, Any]:
    """Keep the known values of a row; age as a number where it is one."""
    tags = {
        k: v for k, v in row.items() if k and k != "participant_id" and v not in (None, "", "n/a")
    }
    try:
        return tags | ({"age": float(tags["age"])} if "age" in tags else {})
    except ValueError:
        return tags
