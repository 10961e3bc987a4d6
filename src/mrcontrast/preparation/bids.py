"""Pairs in BIDS trees.

The index is our own: ancpbids 0.4.10, bids2table 2.3.1 and pybids 0.22.0 all fall short of a reason
for each session that gives no pair. On a tree with one fault at a time, ancpbids and bids2table
return a file of sub-01 in the folder of sub-05 as one of sub-01 without a word, follow a link to
the tree itself (41-fold copies; no end with several), and take no notice of folders that differ in
letter case; bids2table and pybids leave out names that are not UTF-8 in silence. pybids refuses a
tree without ``dataset_description.json``, fails for all when one sidecar is no JSON, and hangs on a
pipe; ancpbids fails when the description is a list. None reads ``.bidsignore`` or names archives.
For 2,000 subjects and 40,000 derivatives, on a busy machine, they took 20 s, 58 s and 214 s. They
bring 4 MB, 170 MB (pyarrow) and 120 MB (SQLAlchemy, pandas).
"""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from mrcontrast.data.image_kinds import not_scanned
from mrcontrast.data.sidecars import Sidecars
from mrcontrast.errors import MrcontrastError
from mrcontrast.preparation.bids_folders import (
    Session,
    derived_mask,
    files_below,
    find_sessions,
    near_names,
    one_file,
)
from mrcontrast.preparation.pairs import FilePair, raw_folder, visible
from mrcontrast.preparation.scans import (
    Choice,
    Scan,
    asks_for,
    check_allow,
    choose_pairs,
    contradiction,
    refusal,
    scan_of,
)
from mrcontrast.preparation.sidecars import read_people, tags_of_scan
from mrcontrast.preparation.subject import Dropped, Entry, Remark

MOST_NAMES = 6  # of files that a message lists
MISPLACED = "in its folder"


