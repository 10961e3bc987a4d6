"""Sessions in BIDS trees; data_prep/README.md says why the index is our own."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from mrcontrast.data.contrasts import MASK_ENDINGS, ending_of, pattern_of, title_of
from mrcontrast.data.people import read_people
from mrcontrast.data.scan_tags import tags_of_scan
from mrcontrast.data.sidecars import Sidecars
from mrcontrast.errors import MrcontrastError
from mrcontrast.preparation.bids_folders import (
    Visit,
    derived_mask,
    files_below,
    find_sessions,
    near_names,
    one_file,
    visits_before,
)
from mrcontrast.preparation.pairs import FilePair, raw_folder, visible
from mrcontrast.preparation.scans import (
    Choice,
    Scan,
    check_allow,
    choose_scans,
    contradiction,
    refused_scan,
    scan_of,
)
from mrcontrast.preparation.session import Dropped, Entry, Remark
from mrcontrast.preparation.subject import PAIR, check_contrasts

MOST_NAMES = 6  # of files that a message lists
EARLIER = "earlier"  # value of the entity ses that means the visit before
MISPLACED = "in its folder"
Scans = dict[str, list[Scan]]


class BidsPairs:
    """Sessions of a BIDS tree: ``sub-*/[ses-*/]anat/*_<suffix>.nii[.gz]`` of each contrast.

    Which scans: see ``scans.choose_scans``; a choice that the names do not force is a remark. Each
    run that all contrasts have is a session. ``<entities>_desc-brain_mask`` and
    ``<entities>_label-lesion_mask`` of the reference are taken from its folder, else the brain mask
    from ``derivatives/masks``; tags from ``participants.tsv``, ``sessions.tsv`` and sidecars.

    Args:
        root: Folder of the data set; UsageError if there is none.
        contrasts: Contrasts of each session, the reference first.
        optional: Contrasts that a session may lack.
        site: Name in the manifest; None takes the column "site" of participants.tsv, else the name
            of the folder.
        patterns: Patterns by contrast in the place of ``*_<suffix>.nii*``.
        entities: Required entities by contrast, such as ``{"flair": {"acq": "3d"}}``; ``{"ses":
            "earlier"}`` takes the visit before, in the order of their names, where numbers count.
        one_grid: Whether all contrasts must have the same voxels; False needs ``Register``.
        allow: Kinds of images to accept: "synthetic", "contrast_agent", "phase"; a pattern or
            entity that names a kind accepts it too.
    """

    def __init__(
        self,
        root: str,
        contrasts: Sequence[str] = PAIR,
        optional: Collection[str] = (),
        site: str | None = None,
        patterns: Mapping[str, str] | None = None,
        entities: Mapping[str, Mapping[str, Any]] | None = None,
        one_grid: bool = True,
        allow: Collection[str] = (),
    ) -> None:
        self.root = raw_folder(root)
        self.contrasts = check_contrasts(contrasts, optional, patterns or {}, entities or {})
        self.optional = optional
        self.site = site
        self.patterns = {name: (patterns or {}).get(name) or pattern_of(name) for name in contrasts}
        self.entities = {
            name: {key: str(value) for key, value in ((entities or {}).get(name) or {}).items()}
            for name in contrasts
        }
        every = self.entities.items()
        self.earlier = [name for name, known in every if known.get("ses") == EARLIER]
        for name in self.earlier:
            del self.entities[name]["ses"]
        self.before: dict[Visit, Visit] = {}  # the visit before each other
        self.one_grid = one_grid
        self.allow = check_allow(allow)
        self.remarks: list[Remark] = []
        self.folders = [str(self.root)]
        self.wanted = f"sub-*/[ses-*/]anat/{' and '.join(self.patterns.values())} in {self.root}"

    def index(self) -> tuple[list[Entry], list[Dropped]]:
        """Find the sessions; one that lacks images is dropped, with the files that are there."""
        self.remarks = []
        for name, pattern in self.patterns.items():
            ending = ending_of(name).rpartition("_")[2].lower()
            if ending not in pattern.lower() and name not in self.earlier:
                text = f"images like {pattern} are stored and used as {title_of(name)}"
                self.remarks.append(self._remark(str(self.root), "pattern", text))
        people = self._people("participants.tsv", "participant_id")
        sidecars = Sidecars(self.root)
        sessions, dropped = find_sessions(self.root, type(self).__name__)
        self.before = visits_before(sessions)
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

    def _entries(self, here: Visit, person: Mapping[str, Any], sidecars: Sidecars) -> list[Entry]:
        """Return the choices of a session, or raise MrcontrastError if there is none."""
        subject, session = here
        scans, refused = Scans(), dict[str, list[str]]()
        for name in self.contrasts:
            scans[name], refused[name] = self._scans(here, name, sidecars)
        lacking = [name for name in self.contrasts if not scans[name]]
        if set(lacking) - set(self.optional):
            raise self._without(here, scans, [text for name in lacking for text in refused[name]])
        found = {name: scans[name] for name in self.contrasts if scans[name]}
        tags = dict(person)
        if session is not None:
            visits = self._people(f"{subject}/{subject}_sessions.tsv", "session_id")
            tags |= visits.get(session.casefold(), {})
        site = self.site or str(person.get("site", self.root.name))
        entries = []
        for choice in choose_scans(found):
            label = f"{session or 'ses-'}run{choice.run}" if choice.run else session
            if not choice.sure:
                self.remarks.append(_ambiguity(subject, label, choice, found))
            pair = self._pair(choice, tags, sidecars)
            entries.append(Entry(subject, label, site, str(pair.reference), pair))
        place = "_".join(filter(None, here))
        misplaced = [text for texts in refused.values() for text in texts if MISPLACED in text]
        self.remarks += [self._remark(place, "misplaced", text) for text in misplaced]
        return entries

    def _remark(self, item: str, measure: str, text: str) -> Remark:
        """Return a remark of this source."""
        return Remark(item, type(self).__name__, measure, 1.0, "0", text)

    def _scans(self, here: Visit, name: str, sidecars: Sidecars) -> tuple[list[Scan], list[str]]:
        """Return the usable images of one contrast, and the reasons against the others."""
        if name in self.earlier:
            if here not in self.before:
                visit = " ".join(filter(None, here))
                lack = f"Expected a visit before {visit} for {name}, got none ({self.root})."
                return [], [f"{lack} Name {name} in optional."]
            here = self.before[here]
        subject, session = here
        folder = self.root.joinpath(*filter(None, here), "anat")
        scans, refused = [], []
        for path in visible(folder.glob(self.patterns[name])):
            if wrong := contradiction(path, subject, session, self.root):
                names = " ".join(filter(None, here))
                refused.append(
                    f"Expected files of {names} {MISPLACED}, got {wrong} ({path}). Move it to the "
                    "folder of its name, or rename it."
                )
                continue
            scan = scan_of(path, subject)
            if not self.entities[name].items() <= scan.entities.items():
                continue
            if reason := refused_scan(path, sidecars, self.allow, self._asked(name)):
                refused.append(reason)
            else:
                scans.append(scan)
        return scans, refused

    def _without(self, here: Visit, scans: Scans, refused: Sequence[str]) -> MrcontrastError:
        """Word why a session lacks images, and list its files."""
        if refused:
            return MrcontrastError(refused[0])
        needed = [name for name in self.contrasts if name not in self.optional]
        if present := [found for name in needed for found in scans[name]]:
            lacking = next(name for name in needed if not scans[name])
            got = f"none like {self._asked(lacking)} ({present[0].path})"
            return MrcontrastError(
                f"Expected a {title_of(lacking)} in the same session, got {got}."
            )
        folder = self.root.joinpath(*filter(None, here))
        names = files_below(folder)
        listed = ", ".join(names[:MOST_NAMES]) + (", ..." if len(names) > MOST_NAMES else "")
        wanted = " and ".join(f"anat/{self._asked(name)}" for name in needed)
        return MrcontrastError(
            f"Expected {wanted}, got {listed or 'no file'} ({folder}). Convert or rename the files."
        )

    def _asked(self, name: str) -> str:
        """Return the pattern of a contrast with its entities."""
        return self.patterns[name] + "".join(
            f" with {key}-{value}" for key, value in self.entities[name].items()
        )

    def _people(self, place: str, key: str) -> dict[str, dict[str, Any]]:
        """Read a table of people or visits, by names in lower case; its faults become remarks."""
        people, faults = read_people(self.root / place, key)
        self.remarks += [self._remark(place, "table", f"{place} {fault}") for fault in faults]
        return {name.casefold(): tags for name, tags in people.items()}

    def _pair(self, choice: Choice, tags: Mapping[str, Any], sidecars: Sidecars) -> FilePair:
        """Find the masks and tags of a choice."""
        images = {name: scan.path for name, scan in choice.scans.items()}
        first = next(iter(choice.scans.values()))
        folder, start = first.path.parent, first.stem
        brain = one_file(folder, f"{start}_{MASK_ENDINGS['brain_mask']}.nii*")
        lesions = one_file(folder, f"{start}_{MASK_ENDINGS['lesion_mask']}.nii*")
        brain = brain or derived_mask(self.root, first.path, start)
        known: dict[str, Any] = {}
        for name, path in images.items():
            known |= tags_of_scan(sidecars.known(path), name)
        return FilePair(images, brain, lesions, {**known, **tags}, self.one_grid)


def _ambiguity(subject: str, session: str | None, choice: Choice, found: Scans) -> Remark:
    """Name the scans that were taken where the names leave a choice."""
    every = [scan for scans in found.values() for scan in scans]
    left = [scan.path.name for scan in every if scan not in choice.scans.values()]
    others = f"; not taken: {', '.join(left[:MOST_NAMES])}" if left else ""
    name = "_".join(filter(None, (subject, session)))
    (_, first), *rest = choice.scans.items()
    taken = " and ".join(f"{scan.path.name} is the {title_of(key)}" for key, scan in rest)
    taken = f"{taken} of {first.path.name}" if rest else f"{first.path.name} is taken"
    text = f"{name}: {taken}{others}. Choose with patterns or entities of the source."
    return Remark(name, "BidsPairs", "scans_to_choose_from", len(every), str(len(found)), text)
