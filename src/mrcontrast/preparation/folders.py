"""Sessions in plain folders, found by patterns."""

import os
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from mrcontrast.data.sidecars import Sidecars
from mrcontrast.errors import UsageError
from mrcontrast.preparation.pairs import FilePair, bids_labels, raw_folder, visible
from mrcontrast.preparation.scans import check_allow, refused_scan
from mrcontrast.preparation.session import Dropped, Entry, Remark
from mrcontrast.preparation.subject import DEFAULT, PAIR, check_contrasts

SUBJECT, SESSION, CONTRAST = "{subject}", "{session}", "{contrast}"
# Endings of images, converted or not, and of files that a mail program or a browser has renamed.
ENDINGS = (
    r"(?:\.nii(?:\.gz|\.zip|\.txt|\.bz2|\.zst)?|\.hdr|\.img|\.mha|\.mhd|\.mg[hz]|\.nrrd|\.nhdr|\.mnc"
    r"|\.dcm|\.ima|\.dicom|\.par|\.rec|\.gipl)(?:\.gz)?"
)
Name = tuple[str, str | None]


class FolderPairs:
    """Sessions in plain folders: patterns with ``{subject}`` in the place of the name.

    Args:
        root: Folder that the patterns start from; UsageError if there is none.
        patterns: Relative pattern by contrast, such as "flair/{subject}.nii.gz"; "default" for
            those without their own, with ``{contrast}`` in the place of the contrast.
            ``{session}``, letters and digits only, may follow the subject. "brain_mask" and
            "lesion_mask" are optional keys, but not their files.
        contrasts: Contrasts of each session, the reference first.
        optional: Contrasts that a session may lack.
        site: Name in the manifest; None takes the name of the folder.
        one_grid: Whether all contrasts must have the same voxels; False needs ``Register``.
        allow: Kinds of images to accept: "synthetic", "contrast_agent", "phase"; a pattern that
            names a kind accepts it too.
    """

    remarks: Sequence[Remark] = ()

    def __init__(
        self,
        root: str,
        patterns: Mapping[str, str],
        contrasts: Sequence[str] = PAIR,
        optional: Collection[str] = (),
        site: str | None = None,
        one_grid: bool = True,
        allow: Collection[str] = (),
    ) -> None:
        self.contrasts = check_contrasts(contrasts, optional)
        self.optional = optional
        self.allow = check_allow(allow)
        self.root = raw_folder(root)
        self.sidecars = Sidecars(self.root)
        self.site = site or self.root.name
        self.one_grid = one_grid
        self.patterns = {
            name: (patterns.get(name) or patterns.get(DEFAULT) or "").replace(CONTRAST, name)
            for name in self.contrasts
        }
        self.folders = [str(self.root)]
        self.wanted = f"{' and '.join(self.patterns.values())} in {self.root}"
        masks = {key: patterns.get(key) for key in ("brain_mask", "lesion_mask")}
        self.patterns |= {key: pattern for key, pattern in masks.items() if pattern}
        for key, pattern in self.patterns.items():
            if SUBJECT not in pattern or Path(pattern).is_absolute():
                raise UsageError(
                    f'Expected a relative pattern with {SUBJECT}, got "{pattern}" ({key}). '
                    f'Write it as "flair/{SUBJECT}.nii.gz".'
                )

    def index(self) -> tuple[list[Entry], list[Dropped]]:
        """Find sessions by any contrast; one that lacks a file or has another ending is dropped."""
        entries, dropped = [], []
        names: set[Name] = set()
        exact = {key: self._named(key) for key in self.patterns}
        own = {path for found in exact.values() for path in found}
        for key in self.contrasts:
            names |= set(exact[key].values())
            near = self._named(key, any_ending=True)
            names |= {name for path, name in near.items() if path not in own}
        labels = Counter(bids_labels(*name) for name in names)
        for name in sorted(names, key=lambda name: (name[0], name[1] or "")):
            subject, session = bids_labels(*name)
            files = self._files(name)
            images = {key: files[key] for key in self.contrasts if key in files}
            refused = [
                refused_scan(path, self.sidecars, self.allow, self.patterns[key])
                for key, path in images.items()
            ]
            missing = [path for path in files.values() if not os.path.lexists(path)]
            if labels[subject, session] > 1:
                same = ", ".join(sorted(n[0] for n in names if bids_labels(*n)[0] == subject))
                reason = f"Expected names that differ in letters and digits, got {same}. Rename."
            elif missing:
                listed = ", ".join(map(str, missing)) + _instead(missing)
                reason = f"Expected a file for each pattern, got none at {listed}."
            elif any(refused):
                reason = next(filter(None, refused))
            else:
                masks = {key: path for key, path in files.items() if key not in images}
                tags = {"source_name": name[0]}
                pair = FilePair(images, **masks, tags=tags, one_grid=self.one_grid)
                entries.append(Entry(subject, session, self.site, str(pair.reference), pair))
                continue
            dropped.append(Dropped(subject, session, type(self).__name__, reason))
        return entries, dropped

    def _files(self, name: Name) -> dict[str, Path]:
        """Return the file of each pattern for one name, without optional ones that are missing."""
        subject, session = name
        found = {
            key: self.root / pattern.replace(SUBJECT, subject).replace(SESSION, session or "")
            for key, pattern in self.patterns.items()
        }
        return {
            key: path
            for key, path in found.items()
            if key not in self.optional or os.path.lexists(path)
        }

    def _named(self, key: str, any_ending: bool = False) -> dict[Path, Name]:
        """Return the files of one pattern with the names in them, on request of any ending."""
        pattern = self.patterns[key]
        stem = _stem(pattern) if any_ending else pattern
        expression = re.escape(stem).replace(r"\*", "[^/]*")
        for name, allowed in (("subject", r"(?!\.)[^/]+?"), ("session", "[A-Za-z0-9]+")):
            place = re.escape(f"{{{name}}}")
            expression = expression.replace(place, f"(?P<{name}>{allowed})", 1)
            expression = expression.replace(place, f"(?P={name})")
        expression += f"(?i:{ENDINGS})" if any_ending else ""
        wanted = f"{stem}.*" if any_ending else pattern
        found = {}
        for path in visible(self.root.glob(wanted.replace(SUBJECT, "*").replace(SESSION, "*"))):
            match = re.fullmatch(expression, path.relative_to(self.root).as_posix())
            if match:
                found[path] = (match["subject"], match.groupdict().get("session"))
        return found


def _stem(name: str) -> str:
    """Return a name without the ending of an image; the dots of an id stay.

    >>> _stem("1.2.840.1.nii.gz"), _stem("{subject}.mha"), _stem("a.b")
    ('1.2.840.1', '{subject}', 'a.b')
    """
    return re.sub(f"(?i:{ENDINGS})$", "", name)


def _instead(missing: list[Path]) -> str:
    """Name files that have the stem of a missing one and another ending."""
    found = []
    for path in missing:
        near = visible(path.parent.iterdir()) if path.parent.is_dir() else ()
        found += [other.name for other in near if _stem(other.name) == _stem(path.name)]
    return f", but {', '.join(sorted(found))}" if found else ""
