"""One session in memory, and the interface of the operators that change it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from mrcontrast.data.contrasts import title_of
from mrcontrast.data.record import FIXED, NAME, RAW_MASK
from mrcontrast.errors import MrcontrastError, UsageError
from mrcontrast.storage.volume import Volume, same_grid
from mrcontrast.transforms.grid import resample_to
from mrcontrast.transforms.normalise import FittedNormaliser

DEFAULT = "default"  # key of a mapping by contrast: all contrasts without a key of their own
RESERVED = (*FIXED, RAW_MASK, DEFAULT)
PAIR = ("flair", "t1w")


@dataclass
class Subject:
    """One session in memory; the first of ``images`` is the reference.

    Attributes:
        images: Volumes by contrast; masks and labels are on the grid of the reference.
        brain_mask: (X, Y, Z), bool, or None until an operator finds it.
        lesion_mask: (X, Y, Z), bool, or None.
        labels: (X, Y, Z), uint8 tissue labels, or None.
        tags: Facts about subject and scans.
        measures: Values that operators have measured.
        normalisers: Fitted normalisers by contrast, once it is scaled.
        sources: Absolute paths of the raw files, by contrast and "mask".
        name: "sub-03" or "sub-03_ses-1"; seeds random operators.
    """

    images: dict[str, Volume]
    brain_mask: np.ndarray | None = None
    lesion_mask: np.ndarray | None = None
    labels: np.ndarray | None = None
    tags: dict[str, Any] = field(default_factory=dict)
    measures: dict[str, Any] = field(default_factory=dict)
    normalisers: dict[str, FittedNormaliser] = field(default_factory=dict)
    sources: dict[str, Path] = field(default_factory=dict)
    name: str = ""

    @property
    def reference(self) -> str:
        """Name of the reference contrast."""
        return next(iter(self.images))

    @property
    def like(self) -> Volume:
        """Volume of the reference contrast."""
        return self.images[self.reference]

    @property
    def brain(self) -> np.ndarray:
        """Brain mask on the reference, (X, Y, Z), bool; raises MrcontrastError if not known."""
        if self.brain_mask is None:
            raise MrcontrastError(
                "Expected a brain mask, got none. Put "
                "mrcontrast.preparation.operators.BrainMask into recipe.operators."
            )
        return self.brain_mask

    def image(self, name: str) -> Volume:
        """Return the volume of a contrast; raise MrcontrastError if the session lacks it."""
        if name not in self.images:
            raise MrcontrastError(
                f"Expected {' or '.join(self.images)}, got {name} (recipe.operators). Change it, "
                "or add it to the contrasts of the source."
            )
        return self.images[name]

    def brain_on(self, name: str) -> np.ndarray:
        """Return the brain mask on the grid of one contrast, (X, Y, Z), bool."""
        mask, like, volume = self.brain, self.like, self.image(name)
        same = like.shape == volume.shape and np.allclose(like.affine, volume.affine, atol=1e-4)
        if name == self.reference or same:
            return mask
        share = Volume(mask.astype(np.float32), like.affine)
        return resample_to(share, volume.affine, volume.shape) > 0.5

    def check_one_grid(self) -> None:
        """Raise MrcontrastError if contrasts are on different grids."""
        first = f"the {title_of(self.reference)}"
        for name, volume in self.images.items():
            same_grid(self.like, volume, first, f"the {title_of(name)}")


def prefixed(
    prefix: str, contrast: str, subject: Subject, values: Mapping[str, float], digits: int
) -> dict[str, float]:
    """Name the measures of one contrast against another, rounded to significant digits.

    Sessions of two contrasts have ``alignment_overlap``, others ``alignment_t2w_overlap``.
    """
    start = prefix if len(subject.images) == 2 else f"{prefix}_{contrast}"
    return {f"{start}_{key}": float(f"{value:.{digits}g}") for key, value in values.items()}


def check_contrasts(
    names: Sequence[str], optional: Collection[str] = (), *by_contrast: Collection[str]
) -> tuple[str, ...]:
    """Return the contrasts of a source, the reference first.

    Raises:
        UsageError: No name, one twice, one that a column of the manifest cannot have, an optional
            reference, or a setting (``by_contrast``) of a contrast that is not there.
    """
    wrong = [n for n in names if not NAME.fullmatch(str(n)) or n in RESERVED]
    if wrong or not names or len(set(names)) < len(names):
        raise UsageError(
            "Expected different names of lower-case letters and digits, such as flair, got "
            f"{', '.join(map(str, wrong or names)) or 'none'} (contrasts). Change contrasts=."
        )
    for keys, known in ((optional, names[1:]), *((keys, names) for keys in by_contrast)):
        if strange := [str(key) for key in keys if key not in known]:
            raise UsageError(
                f"Expected {' or '.join(known) or 'no name'}, got {strange[0]} "
                "(source of the recipe). Correct it, or add it to contrasts=."
            )
    return tuple(names)


class RefusedError(MrcontrastError):
    """An operator's decision against a session; its values are those of ``Dropped``."""

    def __init__(self, message: str, measure: str, value: str | float, threshold: str) -> None:
        super().__init__(message)
        self.measure, self.value, self.threshold = measure, value, threshold


class Operator(Protocol):
    """One step on one session."""

    def __call__(self, subject: Subject) -> Subject:
        """Return a changed copy; raise MrcontrastError to drop the session."""
        ...


@runtime_checkable
class Inspector(Protocol):
    """A step that checks the files of a session before their voxels are read."""

    def inspect(self, files: Mapping[str, Path]) -> dict[str, Any]:
        """Return measures of the files; raise MrcontrastError to drop the session."""
        ...
