"""The NIfTI files of one session, read and checked."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from mrcontrast.data.record import RAW_MASK
from mrcontrast.errors import MrcontrastError, UsageError
from mrcontrast.preparation.session import Dropped, Entry
from mrcontrast.preparation.subject import Subject
from mrcontrast.storage.files import sha256_file
from mrcontrast.storage.nifti import absence
from mrcontrast.storage.volume import read_mask, read_volume, same_grid

FEWEST_INTENSITIES = 10


@dataclass(frozen=True)
class FilePair:
    """The images of one session as files, by contrast, the reference first, with masks on its grid.

    ``one_grid`` says whether a contrast on another grid than the reference is a fault.
    """

    images: Mapping[str, Path]
    brain_mask: Path | None = None
    lesion_mask: Path | None = None
    tags: Mapping[str, Any] = field(default_factory=dict)
    one_grid: bool = True

    @property
    def reference(self) -> Path:
        """File of the reference."""
        return next(iter(self.images.values()))

    def load(self) -> Subject:
        """Read all files and check their grids; MrcontrastError names both files of two grids."""
        images = {name: read_volume(path) for name, path in self.images.items()}
        like = images[next(iter(images))]
        for name, path in self.images.items():
            found = len(np.unique(images[name].data[::2, ::2, ::2]))
            if found < FEWEST_INTENSITIES:
                raise MrcontrastError(
                    f"Expected the intensities of a scan, got {found} different ones, as labels "
                    f"have ({path}). Put the scan in its place."
                )
            if self.one_grid:
                same_grid(like, images[name], self.reference, path)
                images[name] = replace(images[name], affine=like.affine)
        brain, lesions = (
            None if path is None else read_mask(path, like, self.reference)
            for path in (self.brain_mask, self.lesion_mask)
        )
        sources = {name: path.absolute() for name, path in self.images.items()}
        if self.brain_mask is not None:
            sources[RAW_MASK] = self.brain_mask.absolute()
        return Subject(images, brain, lesions, tags=dict(self.tags), sources=sources)

    @property
    def files(self) -> dict[str, Path]:
        """Raw files by contrast and mask."""
        masks = {"brain_mask": self.brain_mask, "lesion_mask": self.lesion_mask}
        return {**self.images, **{name: path for name, path in masks.items() if path is not None}}

    def identity(self) -> dict[str, Any]:
        """Return places and hashes of the files, the order of the contrasts, and the tags."""
        files = {key: [str(path), _hash_of(path)] for key, path in self.files.items()}
        order = list(self.images)
        return {"files": files, "order": order, "tags": dict(self.tags), "one_grid": self.one_grid}


def bids_labels(subject: str, session: str | None = None) -> tuple[str, str | None]:
    """Turn names into BIDS labels, which have letters and digits only.

    >>> bids_labels("patient_07"), bids_labels("sub-07", "2")
    (('sub-patient07', None), ('sub-07', 'ses-2'))
    """

    def label(prefix: str, name: str) -> str:
        return prefix + "".join(c for c in name.removeprefix(prefix) if c.isalnum())

    return label("sub-", subject), None if session is None else label("ses-", session)


def raw_folder(root: str) -> Path:
    """Return the absolute folder, or raise UsageError if there is none in UTF-8, as in tables."""
    if not root or not Path(root).is_dir():
        raise UsageError(f"Expected a folder of raw data, got none ({root}). Give source=FOLDER.")
    path = Path(root).absolute()
    if escaped(str(path)) != str(path):
        raise UsageError(f"Expected a path in UTF-8, got {escaped(str(path))}. Rename the folder.")
    return path


def escaped(text: str) -> str:
    r"""Return text that UTF-8 can hold: bytes of a name in another encoding become ``\udcXX``."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def with_content(entries: list[Entry]) -> tuple[list[Entry], list[Dropped]]:
    """Split off the sessions whose files cannot be named or read."""
    left, dropped = [], []
    for entry in entries:
        reason = None
        for path in entry.pair.files.values():
            if escaped(str(path)) != str(path):
                reason = f"Expected names in UTF-8, got {escaped(str(path))}. Rename the file."
            elif (found := absence(path)) and "error" not in found[0]:  # ``load`` meets that again
                got, advice = found
                reason = reason or f"Expected a NIfTI file, got {got} ({path}). {advice}."
        if reason is None:
            left.append(entry)
        else:
            step = type(entry.pair).__name__
            dropped.append(Dropped(entry.subject, entry.session, step, reason))
    return left, dropped


def visible(paths: Iterable[Path]) -> list[Path]:
    """Return the paths without hidden files, such as a Mac's ``._sub-01_FLAIR.nii.gz``, sorted."""
    return sorted(path for path in paths if not path.name.startswith("."))


def _hash_of(path: Path) -> str:
    """Return the hash of a file, or why it has none; ``load`` raises the error."""
    if not path.is_file():  # opening a pipe would wait for ever
        return "no file"
    try:
        return sha256_file(path)
    except OSError as error:
        return f"unreadable: {error.strerror}"
