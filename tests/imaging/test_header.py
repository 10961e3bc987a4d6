import gzip
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from mrcontrast.errors import MrcontrastError
from mrcontrast.imaging.header import Finding, check_header

SHAPE = (10, 12, 9)
AFFINE = np.array([[-1.0, 0, 0, 5], [0, 1, 0, -6], [0, 0, 3, -12], [0, 0, 0, 1]])
Change = Callable[[nib.Nifti1Header], None]


def write(
    path: Path, shape: tuple[int, ...] = SHAPE, dtype: type = np.int16, change: Change | None = None
) -> Path:
    image = nib.Nifti1Image(np.ones(shape, dtype), AFFINE)
    image.header.set_xyzt_units("mm")
    nib.save(image, path)
    if change is not None:
        opened = gzip.open if path.suffix == ".gz" else open
        with opened(path, "rb") as file:
            raw = file.read()
        header = nib.Nifti1Header(raw[:348], check=False)
        change(header)
        with opened(path, "wb") as file:
            file.write(header.binaryblock + raw[348:])
    return path


def by_name(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.name: finding for finding in findings}


@pytest.mark.parametrize("name", ["a.nii", "b c ü.nii.gz"])
def test_a_sound_header(tmp_path: Path, name: str) -> None:
    found = check_header(write(tmp_path / name))
    assert {finding.severity for finding in found} == {"info"}
    assert {finding.name: finding.value for finding in found} == {
        "dims": "10x12x9",
        "spacing_mm": "1x1x3",
        "orientation": "LAS",
        "units": "mm",
        "dtype": "int16",
    }


def test_qform_and_sform_five_mm_apart(tmp_path: Path) -> None:
    image = nib.Nifti1Image(np.ones(SHAPE, np.float32), AFFINE)
    moved = AFFINE.copy()
    moved[:3, 3] += [3, 0, 4]
    image.set_qform(AFFINE, 1)
    image.set_sform(moved, 1)
    nib.save(image, tmp_path / "a.nii.gz")
    finding = by_name(check_header(tmp_path / "a.nii.gz"))["qform_sform_mm"]
    assert (finding.value, finding.severity) == (pytest.approx(5, abs=1e-3), "warning")


def set_field(name: str, value: object) -> Change:
    def change(header: nib.Nifti1Header) -> None:
        header[name] = value

    return change


def scale(slope: float, shift: float) -> Change:
    def change(header: nib.Nifti1Header) -> None:
        header["scl_slope"], header["scl_inter"] = slope, shift

    return change


def singular(header: nib.Nifti1Header) -> None:
    header["srow_y"] = header["srow_x"]


def far_away(header: nib.Nifti1Header) -> None:
    header["srow_x"][3] = 1e6


def negative(header: nib.Nifti1Header) -> None:
    header["pixdim"][1] = -1


def no_dims(header: nib.Nifti1Header) -> None:
    header["dim"][1] = -5


@pytest.mark.parametrize(
    ("change", "name", "value", "severity"),
    [
        (set_field("xyzt_units", 1), "units", "m", "error"),
        (set_field("xyzt_units", 0), "units", "unknown", "warning"),
        (scale(2.5, -7), "scaling", "2.5 x + -7", "info"),
        (scale(np.inf, 0), "scaling", "inf x + 0", "error"),
        (singular, "affine", "singular", "error"),
        (set_field("srow_x", [np.nan, 0, 0, 0]), "affine", "not finite", "error"),
        (far_away, "offset_mm", pytest.approx(1e6, rel=1e-3), "warning"),
        (negative, "negative_spacing", "-1x1x3", "warning"),
        (set_field("pixdim", [1, 0, 1, 1, 0, 0, 0, 0]), "spacing_mm", "0x1x1", "error"),
        (set_field("datatype", 999), "dtype", "unknown code 999", "error"),
        (no_dims, "dims", "-5x12x9", "error"),
        (set_field("quatern_b", 99), "affine", None, "error"),
    ],
)
def test_a_fault_is_named(
    tmp_path: Path, change: Change, name: str, value: object, severity: str
) -> None:
    if value is None:  # a qform that is none must be in use
        original = change

        def change(header: nib.Nifti1Header) -> None:
            header["sform_code"], header["qform_code"] = 0, 1
            original(header)

    found = check_header(write(tmp_path / "a.nii", change=change))
    finding = by_name(found)[name]
    assert finding.severity == severity
    assert value is None or finding.value == value
    ranks = [("error", "warning", "info").index(finding.severity) for finding in found]
    assert ranks == sorted(ranks)


