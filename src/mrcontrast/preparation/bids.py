"""Pairs in BIDS trees, found by a small indexer of our own."""

import os
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mrcontrast.errors import MrcontrastError
from mrcontrast.preparation.pairs import FilePair, raw_folder, visible
from mrcontrast.preparation.sidecars import Sidecars, read_people
from mrcontrast.preparation.subject import Dropped, Entry

Session = tuple[str, str | None]
MOST_NAMES = 6  # of files that lie where a pair should be


class BidsPairs:
    """Pairs in a BIDS tree: ``sub-*/[ses-*/]anat/*_FLAIR.nii[.gz]`` with the T1w beside it.

    Both must have the same entities; ``<entities>_desc-brain_mask`` and
    ``<entities>_label-lesion_mask`` are taken from the same folder, else the brain mask from
    ``derivatives/masks``. Sex, age and site come from ``participants.tsv`` and ``sessions.tsv``,
    the scanner from sidecars. Each ``sub-*/[ses-*]`` folder gives a pair or a reason.

    Args:
        root: Folder of the data set.
        site: Name in the manifest; None takes the column "site" of participants.tsv, else the name
            of the folder.
        pattern: Narrows the FLAIR files, such as "*_acq-3d_FLAIR.nii*".
        one_grid: Whether FLAIR and T1w must have the same voxels; False needs ``Register``.

    Raises:
        UsageError: ``root`` is no folder.
    """

    def __init__(
        self,
        root: str,
        site: str | None = None,
        pattern: str = "*_FLAIR.nii*",
        one_grid: bool = True,
    ) -> None:
        self.root = raw_folder(root)
        self.site = site
        self.pattern = pattern
        self.one_grid = one_grid

    @property
    def folders(self) -> list[str]:
        """The raw data set, which is never written to."""
        return [str(self.root)]

    @property
    def wanted(self) -> str:
        """What is looked for, in words."""
        return f"sub-*/[ses-*/]anat/{self.pattern} with its _T1w in {self.root}"

    def index(self) -> tuple[list[Entry], list[Dropped]]:
        """Find the pairs; a session without a pair is dropped, with what lies there instead."""
        people = read_people(self.root / "participants.tsv", "participant_id")
        sidecars = Sidecars(self.root)
        flairs, t1ws = self._by_session(self.pattern), self._by_session("*_T1w.nii*")
        entries, dropped = [], []
        for subject, session in self._sessions():
            here = (subject, session)
            person = people.get(subject, {})
            try:
                if here not in flairs:
                    raise self._without_flair(here, t1ws.get(here, []))
                pair = self._pair(flairs[here], self._tags_of(here, person), sidecars)
            except MrcontrastError as error:
                dropped.append(Dropped(subject, session, type(self).__name__, str(error)))
            else:
                site = self.site or str(person.get("site", self.root.name))
                entries.append(Entry(subject, session, site, str(pair.flair), pair))
        return entries, dropped

    def _sessions(self) -> list[Session]:
        """Return all subjects and sessions that have a folder, with a pair in it or not."""
        found: list[Session] = []
        for subject in sorted(path for path in self.root.glob("sub-*") if path.is_dir()):
            sessions = sorted(path.name for path in subject.glob("ses-*") if path.is_dir())
            found += [(subject.name, session) for session in sessions]
            if not sessions or (subject / "anat").is_dir():
                found.append((subject.name, None))
        return found

    def _by_session(self, pattern: str) -> dict[Session, list[Path]]:
        """Return the anatomical files like ``pattern`` by session."""
        found: dict[Session, list[Path]] = defaultdict(list)
        for path in self._anatomical(pattern):
            found[_session_of(path)].append(path)
        return found

    def _without_flair(self, here: Session, t1ws: list[Path]) -> MrcontrastError:
        """Word why a session has no pair, and name what lies there."""
        if t1ws:
            got = f"none like {self.pattern} ({t1ws[0]})"
            return MrcontrastError(f"Expected a FLAIR beside the T1w, got {got}.")
        folder = self.root.joinpath(*filter(None, here))
        names = _files_below(folder)
        listed = ", ".join(names[:MOST_NAMES]) + (", ..." if len(names) > MOST_NAMES else "")
        return MrcontrastError(
            f"Expected anat/{self.pattern} and its _T1w, got {listed or 'no file'} ({folder}). "
            "Convert or rename the files."
        )

    def _tags_of(self, here: Session, person: Mapping[str, Any]) -> dict[str, Any]:
        """Return the tags of a person and of one visit."""
        subject, session = here
        visits = read_people(self.root / subject / f"{subject}_sessions.tsv", "session_id")
        return {**person, **visits.get(session or "", {})}

    def _anatomical(self, pattern: str) -> list[Path]:
        """List files of the anat folders, with and without sessions."""
        folders = ("sub-*/anat", "sub-*/ses-*/anat")
        return visible(path for folder in folders for path in self.root.glob(f"{folder}/{pattern}"))

    def _pair(self, flairs: list[Path], tags: Mapping[str, Any], sidecars: Sidecars) -> FilePair:
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
        brain = brain or self._derived_mask(flair, entities)
        scans = sidecars.tags(flair, "flair") | sidecars.tags(t1w, "t1w")
        return FilePair(flair, t1w, brain, lesions, {**scans, **tags}, self.one_grid)

    def _derived_mask(self, flair: Path, entities: str) -> Path | None:
        """Look for the brain mask in ``derivatives/masks``, with or without an anat folder."""
        folder = self.root / "derivatives" / "masks" / flair.parent.parent.relative_to(self.root)
        names = (f"{entities}_desc-brain_mask.nii*", f"{entities}_*_desc-brain_mask.nii*")
        paths = (_one(where, name) for where in (folder, folder / "anat") for name in names)
        return next((path for path in paths if path is not None), None)


def _one(folder: Path, pattern: str) -> Path | None:
    """Return the one file like ``pattern``, or None."""
    found = visible(folder.glob(pattern))
    if len(found) > 1:
        raise MrcontrastError(
            f"Expected one file like {pattern}, got {len(found)} ({folder}). Remove the others."
        )
    return found[0] if found else None


def _session_of(path: Path) -> tuple[str, str | None]:
    """Return subject and session of an anatomical file, from its folders."""
    above = path.parent.parent
    return (above.parent.name, above.name) if above.name.startswith("ses-") else (above.name, None)


def _files_below(folder: Path) -> list[str]:
    """Return the files of a session by their place in its folder; links are not followed."""
    found = []
    for place, _, names in os.walk(folder):
        seen = [Path(place) / name for name in names if not name.startswith(".")]
        found += [str(path.relative_to(folder)) for path in seen]
    return sorted(found)
