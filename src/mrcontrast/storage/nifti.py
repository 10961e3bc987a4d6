"""Open NIfTI files: checks before voxels are read, the affine in mm, geometry to copy."""

import gzip
import math
import zlib
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.arrayproxy import ArrayProxy
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError

from mrcontrast.errors import MrcontrastError, may_pass
from mrcontrast.storage.memory import free_memory

DEFLATE_LIMIT = 1032  # bytes that one byte of a .gz can stand for (zlib technical details)
READ_COPIES = 2  # float32 arrays that exist at once while voxels are read and scaled
UNREADABLE = (OSError, EOFError, ValueError, zlib.error, ImageFileError, HeaderDataError)
UNITS = {0: "unknown", 1: "m", 2: "mm", 3: "um"}
UNIT_MM = {0: 1.0, 1: 1e3, 2: 1.0, 3: 1e-3}
SPACING_MM = (0.02, 50.0)  # of an image of a head; a wrong unit is off by a factor of 1000
FORMS = (
    *("qform_code", "quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z"),
    *("sform_code", "srow_x", "srow_y", "srow_z"),
)
ANNEX = "annex/objects"
GET_ANNEX = "Get it with datalad get or git annex get"
GET_LFS = "Get it with git lfs pull"
LARGEST_POINTER = 1024  # bytes
POINTERS = {
    f"/{ANNEX}/".encode(): ("a pointer of git-annex without its content", GET_ANNEX),
    b"version https://git-lfs": (
        "a pointer of Git LFS without its content",
        GET_LFS,
    ),
}


def open_nifti(path: Path) -> nib.Nifti1Image:
    """Open a single-file NIfTI without its voxels; another or a damaged one is MrcontrastError."""
    check_present(path, "a NIfTI file")
    try:
        image = nib.load(path)
    except UNREADABLE as error:
        got = f"another or a damaged one: {_short(error)}"
        raise _unread("a NIfTI file", got, path, "Convert it or copy it again", error) from error
    if not isinstance(image, nib.Nifti1Image):
        raise fault("a NIfTI file", type(image).__name__, path, "Convert it to NIfTI")
    return image


def read_voxels(image: nib.Nifti1Image, path: Path) -> np.ndarray:
    """Read the voxels of an opened file, scaled by its header, float32.

    A damaged file, or one that needs more memory than is free, is MrcontrastError.
    """
    _check_size(image, path)
    least, proxy = int(image.header.single_vox_offset), image.dataobj
    if isinstance(proxy, ArrayProxy) and proxy.offset < least:
        got = f"byte {proxy.offset}"
        raise fault(f"voxels from byte {least} on", got, path, "Correct vox_offset")
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            data = np.asarray(image.get_fdata(dtype=np.float32, caching="unchanged"))
        if path.suffix == ".gz":
            with gzip.open(path) as file:  # nibabel stops before the checksum
                while file.read(1 << 24):
                    continue
    except (*UNREADABLE, MemoryError) as error:
        got = f"a truncated or damaged one: {_short(error)}"
        raise _unread("a whole NIfTI file", got, path, "Copy it again", error) from error
    return data


def affine_in_mm(image: nib.Nifti1Image, path: Path) -> np.ndarray:
    """Return the affine of an opened file, (4, 4), in mm by the units of its header.

    Raises:
        MrcontrastError: It is no real-valued 3D image, its affine is singular, or its units
            contradict its spacing.
    """
    shape, dtype = image.shape, image.get_data_dtype()
    if len(shape) < 3 or any(n != 1 for n in shape[3:]) or min(shape) < 1:
        raise fault("a 3D volume", f"shape {times(shape)}", path, "Extract one 3D volume")
    if dtype.kind not in "iuf":
        raise fault("real-valued voxels", str(dtype), path, "Export the magnitude image")
    affine = np.array(image.affine, np.float64)
    if not np.isfinite(affine).all() or np.linalg.matrix_rank(affine[:3, :3]) < 3:
        raise fault("an invertible affine", "a singular one", path, "Repair the header")
    code = unit_code(image.header)
    if reason := contradiction(code, np.linalg.norm(affine[:3, :3], axis=0)):
        raise fault("units that fit the spacing", reason, path, "Correct the header")
    affine[:3] *= UNIT_MM[code]
    return affine


def unit_code(header: nib.Nifti1Header) -> int:
    """Return the code of the spatial unit, in [0, 7]; see ``UNITS``."""
    return int(header["xyzt_units"]) & 7


