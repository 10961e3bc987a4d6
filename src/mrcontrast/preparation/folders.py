"""Pairs in plain folders, found by patterns."""

import re
from pathlib import Path

from mrcontrast.errors import UsageError
from mrcontrast.preparation.pairs import FilePair, raw_folder
from mrcontrast.preparation.subject import Dropped, Entry

NAME = "{subject}"


class FolderPairs:
    """Pairs in plain folders: patterns with ``{subject}`` in the place of the name.

    Args:
        root: Folder that the patterns start from.
        flair: Pattern such as "flair/{subject}.nii.gz" or "{subject}/{subject}_FLAIR.nii.gz".
        t1w: Pattern of the T1w.
        brain_mask: Pattern of the brain mask, or None; a missing file is a fault.
        lesion_mask: Pattern of the lesion mask, or None; a missing file is a fault.
        site: Name in the manifest; None takes the name of the folder.

    Raises:
        UsageError: ``root`` is no folder, or a pattern is absolute or without ``{subject}``.
    """

    def __init__(
        self,
        root: str,
        flair: str,
        t1w: str,
        brain_mask: str | None = None,
        lesion_mask: str | None = None,
        site: str | None = None,
    ) -> None:
        self.root = raw_folder(root)
        self.site = site or self.root.name
        given = {"flair": flair, "t1w": t1w, "brain_mask": brain_mask, "lesion_mask": lesion_mask}
        self.patterns = {key: pattern for key, pattern in given.items() if pattern}
        for key, pattern in self.patterns.items():
            if NAME not in pattern or Path(pattern).is_absolute():
                raise UsageError(
                    f'Expected a relative pattern with {NAME}, got "{pattern}" ({key}). '
                    f'Write it as "flair/{NAME}.nii.gz".'
                )

    @property
    def folders(self) -> list[str]:
        """The raw folder, which is never written to."""
        return [str(self.root)]

    def index(self) -> tuple[list[Entry], list[Dropped]]:
        """Find the pairs by FLAIR or T1w; what lacks a file is dropped."""
        entries, dropped = [], []
        for name in sorted(self._names("flair") | self._names("t1w")):
            subject = _label(name)
            files = {key: self.root / p.replace(NAME, name) for key, p in self.patterns.items()}
            if missing := [str(path) for path in files.values() if not path.is_file()]:
                reason = f"Expected a file for each pattern, got none at {', '.join(missing)}."
                dropped.append(Dropped(subject, None, type(self).__name__, reason))
            else:
                pair = FilePair(**files, tags={"source_name": name})
                entries.append(Entry(subject, None, self.site, str(pair.flair), pair))
        return entries, dropped

    def _names(self, key: str) -> set[str]:
        """Return what stands in the place of ``{subject}`` in the files of one pattern."""
        before, *others = map(re.escape, self.patterns[key].split(NAME))
        rest = "(?P=name)".join(others)
        expression = re.compile(f"{before}(?P<name>[^/]+?){rest}")
        paths = self.root.glob(self.patterns[key].replace(NAME, "*"))
        matches = (expression.fullmatch(p.relative_to(self.root).as_posix()) for p in paths)
        return {match["name"] for match in matches if match}


def _label(name: str) -> str:
    """Turn a name into a BIDS label, which has letters and digits only.

    >>> _label("patient_07"), _label("sub-07")
    ('sub-patient07', 'sub-07')
    """
    return "sub-" + "".join(c for c in name.removeprefix("sub-") if c.isalnum())
