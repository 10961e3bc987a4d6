"""A pair of NIfTI files of one session, read and checked."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mrcontrast.errors import UsageError
from mrcontrast.preparation.subject import Subject
from mrcontrast.volume import read_mask, read_volume, same_grid


@dataclass(frozen=True)
class FilePair:
    """FLAIR and T1w of one session as files on one grid, with masks where there are some.

    Attributes:
        flair: FLAIR volume.
        t1w: T1w volume.
        brain_mask: Brain mask, or None.
        lesion_mask: Lesion mask, or None.
        tags: What is known of subject and scan.
    """

    flair: Path
    t1w: Path
    brain_mask: Path | None = None
    lesion_mask: Path | None = None
    tags: Mapping[str, Any] = field(default_factory=dict)

    def load(self) -> Subject:
        """Read all files and check that they share one grid.

        Raises:
            MrcontrastError: A file has a fault, or two grids differ; both files are named.
        """
        flair, t1w = read_volume(self.flair), read_volume(self.t1w)
        same_grid(flair, t1w, self.flair, self.t1w)
        masks = [
            None if path is None else read_mask(path, flair, self.flair)
            for path in (self.brain_mask, self.lesion_mask)
        ]
        files = {"flair": self.flair, "t1w": self.t1w, "mask": self.brain_mask}
        sources = {name: path.absolute() for name, path in files.items() if path is not None}
        return Subject(flair, t1w, masks[0], masks[1], tags=dict(self.tags), sources=sources)


def raw_folder(root: str) -> Path:
    """Return the folder as an absolute path."""
    if not root or not Path(root).is_dir():
        raise UsageError(f"Expected a folder of raw data, got none ({root}). Give source=FOLDER.")
    return Path(root).absolute()