def contradiction(code: int, spacing: np.ndarray) -> str | None:
    """Return why a unit is implausible for voxels of a head, (3,) in that unit, or None.

    >>> contradiction(3, np.array([2.0, 2.0, 3.0]))
    'voxels of 0.002 x 0.002 x 0.003 mm by units of um (2 x 2 x 3 fits mm)'
    """
    if code not in UNITS:
        return f"code {code}, which no unit has"
    if _plausible(spacing * UNIT_MM[code]):
        return None
    found, raw = (" x ".join(f"{n:.4g}" for n in s) for s in (spacing * UNIT_MM[code], spacing))
    fits = [UNITS[other] for other in (2, 3, 1) if _plausible(spacing * UNIT_MM[other])]
    hint = f" ({raw} fits {fits[0]})" if fits else ""
    return f"voxels of {found} mm by units of {UNITS[code]}{hint}"


def _plausible(spacing_mm: np.ndarray) -> bool:
    return bool(SPACING_MM[0] <= spacing_mm.min() and spacing_mm.max() <= SPACING_MM[1])


def geometry_of(image: nib.Nifti1Image) -> tuple[type[nib.Nifti1Image], nib.Nifti1Header]:
    """Return the class of an image and a new header with its geometry and spatial unit alone."""
    given, header = image.header, type(image.header)()
    for name in FORMS:
        header[name] = given[name]
    header["pixdim"][:4] = given["pixdim"][:4]
    header["xyzt_units"] = unit_code(given)
    return type(image), header


def check_present(path: Path, expected: str) -> None:
    """Raise MrcontrastError for a file that is missing, empty, or without its target."""
    if (found := absence(path)) is not None:
        raise MrcontrastError(f"Expected {expected}, got {found[0]} ({path}). {found[1]}.")


def absence(path: Path) -> tuple[str, str] | None:
    """Return the fault of a path that is no file with content, and advice; None without fault."""
    try:
        if path.is_symlink() and not path.exists():
            target = str(path.readlink())
            if ANNEX in target:
                return "a link of git-annex without its content", GET_ANNEX
            return f"a link to a missing file, {target}", "Restore that file"
        if not path.exists():
            return "none", "Check the path"
        if not path.is_file():
            return "a folder" if path.is_dir() else "no regular file", "Check the path"
        if path.stat().st_size == 0:
            return "an empty file", "Copy it again"
        if path.stat().st_size > LARGEST_POINTER:
            return None
        with path.open("rb") as file:
            start = file.read(64)
        return next((found for mark, found in POINTERS.items() if start.startswith(mark)), None)
    except OSError as error:
        return f"the error: {error.strerror}", "Check the path and its permissions"


def fault(expected: str, got: str, path: Path, advice: str) -> MrcontrastError:
    """Return the error of one file."""
    return MrcontrastError(f"Expected {expected}, got {got} ({path}). {advice}.")


def times(shape: tuple[int, ...]) -> str:
    """Format a shape: (64, 80, 64) -> "64x80x64"."""
    return "x".join(map(str, shape))


def _check_size(image: nib.Nifti1Image, path: Path) -> None:
    """Raise MrcontrastError for a header with more voxels than the file or the memory can hold."""
    most = path.stat().st_size * {".gz": DEFLATE_LIMIT, ".nii": 1}.get(path.suffix, math.inf)
    voxels = math.prod(map(int, image.shape))
    claimed = voxels * image.get_data_dtype().itemsize
    if claimed > most:
        got = f"a truncated or damaged one: {claimed} bytes of voxels do not fit into it"
        raise fault("a whole NIfTI file", got, path, "Copy it again")
    needed, free = 4 * READ_COPIES * voxels, free_memory()
    if needed > free:
        got = f"{times(image.shape)} voxels, {needed / 2**30:.1f} GiB where {free / 2**30:.1f} are"
        raise fault("a volume that fits in memory", f"{got} free", path, "Free some memory")


def _unread(
    expected: str, got: str, path: Path, advice: str, error: BaseException
) -> MrcontrastError:
    """Return the error of a file that cannot be read, whether or not the file is the cause."""
    if may_pass(error):
        got = f"the error: {_short(error)}"
        return fault("a file that can be read", got, path, "Try again")
    return fault(expected, got, path, advice)


def _short(error: BaseException) -> str:
    """Return an error's message on one line of at most 120 characters."""
    return " ".join((str(error) or type(error).__name__).split())[:120]