def test_four_axes_rgb_and_a_slice(tmp_path: Path) -> None:
    four = by_name(check_header(write(tmp_path / "four.nii.gz", (*SHAPE, 3))))["dims"]
    assert (four.value, four.severity) == ("10x12x9x3", "error")
    assert (
        by_name(check_header(write(tmp_path / "one.nii", (*SHAPE, 1))))["dims"].value == "10x12x9"
    )
    assert by_name(check_header(write(tmp_path / "flat.nii", (9, 9, 1))))["dims"].severity != "info"
    rgb = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])
    nib.save(nib.Nifti1Image(np.zeros(SHAPE, rgb), AFFINE), tmp_path / "rgb.nii")
    colour = by_name(check_header(tmp_path / "rgb.nii"))["dtype"]
    assert (colour.value, colour.severity) == ("RGB", "error")


def test_sheared(tmp_path: Path) -> None:
    def shear(header: nib.Nifti1Header) -> None:
        header["srow_x"] = [1, 0.3, 0, 0]

    found = by_name(check_header(write(tmp_path / "a.nii", change=shear)))
    assert found["sheared"].severity == "warning"


def test_truncated(tmp_path: Path) -> None:
    path = write(tmp_path / "a.nii")
    path.write_bytes(path.read_bytes()[:-100])
    assert by_name(check_header(path))["truncated"].value == "2412 of 2512 bytes"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.nii.gz", b"", "got an empty file"),
        ("empty.nii", b"", "got an empty file"),
        ("text.nii", b"subject\tage\n" * 40, "another or an empty one"),
        ("short.nii", b"\x5c\x01\x00\x00abc", "got"),
        ("scan.nii.gz", bytes(128) + b"DICM" + bytes(900), "got a DICOM file"),
        ("cut.nii.gz", gzip.compress(np.random.default_rng(0).bytes(999), mtime=0)[:60], "got"),
        ("plain.nii.gz", bytes(400), "a .gz that is no gzip"),
        ("zipped.nii", gzip.compress(bytes(400), mtime=0), "under the name of a plain one"),
    ],
    ids=["empty-gz", "empty", "text", "short", "dicom", "cut", "plain", "zipped"],
)
def test_what_is_no_nifti_is_one_line(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(MrcontrastError, match=message) as caught:
        check_header(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_file_a_folder_and_a_loop(tmp_path: Path) -> None:
    (tmp_path / "loop.nii").symlink_to(tmp_path / "loop.nii")
    (tmp_path / "folder.nii").mkdir()
    for name in ("none.nii", "folder.nii", "loop.nii"):
        with pytest.raises(MrcontrastError, match="NIfTI file"):
            check_header(tmp_path / name)


@pytest.mark.parametrize("seed", range(60))
def test_noise_in_the_header_never_crashes(tmp_path: Path, seed: int) -> None:
    path = write(tmp_path / "a.nii")
    rng = np.random.default_rng(seed)
    raw = bytearray(path.read_bytes())
    for place in rng.integers(4, 344, 1 + seed):
        raw[place] = rng.integers(256)
    path.write_bytes(bytes(raw))
    found, message = None, ""
    try:
        found = check_header(path)
    except MrcontrastError as error:
        message = str(error)
    assert "\n" not in message
    always = {"dims", "spacing_mm", "orientation", "units", "dtype"}
    assert message or (found is not None and always <= set(by_name(found)))
