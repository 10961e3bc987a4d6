"""Read and write NIfTI: one volume with its place in the world.

MONAI 1.6.1 drops a qform, leaves half a file on a full disk, and reads damaged ones and NaN.
"""

from dataclasses import dataclass
from itertools import product
from pathlib import Path

import nibabel as nib
import numpy as np

from mrcontrast.errors import MrcontrastError
from mrcontrast.storage.files import replacing
from mrcontrast.storage.nifti import (
    affine_in_mm,
    fault,
    geometry_of,
    open_nifti,
    read_voxels,
    times,
)

Like = str | Path | nib.Nifti1Image
LEAST_IN_MASK = -0.5  # splines may overshoot below 0; labels of -1 may mean inside or outside
MAP = "unit"  # normaliser of maps in [0, 1], such as lesions; these alone may be all zero


@dataclass(frozen=True)
class Volume:
    """One 3D image: ``data`` (X, Y, Z) float32, ``affine`` (4, 4) float64, voxels to RAS mm."""

    data: np.ndarray
    affine: np.ndarray

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of voxels along each axis."""
        x, y, z = self.data.shape
        return x, y, z

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance of neighbouring voxels along each axis, in mm."""
        x, y, z = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(x), float(y), float(z)

    @property
    def orientation(self) -> str:
        """Nearest anatomical directions of the axes, such as "RAS"."""
        return "".join(nib.orientations.aff2axcodes(self.affine))


def read_volume(path: str | Path, zeros: bool = False, nan: bool = False) -> Volume:
    """Read one 3D NIfTI file, scaled by its header; a fourth axis of length 1 is dropped.

    Args:
        path: ``.nii`` or ``.nii.gz``.
        zeros: Whether it may be all zero, as the deviation of equal samples is.
        nan: Whether voxels may be NaN, as the background that SPM writes.

    Raises:
        MrcontrastError: The file is missing, damaged, not a real-valued 3D image, all zero, or
            larger than the free memory; a voxel is not finite; the affine or its unit is wrong.
    """
    volume = _read(Path(path), nan)
    missing = int(np.isnan(volume.data).sum()) if nan else 0
    if not zeros and np.count_nonzero(volume.data) == missing:
        got = "only zeros and NaN" if missing else "only zeros"
        raise fault("an image", got, Path(path), "Export it again or leave it out")
    return volume


def read_mask(path: str | Path, like: Volume, like_path: str | Path = "its image") -> np.ndarray:
    """Read a mask on the grid of ``like``, above 0.5 inside, NaN outside; it may be empty.

    Its axes may be stored in another order or direction. Another grid, the image itself, or values
    that do not mean 0 outside and 1 inside are MrcontrastError.
    """
    if Path(like_path).exists() and Path(path).exists() and Path(path).samefile(like_path):
        raise fault("a mask", "the image itself", Path(path), "Give a mask of its brain")
    mask = onto_grid(_read(Path(path), nan=True), like, path, like_path)
    least, most = (float(bound.reduce(mask.data, axis=None)) for bound in (np.fmin, np.fmax))
    if least < LEAST_IN_MASK or (least > 0.5 and least < most):  # no outside among its labels
        got = f"values from {least:g} to {most:g}"
        raise fault("a mask of 0 outside and 1 inside", got, Path(path), "Make it so")
    return mask.data > 0.5


def write_volume(path: str | Path, volume: Volume, like_header: Like | None = None) -> None:
    """Write a volume as float32 NIfTI, completely or not at all; equal voxels give equal bytes.

    The affine becomes sform and qform, in mm, or those of ``like_header`` on the same grid are
    written, with their codes and unit.
    """
    _write(Path(path), np.asarray(volume.data, np.float32), volume.affine, like_header)


def write_labels(
    path: str | Path, labels: np.ndarray, affine: np.ndarray, like_header: Like | None = None
) -> None:
    """Write a mask or tissue labels, (X, Y, Z), as uint8 NIfTI, as ``write_volume`` does."""
    _write(Path(path), np.asarray(labels, np.uint8), affine, like_header)


def onto_grid(
    volume: Volume, like: Volume, path: str | Path, like_path: str | Path = "its image"
) -> Volume:
    """Permute and flip the axes of a volume to those of another, or raise MrcontrastError."""
    turn = nib.orientations.io_orientation(np.linalg.inv(like.affine) @ volume.affine)
    if not (turn == [[0, 1], [1, 1], [2, 1]]).all():
        data = nib.orientations.apply_orientation(volume.data, turn)
        back = nib.orientations.inv_ornt_aff(turn, volume.shape)
        volume = Volume(np.ascontiguousarray(data), volume.affine @ back)
    same_grid(like, volume, like_path, path)
    return volume


def same_grid(
    a: Volume, b: Volume, path_a: str | Path, path_b: str | Path, tolerance_mm: float = 1e-2
) -> None:
    """Raise MrcontrastError if shapes differ, or corners by more than ``tolerance_mm``."""
    corners = np.array(list(product(*((0, n - 1) for n in a.shape))))
    shifts = corners @ (a.affine - b.affine)[:3, :3].T + (a.affine - b.affine)[:3, 3]
    distance = float(np.linalg.norm(shifts, axis=1).max())
    if a.shape == b.shape and distance <= tolerance_mm:
        return
    shapes = f"shapes {times(a.shape)} and {times(b.shape)}"
    difference = f"corners {distance:.3g} mm apart" if a.shape == b.shape else shapes
    raise MrcontrastError(
        f"Expected two volumes on one grid, got {difference} ({path_a} and {path_b}). "
        "Register and resample one to the other first."
    )


def _read(path: Path, nan: bool = False) -> Volume:
    """Read any real-valued 3D NIfTI, zeros included."""
    image = open_nifti(path)
    affine = affine_in_mm(image, path)
    data = read_voxels(image, path)
    bad = int(np.isinf(data).sum()) if nan else int(data.size - np.isfinite(data).sum())
    if bad:
        raise fault("finite voxels", f"{bad} NaN or infinite", path, "Repair the volume")
    return Volume(data.reshape(data.shape[:3]), affine)


def to_image(data: np.ndarray, affine: np.ndarray, like: Like | None) -> nib.Nifti1Image:
    """Return voxels as an image with one affine as sform and qform, or with another's geometry."""
    if like is None:
        image = nib.Nifti1Image(data, affine, dtype=data.dtype)
        image.set_sform(affine, 1)
        image.set_qform(affine, 1)
        image.header.set_xyzt_units("mm")
        return image
    source = open_nifti(Path(like)) if isinstance(like, str | Path) else like
    kind, header = geometry_of(source)
    header.set_data_dtype(data.dtype)
    return kind(data, source.affine, header)


def _write(path: Path, data: np.ndarray, affine: np.ndarray, like: Like | None) -> None:
    image = to_image(data, affine, like)
    with replacing(path) as unfinished:
        nib.save(image, unfinished)