class BidsPairs:
    """Pairs in a BIDS tree: ``sub-*/[ses-*/]anat/*_FLAIR.nii[.gz]`` and a T1w of the same session.

    Which T1w: see ``scans.choose_pairs``; a choice that the names do not force is a remark. Runs
    that both contrasts have give a pair each, with the run in the session's label.
    ``<entities>_desc-brain_mask`` and ``<entities>_label-lesion_mask`` of the FLAIR are taken from
    the same folder, else the brain mask from ``derivatives/masks``. Sex, age and site come from
    ``participants.tsv`` and ``sessions.tsv``, the scanner from sidecars. Each ``sub-*/[ses-*]``
    folder gives a pair or a reason.

    Args:
        root: Folder of the data set.
        site: Name in the manifest; None takes the column "site" of participants.tsv, else the name
            of the folder.
        pattern: Narrows the FLAIR files, such as "*_acq-3d_FLAIR.nii*".
        one_grid: Whether FLAIR and T1w must have the same voxels; False needs ``Register``.
        t1w_pattern: Narrows the T1w files.
        flair_entities: Entities that the FLAIR must have, such as ``{"acq": "3d"}``; None: any.
        t1w_entities: Entities that the T1w must have.
        allow: Images that are taken although they are "synthetic" or of a "contrast_agent"; a
            pattern or entity that names them allows them too.

    Raises:
        UsageError: ``root`` is no folder, or ``allow`` holds another word.
    """

    def __init__(
        self,
        root: str,
        site: str | None = None,
        pattern: str = "*_FLAIR.nii*",
        one_grid: bool = True,
        t1w_pattern: str = "*_T1w.nii*",
        flair_entities: Mapping[str, Any] | None = None,
        t1w_entities: Mapping[str, Any] | None = None,
        allow: Collection[str] = (),
    ) -> None:
        self.root = raw_folder(root)
        self.site = site
        self.patterns = (pattern, t1w_pattern)
        self.entities = tuple(
            {key: str(value) for key, value in (wanted or {}).items()}
            for wanted in (flair_entities, t1w_entities)
        )
        self.one_grid = one_grid
        self.allow = check_allow(allow)
        self.remarks: list[Remark] = []

    @property
    def folders(self) -> list[str]:
        """The raw data set, which is never written to."""
        return [str(self.root)]

    @property
    def wanted(self) -> str:
        """The files that make a pair, in words."""
        return f"sub-*/[ses-*/]anat/{self.patterns[0]} and {self.patterns[1]} in {self.root}"

    def index(self) -> tuple[list[Entry], list[Dropped]]:
        """Find the pairs; a session without a pair is dropped, with what lies there instead."""
        self.remarks = []
        if "flair" not in self.patterns[0].lower():
            text = f"images like {self.patterns[0]} are stored and used as FLAIR"
            self.remarks.append(self._remark(str(self.root), "pattern", text))
        people = self._people(self.root / "participants.tsv", "participant_id")
        sidecars = Sidecars(self.root)
        sessions, dropped = find_sessions(self.root, type(self).__name__)
        for names in near_names([subject for subject, _ in sessions]):
            text = f"{' and '.join(names)} differ in leading zeros alone. Give one person one id."
            self.remarks.append(self._remark(" ".join(names), "names", text))
        entries: list[Entry] = []
        for subject, session in sessions:
            person = people.get(subject.casefold(), {})
            try:
                entries += self._entries((subject, session), person, sidecars)
            except MrcontrastError as error:
                dropped.append(Dropped(subject, session, type(self).__name__, str(error)))
        return entries, dropped

    def _entries(self, here: Session, person: Mapping[str, Any], sidecars: Sidecars) -> list[Entry]:
        """Return the pairs of a session.

        Raises:
            MrcontrastError: There is none.
        """
        subject, session = here
        (flairs, no_flairs), (t1ws, no_t1ws) = (self._scans(here, i, sidecars) for i in (0, 1))
        if not flairs or not t1ws:
            reasons = [*([] if flairs else no_flairs), *([] if t1ws else no_t1ws)]
            raise self._without(here, flairs, t1ws, reasons)
        tags = {**person, **self._visit(subject, session)}
        site = self.site or str(person.get("site", self.root.name))
        entries = []
        for choice in choose_pairs(flairs, t1ws):
            label = f"{session or 'ses-'}run{choice.run}" if choice.run else session
            if not choice.sure:
                self.remarks.append(_remark(subject, label, choice, flairs, t1ws))
            pair = self._pair(choice, tags, sidecars)
            entries.append(Entry(subject, label, site, str(pair.flair), pair))
        misplaced = [text for text in (*no_flairs, *no_t1ws) if MISPLACED in text]
        place = "_".join(filter(None, here))
        self.remarks += [self._remark(place, "misplaced", text) for text in misplaced]
        return entries

    def _remark(self, item: str, measure: str, text: str) -> Remark:
        """Return what a person should look at."""
        return Remark(item, type(self).__name__, measure, 1.0, "0", text)

    def _scans(self, here: Session, side: int, sidecars: Sidecars) -> tuple[list[Scan], list[str]]:
        """Return the images of one contrast that may be used, and why others may not."""
        subject, session = here
        folder = self.root.joinpath(*filter(None, here), "anat")
        scans, refused = [], []
        for path in visible(folder.glob(self.patterns[side])):
            if wrong := contradiction(path, subject, session, self.root):
                names = " ".join(filter(None, here))
                refused.append(
                    f"Expected files of {names} {MISPLACED}, got {wrong} ({path}). Move it to the "
                    "folder of its name, or rename it."
                )
                continue
            scan = scan_of(path, subject)
            if not self.entities[side].items() <= scan.entities.items():
                continue
            kind = not_scanned(path.name, sidecars.known(path))
            if kind is None or self._allows(kind, side):
                scans.append(scan)
            else:
                refused.append(refusal(kind, path))
        return scans, refused

    def _allows(self, kind: str, side: int) -> bool:
        """Return whether the recipe asks for images of a kind."""
        asked = [f"{key}-{value}" for key, value in self.entities[side].items()]
        return kind in self.allow or asks_for(kind, " ".join((self.patterns[side], *asked)))

    def _without(
        self, here: Session, flairs: list[Scan], t1ws: list[Scan], refused: Sequence[str]
    ) -> MrcontrastError:
        """Word why a session has no pair, and name what lies there."""
        if refused:
            return MrcontrastError(refused[0])
        if flairs or t1ws:
            lacking, present = ("FLAIR", t1ws) if t1ws else ("T1w", flairs)
            pattern = self._asked(lacking == "T1w")
            got = f"none like {pattern} ({present[0].path})"
            return MrcontrastError(f"Expected a {lacking} in the same session, got {got}.")
        folder = self.root.joinpath(*filter(None, here))
        names = files_below(folder)
        listed = ", ".join(names[:MOST_NAMES]) + (", ..." if len(names) > MOST_NAMES else "")
        return MrcontrastError(
            f"Expected anat/{self._asked(0)} and anat/{self._asked(1)}, got {listed or 'no file'} "
            f"({folder}). Convert or rename the files."
        )

    def _asked(self, side: int) -> str:
        """Return the pattern of a contrast with its entities."""
        return self.patterns[side] + "".join(
            f" with {key}-{value}" for key, value in self.entities[side].items()
        )

    def _people(self, path: Path, key: str) -> dict[str, dict[str, Any]]:
        """Read a table of people or visits, by names in lower case; its faults become remarks."""
        people, faults = read_people(path, key)
        place = str(path.relative_to(self.root))
        self.remarks += [self._remark(place, "table", f"{place} {fault}") for fault in faults]
        return {name.casefold(): tags for name, tags in people.items()}

    def _visit(self, subject: str, session: str | None) -> dict[str, Any]:
        """Return the tags of one visit."""
        if session is None:
            return {}
        path = self.root / subject / f"{subject}_sessions.tsv"
        return self._people(path, "session_id").get(session.casefold(), {})

    def _pair(self, choice: Choice, tags: Mapping[str, Any], sidecars: Sidecars) -> FilePair:
        """Find the masks and tags of a pair."""
        flair, t1w = choice.flair.path, choice.t1w.path
        entities = choice.flair.stem
        brain = one_file(flair.parent, f"{entities}_desc-brain_mask.nii*")
        lesions = one_file(flair.parent, f"{entities}_label-lesion_mask.nii*")
        brain = brain or derived_mask(self.root, flair, entities)
        known = {"flair": sidecars.known(flair), "t1w": sidecars.known(t1w)}
        scans = tags_of_scan(known["flair"], "flair") | tags_of_scan(known["t1w"], "t1w")
        return FilePair(flair, t1w, brain, lesions, {**scans, **tags}, self.one_grid)


def _remark(
    subject: str, session: str | None, choice: Choice, flairs: list[Scan], t1ws: list[Scan]
) -> Remark:
    """Say which scans were taken where the names leave a choice."""
    taken = (choice.flair, choice.t1w)
    left = [scan.path.name for scan in (*flairs, *t1ws) if scan not in taken]
    others = f"; not taken: {', '.join(left[:MOST_NAMES])}" if left else ""
    name = "_".join(filter(None, (subject, session)))
    text = (
        f"{name}: {choice.t1w.path.name} is the T1w of {choice.flair.path.name}{others}. Choose "
        "with pattern, t1w_pattern, flair_entities or t1w_entities of the source."
    )
    return Remark(name, "BidsPairs", "scans_to_choose_from", len(flairs) + len(t1ws), "2", text)
