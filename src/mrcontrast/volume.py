"""NIfTI in and out: one volume with its place in the world."""

import gzip
import math
import zlib
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError

from mrcontrast.errors import MrcontrastError, may_pass
from mrcontrast.files import replacing

DEFLATE_LIMIT = 1032  # bytes that one byte of a .gz can stand for
UNREADABLE = (OSError, EOFError, ValueError, zlib.error, ImageFileError, HeaderDataError)


@dataclass(frozen=True)
class Volume:
    """One 3D image and its place in the world.

    Attributes:
        data: (X, Y, Z), float32, in the units of the file.
        affine: (4, 4), float64, from voxel indices to world coordinates (RAS, mm).
    """

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
        """Directions that the axes point to most closely, such as "RAS".

        >>> Volume(np.ones((2, 3, 4)), np.diag([-1.0, 1, 1, 1])).orientation
        'LAS'
        """
        return "".join(nib.orientations.aff2axcodes(self.affine))


def read_volume(path: str | Path, zeros: bool = False) -> Volume:
    """Read one 3D NIfTI file, scaled by its header; a fourth axis of length 1 is dropped.

    Args:
        path: ``.nii`` or ``.nii.gz``.
        zeros: Whether it may be all zero, as the deviation of draws that are all alike.

    Raises:
        MrcontrastError: The file is missing, truncated, not NIfTI, not 3D, RGB or complex, all
            zero, holds NaN or infinite voxels, or has a singular affine.
    """
    volume = _read(Path(path))
    if not zeros and not volume.data.any():
        raise _fault("an image", "only zeros", Path(path), "Export it again or leave it out")
    return volume


def read_mask(path: str | Path, like: Volume, like_path: str | Path = "its image") -> np.ndarray:
    """Read a mask that lies on the grid of ``like``; above 0.5 is inside, and it may be empty.

    Raises:
        MrcontrastError: As ``read_volume`` (all zero excepted), or the grids differ.
    """
    mask = _read(Path(path))
    same_grid(like, mask, like_path, path)
    return mask.data > 0.5


def write_volume(path: str | Path, volume: Volume, like_header: str | Path | None = None) -> None:
    """Write a volume as float32 NIfTI, whole or not at all; folders on the way are made.

    Args:
        path: ``.nii`` or ``.nii.gz``; the same voxels give the same bytes.
        volume: Its affine becomes sform and qform.
        like_header: File whose other header fields (units, codes, description) are kept.

    Raises:
        MrcontrastError: The folder or the file cannot be written.
    """
    header = None if like_header is None else _header_of(Path(like_header))
    _write(Path(path), np.asarray(volume.data, np.float32), volume.affine, header)


def write_labels(path: str | Path, labels: np.ndarray, affine: np.ndarray) -> None:
    """Write a mask or tissue labels, (X, Y, Z), as uint8 NIfTI, whole or not at all."""
    _write(Path(path), np.asarray(labels, np.uint8), affine, None)


def same_grid(
    a: Volume, b: Volume, path_a: str | Path, path_b: str | Path, tolerance_mm: float = 1e-2
) -> None:
    """Refuse two volumes that do not lie on one voxel grid.

    Raises:
        MrcontrastError: Shapes differ, or corner voxels of one index lie more than
            ``tolerance_mm`` apart; both files and the difference are named.
    """
    if a.shape != b.shape:
        difference = f"shapes {_times(a.shape)} and {_times(b.shape)}"
    elif (distance := _corner_distance_mm(a, b)) > tolerance_mm:
        difference = f"corners {distance:.3g} mm apart"
    else:
        return
    raise MrcontrastError(
        f"Expected two volumes on one grid, got {difference} ({path_a} and {path_b}). "
        "Register and resample one to the other first."
    )


def _read(path: Path) -> Volume:
    """Read any real-valued 3D NIfTI, zeros included."""
    image = _open(path)
    affine = _checked_affine(image, path)
    _refuse_giant(image, path)
    try:
        with np.errstate(over="ignore"):
            data = np.asarray(image.get_fdata(dtype=np.float32, caching="unchanged"))
        if path.suffix == ".gz":
            with gzip.open(path) as file:  # nibabel stops before the checksum
                while file.read(1 << 24):
                    continue
    except (*UNREADABLE, MemoryError) as error:
        got = f"a truncated or damaged one: {_short(error)}"
        raise _unread("a whole NIfTI file", got, path, "Copy it again", error) from error
    if bad := int(data.size - np.isfinite(data).sum()):
        raise _fault("finite voxels", f"{bad} NaN or infinite", path, "Repair the volume")
    return Volume(data.reshape(data.shape[:3]), affine)


