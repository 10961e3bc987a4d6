"""The real image of a session with its mask and anatomy, read from its files."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mrcontrast.errors import MrcontrastError
from mrcontrast.evaluation.anatomy import Anatomy
from mrcontrast.evaluation.pairing import Case
from mrcontrast.metrics.multiscale import count_scales
from mrcontrast.metrics.structural import WINDOW
from mrcontrast.storage.volume import Volume, onto_grid, read_mask, read_volume
from mrcontrast.transforms.brain import brain_from_nonzero
from mrcontrast.transforms.normalise import Normaliser

MASKS = "Give brain masks by --mask, such as those that translate --strip-skull writes."


class Survey(NamedTuple):
    """A reference's session, most scales of MS-SSIM, smallest and largest intensity."""

    name: str
    num_scales: int
    low: float
    high: float


def survey_case(case: Case, normaliser: Normaliser | None = None, dims: int = 3) -> Survey:
    """Survey the reference of one session before the first is scored.

    Raises:
        MrcontrastError: It cannot be read, or is too small for SSIM.
    """
    reference, _ = read_reference(case, normaliser)
    with naming(case.reference):
        axial = axial_axis(reference)
        if dims == 3 and reference.shape[axial] < WINDOW:
            raise MrcontrastError(
                f"Expected volumes of at least {WINDOW} axial slices for SSIM, got "
                f"{reference.shape[axial]}. Pass --dims 2 to compare slice by slice."
            )
        shape = [n for axis, n in enumerate(reference.shape) if dims == 3 or axis != axial]
        num_scales = count_scales(tuple(shape))
    data = reference.data
    return Survey(case.name, num_scales, float(data.min()), float(data.max()))


def read_reference(case: Case, normaliser: Normaliser | None = None) -> tuple[Volume, np.ndarray]:
    """Read the reference of one session and its brain mask, (X, Y, Z) bool.

    A normaliser scales the reference to [0, 1] in the mask, 0 outside.

    Raises:
        MrcontrastError: A file cannot be read, the grids differ, the mask is empty or contains NaN,
            there is neither a mask nor a stripped skull, or the reference cannot be normalised.
    """
    reference = read_volume(case.reference, nan=True)
    if case.mask is None:
        known = replace(reference, data=np.nan_to_num(reference.data))
        with naming(case.reference):
            mask = brain_from_nonzero(known, MASKS)
    elif not (mask := read_mask(case.mask, reference, case.reference)).any():
        raise MrcontrastError(
            f"Expected a mask with voxels in it, got an empty one ({case.mask}). Make it again."
        )
    reference = without_nan(reference, mask, case.reference)
    if normaliser is None:
        return reference, mask
    with naming(case.reference):
        fitted = normaliser.fit(reference.data, mask)
    return replace(reference, data=fitted.apply(reference.data) * mask), mask


def read_like(
    path: Path, reference: Volume, case: Case, mask: np.ndarray, zeros: bool = False
) -> Volume:
    """Read a volume on the reference's grid, axes in any order, NaN outside the brain as 0.

    Raises:
        MrcontrastError: It cannot be read, is on another grid, has NaN in the brain, or is all 0
            without ``zeros``.
    """
    volume = onto_grid(read_volume(path, zeros, nan=True), reference, path, case.reference)
    return without_nan(volume, mask, path)


def without_nan(volume: Volume, mask: np.ndarray, path: Path) -> Volume:
    """Return a volume with 0 for NaN outside the brain, as SPM writes it; raise for NaN inside."""
    missing = np.isnan(volume.data)
    if inside := int((missing & mask).sum()):
        raise MrcontrastError(
            f"Expected finite voxels in the brain mask, got {inside} NaN ({path}). "
            "Repair the volume or give --mask without them."
        )
    return replace(volume, data=np.where(missing, np.float32(0), volume.data))


def read_anatomy(case: Case, reference: Volume, target: np.ndarray, mask: np.ndarray) -> Anatomy:
    """Read the lesions and labels of one session beside its real image and brain.

    ``reference`` is the image as stored, ``target`` its voxels in the units of the metrics.
    """
    lesions = labels = None
    if case.lesions is not None:
        lesions = read_mask(case.lesions, reference, case.reference)
    if case.labels is not None:
        found = onto_grid(read_volume(case.labels), reference, case.labels, case.reference)
        labels = np.rint(found.data).astype(np.uint8)
    return Anatomy(target, mask, reference.spacing_mm, axial_axis(reference), lesions, labels)


def axial_axis(volume: Volume) -> int:
    """Return the axis from foot to head.

    >>> axial_axis(Volume(np.ones((2, 3, 4)), np.eye(4)[[0, 2, 1, 3]]))
    1
    """
    return next(axis for axis, way in enumerate(volume.orientation) if way in "SI")


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Add the file to the message of an error about its voxels."""
    try:
        yield
    except MrcontrastError as error:
        fault, _, advice = str(error).rstrip(".").partition(". ")
        raise MrcontrastError(f"{fault} ({path})." + (f" {advice}." if advice else "")) from error
