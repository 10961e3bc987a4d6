"""Check the header of a NIfTI file without reading voxels."""

import math
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import nibabel as nib
import numpy as np

from mrcontrast.errors import MrcontrastError, one_line
from mrcontrast.imaging.itk import is_sheared
from mrcontrast.storage.nifti import (
    UNIT_MM,
    UNITS,
    check_present,
    contradiction,
    fault,
    open_nifti,
    unit_code,
)

ERROR, WARNING, INFO = SEVERITIES = ("error", "warning", "info")
FEWEST_VOXELS = 8
LARGEST_SPACING_MM = 12.0
LARGEST_OFFSET_MM = 500.0
FORMS_AGREE_MM = 0.1
HEADER_CLASSES = {348: nib.Nifti1Header, 540: nib.Nifti2Header}


@dataclass(frozen=True)
class Finding:
    """One fact of a header: numbers in the unit at the end of the name, such as "qform_sform_mm".

    Severities are "error" (unusable as it is), "warning" and "info".
    """

    name: str
    value: str | float
    severity: str


UNKNOWN_PLACE = Finding("orientation", "unknown", ERROR)


def check_header(path: str | Path) -> list[Finding]:
    """Return the facts of a header, worst first.

    Always ``dims``, ``spacing_mm``, ``orientation``, ``units``, ``dtype``; where they apply
    ``negative_spacing``, ``affine`` (singular, not finite, none), ``sheared``, ``qform_sform_mm``
    (largest distance between the two at the grid's corners), ``offset_mm`` (of the grid's centre
    from the origin), ``scaling``, ``truncated``.

    Raises:
        MrcontrastError: The file is missing, unreadable, or not NIfTI.
    """
    try:
        header, size = _read_header(Path(path))
        findings = [
            *_check_voxels(header),
            *_check_spacing(header),
            *_check_affine(header),
            *_check_length(header, size),
        ]
    except MrcontrastError:
        raise
    except Exception as error:
        reason = " ".join((str(error) or type(error).__name__).split())[:120]
        raise MrcontrastError(
            f"Expected the header of a NIfTI file, got an unreadable one: {reason} ({path}). "
            "Copy or convert the file again."
        ) from error
    return sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity))


def _read_header(path: Path) -> tuple[nib.Nifti1Header, int | None]:
    """Return a header unchecked, and the file's size in bytes if it is not compressed."""
    check_present(path, "a NIfTI file")
    with path.open("rb") as raw:
        start = raw.read(132)
    if start[128:132] == b"DICM":
        raise MrcontrastError(
            f"Expected a NIfTI file, got a DICOM file ({path}). Convert the series to NIfTI."
        )
    zipped = start[:2] == b"\x1f\x8b"
    if zipped != (path.suffix == ".gz"):
        got = "a gzip file under the name of a plain one" if zipped else "a .gz that is no gzip"
        raise MrcontrastError(f"Expected a NIfTI file, got {got} ({path}). Rename the file.")
    with nib.openers.ImageOpener(str(path)) as file:
        length = np.frombuffer(file.read(4), "<i4")
        kinds = [HEADER_CLASSES.get(int(n)) for n in (*length, *length.byteswap())]
        if not (kind := next(filter(None, kinds), None)):
            raise MrcontrastError(
                f"Expected a NIfTI file, got another or an empty one ({path}). "
                "Convert it or copy it again."
            )
        file.seek(0)
        header = kind.from_fileobj(file, check=False)
    if header["pixdim"][0] == 0:
        header["pixdim"][0] = 1  # the meaning of 0 in the standard
    if header["magic"].item().rstrip(b"\0")[:3] not in (b"n+1", b"n+2"):
        raise MrcontrastError(
            f"Expected a NIfTI file of one part, got magic {header['magic'].item()!r} ({path}). "
            "Convert it to .nii.gz."
        )
    return header, None if zipped else path.stat().st_size


def _check_voxels(header: nib.Nifti1Header) -> list[Finding]:
    """Check axes, voxels, type and scaling."""
    count = int(header["dim"][0])
    shape = [int(n) for n in header["dim"][1 : 1 + max(0, min(count, 7))]]
    while len(shape) > 3 and shape[-1] == 1:  # as read_volume does
        shape.pop()
    usable = 1 <= count <= 7 and len(shape) == 3 and min(shape) >= 2
    small = usable and min(shape) < FEWEST_VOXELS
    severity = ERROR if not usable else WARNING if small else INFO
    found = [Finding("dims", "x".join(map(str, shape)), severity)]
    try:
        dtype = header.get_data_dtype()
        real = dtype.kind in "iuf"
        kind = "RGB" if dtype.names else str(dtype)
        found.append(Finding("dtype", kind, INFO if real else ERROR))
    except Exception:  # nibabel raises several kinds for an unknown code
        return [*found, Finding("dtype", f"unknown code {int(header['datatype'])}", ERROR)]
    slope, shift = float(header["scl_slope"]), float(header["scl_inter"])
    if math.isinf(slope) or (slope and not math.isnan(slope) and not math.isfinite(shift)):
        found.append(Finding("scaling", f"{slope:g} x + {shift:g}", ERROR))
    elif dtype.kind in "iu" and not math.isnan(slope) and slope and (slope, shift) != (1, 0):
        found.append(Finding("scaling", f"{slope:g} x + {shift:g}", INFO))
    return found


