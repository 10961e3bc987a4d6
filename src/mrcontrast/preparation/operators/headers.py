"""What the headers say, looked at before a voxel is read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mrcontrast.imaging.header import ERROR, WARNING, check_header
from mrcontrast.preparation.subject import RefusedError, Subject


@dataclass(frozen=True)
class CheckHeader:
    """Refuse files whose header is broken, before voxels are read; note what is suspicious.

    Measures ``flair_header`` and ``t1w_header``: the suspicious facts, in words; "" if none.

    Attributes:
        refuse: Suspicious facts that also drop a session, such as "qform_sform_mm", "units",
            "negative_spacing", "sheared", "offset_mm"; see ``mrcontrast.imaging.header``.
    """

    refuse: Sequence[str] = ()

    def inspect(self, files: Mapping[str, Path]) -> dict[str, Any]:
        """Return the measures of the files of a session, by "flair", "t1w" and masks.

        Raises:
            MrcontrastError: A file is missing or no NIfTI file.
            RefusedError: A header is broken, or says what ``refuse`` names.
        """
        measures = {}
        for name, path in files.items():
            findings = check_header(path)
            for finding in findings:
                listed = finding.severity == WARNING and finding.name in self.refuse
                if finding.severity == ERROR or listed:
                    text = (
                        f"Expected a sound header, got {finding.name} {finding.value} ({path}). "
                        "Repair or convert the file."
                    )
                    raise RefusedError(text, f"{name}_{finding.name}", finding.value, "sound")
            noted = [f"{f.name} {f.value}" for f in findings if f.severity == WARNING]
            measures[f"{name}_header"] = "; ".join(noted)
        return measures

    def __call__(self, subject: Subject) -> Subject:
        """Return the session as it is: all was done by ``inspect``."""
        return subject