def _open(path: Path) -> nib.Nifti1Image:
    """Open the header of a single-file NIfTI."""
    if not path.is_file():
        raise _fault("a NIfTI file", "none", path, "Check the path")
    try:
        image = nib.load(path)
    except UNREADABLE as error:
        got = f"another or a damaged one: {_short(error)}"
        raise _unread("a NIfTI file", got, path, "Convert it or copy it again", error) from error
    if not isinstance(image, nib.Nifti1Image):
        raise _fault("a NIfTI file", type(image).__name__, path, "Convert it to NIfTI")
    return image


def _checked_affine(image: nib.Nifti1Image, path: Path) -> np.ndarray:
    """Refuse what is no real-valued 3D image with an affine that can be inverted."""
    shape, dtype = image.shape, image.get_data_dtype()
    if len(shape) < 3 or any(n != 1 for n in shape[3:]) or 0 in shape:
        raise _fault("a 3D volume", f"shape {_times(shape)}", path, "Extract one 3D volume")
    if dtype.kind not in "iuf":
        raise _fault("real-valued voxels", str(dtype), path, "Export the magnitude image")
    affine = np.asarray(image.affine, np.float64)
    if not np.isfinite(affine).all() or np.linalg.matrix_rank(affine[:3, :3]) < 3:
        raise _fault("an invertible affine", "a singular one", path, "Repair the header")
    return affine


def _refuse_giant(image: nib.Nifti1Image, path: Path) -> None:
    """Refuse a header that claims more voxels than its file can hold, before memory is asked for.

    Source: zlib technical details, on the largest factor of deflate.
    """
    most = path.stat().st_size * {".gz": DEFLATE_LIMIT, ".nii": 1}.get(path.suffix, math.inf)
    claimed = math.prod(map(int, image.shape)) * image.get_data_dtype().itemsize
    if claimed > most:
        got = f"a truncated or damaged one: {claimed} bytes of voxels do not fit into it"
        raise _fault("a whole NIfTI file", got, path, "Copy it again")


def _unread(
    expected: str, got: str, path: Path, advice: str, error: BaseException
) -> MrcontrastError:
    """Word why a file could not be read, and whether the file is to blame."""
    if may_pass(error):
        got = f"the error: {_short(error)}"
        return _fault("a file that can be read", got, path, "Try again")
    return _fault(expected, got, path, advice)


def _fault(expected: str, got: str, path: Path, advice: str) -> MrcontrastError:
    """Word the fault of one file."""
    return MrcontrastError(f"Expected {expected}, got {got} ({path}). {advice}.")


def _header_of(path: Path) -> nib.Nifti1Header:
    """Copy a header without what belongs to its own voxels."""
    header = _open(path).header.copy()
    header.extensions.clear()
    header["cal_max"] = header["cal_min"] = 0
    header.set_slope_inter(1, 0)
    return header


def _write(
    path: Path, data: np.ndarray, affine: np.ndarray, header: nib.Nifti1Header | None
) -> None:
    """Write one image atomically with sform and qform set."""
    image = nib.Nifti1Image(data, affine, header, dtype=data.dtype)
    code = 1 if header is None else int(header["sform_code"]) or 1
    image.set_sform(affine, code)
    image.set_qform(affine, code)
    image.header.set_xyzt_units("mm")
    with replacing(path) as unfinished:
        nib.save(image, unfinished)


def _corner_distance_mm(a: Volume, b: Volume) -> float:
    """Return the largest distance between corner voxels of the same index."""
    corners = np.array(list(product(*((0, n - 1) for n in a.shape))))
    shifts = corners @ (a.affine - b.affine)[:3, :3].T + (a.affine - b.affine)[:3, 3]
    return float(np.linalg.norm(shifts, axis=1).max())


def _times(shape: tuple[int, ...]) -> str:
    """Format a shape: (64, 80, 64) -> "64x80x64"."""
    return "x".join(map(str, shape))


def _short(error: BaseException) -> str:
    """Return an error's message on one line of at most 120 characters."""
    return " ".join((str(error) or type(error).__name__).split())[:120]