def _check_spacing(header: nib.Nifti1Header) -> list[Finding]:
    """Check the spacing in mm and its unit."""
    code = unit_code(header)
    pixdim = [float(step) * UNIT_MM.get(code, 1.0) for step in header["pixdim"][1:4]]
    steps = [abs(step) for step in pixdim]
    usable = all(math.isfinite(step) and step > 0 for step in steps)
    severity = ERROR if not usable else WARNING if max(steps) > LARGEST_SPACING_MM else INFO
    found = [Finding("spacing_mm", "x".join(f"{step:.4g}" for step in steps), severity)]
    if min(pixdim) < 0:
        negative = "x".join(f"{step:.4g}" for step in pixdim)
        found.append(Finding("negative_spacing", negative, WARNING))
    severity = INFO if UNITS.get(code) == "mm" else WARNING
    if usable and contradiction(code, np.array(steps) / UNIT_MM.get(code, 1.0)):
        severity = ERROR
    return [*found, Finding("units", UNITS.get(code, "no such code"), severity)]


def _check_affine(header: nib.Nifti1Header) -> list[Finding]:
    """Check the place of the grid in the world, by the sform before the qform."""
    try:
        qform, sform = header.get_qform(coded=True)[0], header.get_sform(coded=True)[0]
        if qform is not None and not np.isfinite(qform).all():
            raise ValueError("qform not finite")
        best = np.array(header.get_best_affine(), np.float64)
    except Exception as error:  # nibabel raises several kinds for a wrong quaternion
        return [UNKNOWN_PLACE, Finding("affine", one_line(error, most=80), ERROR)]
    if not np.isfinite(best).all() or np.linalg.matrix_rank(best[:3, :3]) < 3:
        kind = "singular" if np.isfinite(best).all() else "not finite"
        return [UNKNOWN_PLACE, Finding("affine", kind, ERROR)]
    scale = np.diag([*[UNIT_MM.get(unit_code(header), 1.0)] * 3, 1.0])
    best = scale @ best
    found = [Finding("orientation", "".join(nib.orientations.aff2axcodes(best)), INFO)]
    if qform is None and sform is None:
        found.append(Finding("affine", "neither qform nor sform is set", WARNING))
    if is_sheared(best):
        found.append(Finding("sheared", "axes not at right angles", WARNING))
    ends = [(0, max(0, int(n) - 1)) for n in header["dim"][1:4]]
    corners = np.array([[*corner, 1.0] for corner in product(*ends)])
    if qform is not None and sform is not None:
        apart = (corners @ (scale @ (qform - sform)).T)[:, :3]
        distance = float(np.linalg.norm(apart, axis=1).max())
        severity = INFO if distance <= FORMS_AGREE_MM else WARNING
        found.append(Finding("qform_sform_mm", round(distance, 3), severity))
    offset = float(np.linalg.norm((corners @ best.T)[:, :3].mean(axis=0)))
    if offset > LARGEST_OFFSET_MM:
        found.append(Finding("offset_mm", round(offset, 1), WARNING))
    return found


def geometry_remarks(path: str | Path) -> list[str]:
    """Return one sentence for each uncertainty in the place of a volume that can be read."""
    found = {finding.name: finding for finding in check_header(path)}
    placed = int(open_nifti(Path(path)).header["sform_code"]) > 0
    if found["spacing_mm"].severity == ERROR and not placed:  # nibabel would take 1 mm
        got = f"{found['spacing_mm'].value} mm"
        raise fault("voxel sizes above 0", got, Path(path), "Correct the header")
    remarks = []
    if "affine" in found:
        guess = found["affine"].severity == WARNING
        unset = "neither qform nor sform is set, so its orientation is a guess"
        damaged = "its qform is damaged; " + ("the sform counts" if placed else "look at its place")
        remarks.append(unset if guess else damaged)
    apart = found.get("qform_sform_mm")
    if apart is not None and apart.severity == WARNING:
        remarks.append(
            f"its qform and sform are {float(apart.value):.3g} mm apart; the sform counts"
        )
    if "sheared" in found:
        remarks.append("its sform is sheared: axes are not at right angles")
    if (unit := found["units"].value) in ("m", "um"):
        remarks.append(f"its unit is {unit}, converted to mm")
    return remarks


def _check_length(header: nib.Nifti1Header, size: int | None) -> list[Finding]:
    """Compare the size of an uncompressed file with its header."""
    if size is None:
        return []
    count = int(header["dim"][0])
    voxels = math.prod(max(0, int(n)) for n in header["dim"][1 : 1 + max(0, min(count, 7))])
    needed = float(header["vox_offset"]) + voxels * abs(int(header["bitpix"])) / 8
    if math.isfinite(needed) and needed <= size:
        return []
    return [Finding("truncated", f"{size} of {needed:.0f} bytes", ERROR)]
