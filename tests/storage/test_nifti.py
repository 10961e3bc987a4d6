"""Headers in and out: forms, units, text, and files without content."""

from itertools import product
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from mrcontrast.errors import MrcontrastError
from mrcontrast.imaging.header import check_header, geometry_remarks
from mrcontrast.storage import nifti
from mrcontrast.storage.volume import Volume, read_mask, read_volume, write_labels, write_volume

SHAPE = (5, 6, 7)
AFFINE = np.array([[2.0, 0, 0, -5], [0, 2, 0, -7], [0, 0, 3, -9], [0, 0, 0, 1]])
DATA = np.random.default_rng(0).random(SHAPE).astype(np.float32)


def save(path: Path, scale: float = 1.0, units: str = "mm", **forms: object) -> Path:
    """Write DATA with AFFINE times a scale; forms: sform, scode, qform, qcode."""
    affine = AFFINE.copy()
    affine[:3] *= scale
    image = nib.Nifti1Image(DATA, affine)
    image.set_qform(forms.get("qform", affine), forms.get("qcode", 1))
    image.set_sform(forms.get("sform", affine), forms.get("scode", 1))
    image.header.set_xyzt_units(units)
    nib.save(image, path)
    return path


def moved(mm: float) -> np.ndarray:
    affine = AFFINE.copy()
    affine[0, 3] += mm
    return affine


def sheared() -> np.ndarray:
    affine = AFFINE.copy()
    affine[0, 1] = 0.3
    return affine


@pytest.mark.parametrize(
    "forms",
    [
        {"sform": moved(10), "scode": 2, "qcode": 1},
        {"scode": 0, "qcode": 0},
        {"scode": 0, "qcode": 3},
        {"sform": sheared(), "scode": 4, "qcode": 0},
        {"sform": sheared(), "scode": 1, "qcode": 1},
    ],
)
@pytest.mark.parametrize("kind", ["nii.gz", "nii"])
def test_both_forms_and_their_codes_travel(tmp_path: Path, forms: dict, kind: str) -> None:
    source = save(tmp_path / f"a.{kind}", **forms)
    volume = read_volume(source)
    write_volume(tmp_path / "b.nii.gz", volume, source)
    write_labels(tmp_path / "c.nii.gz", volume.data > 0.5, volume.affine, source)
    given = nib.load(source).header
    for name in ("b", "c"):
        made = nib.load(tmp_path / f"{name}.nii.gz").header
        for field in (*nifti.FORMS, "pixdim", "xyzt_units"):
            np.testing.assert_array_equal(made[field], given[field], err_msg=field)
    again = read_volume(tmp_path / "b.nii.gz")
    np.testing.assert_array_equal(again.affine, volume.affine)
    np.testing.assert_array_equal(again.data, volume.data)


def test_nothing_else_of_a_header_travels(tmp_path: Path) -> None:
    image = nib.Nifti1Image((100 * DATA).astype(np.int16), AFFINE)
    header = image.header
    header.set_intent("label", (), name="Doe^Jane")
    header["descrip"], header["db_name"], header["aux_file"] = b"DOE^JANE", b"DOE", b"jane.lut"
    header["cal_max"], header["slice_code"], header["slice_duration"] = 3, 1, 0.1
    header["toffset"], header["glmax"], header["session_error"] = 4.0, 9, 2
    header.set_xyzt_units("mm", "msec")
    header.set_slope_inter(2.0, 5.0)
    header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"DOE JANE"))
    nib.save(image, tmp_path / "a.nii")
    volume = read_volume(tmp_path / "a.nii")
    write_volume(tmp_path / "b.nii", volume, tmp_path / "a.nii")
    made = nib.load(tmp_path / "b.nii").header
    fresh = nib.Nifti1Image(volume.data, AFFINE).header
    same = {*nifti.FORMS, "pixdim", "xyzt_units", "vox_offset", "scl_slope", "scl_inter", "magic"}
    for field in set(made) - same:
        np.testing.assert_array_equal(made[field], fresh[field], err_msg=field)
    assert made.get_xyzt_units() == ("mm", "unknown")
    assert not made.extensions
    assert b"DOE" not in (tmp_path / "b.nii").read_bytes().upper()


@pytest.mark.parametrize(("units", "scale"), [("micron", 1e3), ("meter", 1e-3), ("mm", 1)])
def test_units_are_converted(tmp_path: Path, units: str, scale: float) -> None:
    path = save(tmp_path / "a.nii.gz", scale, units)
    volume = read_volume(path)
    np.testing.assert_allclose(volume.affine, AFFINE, rtol=1e-6)
    mask = tmp_path / "mask.nii.gz"
    write_labels(mask, DATA > 0.5, AFFINE)  # in mm
    np.testing.assert_array_equal(read_mask(mask, volume), DATA > 0.5)
    write_volume(tmp_path / "b.nii.gz", volume, path)
    assert nib.load(tmp_path / "b.nii.gz").header.get_xyzt_units()[0] == units
    np.testing.assert_array_equal(nib.load(tmp_path / "b.nii.gz").affine, nib.load(path).affine)
    assert {finding.severity for finding in check_header(path)} <= {"info", "warning"}


@pytest.mark.parametrize(
    ("units", "scale", "message"),
    [
        ("micron", 1, r"units of um \(2 x 2 x 3 fits mm\)"),
        ("mm", 1e-3, r"units of mm \(0.002 x 0.002 x 0.003 fits m\)"),
        ("mm", 1e3, r"units of mm \(2000 x 2000 x 3000 fits um\)"),
        ("meter", 1, r"units of m \(2 x 2 x 3 fits mm\)"),
    ],
)
def test_units_that_contradict_the_spacing_are_refused(
    tmp_path: Path, units: str, scale: float, message: str
) -> None:
    path = save(tmp_path / "a.nii.gz", scale, units)
    with pytest.raises(MrcontrastError, match=message) as caught:
        read_volume(path)
    assert str(path) in str(caught.value)
    assert ("units", "error") in {(f.name, f.severity) for f in check_header(path)}


def test_what_is_uncertain_about_a_place_is_said(tmp_path: Path) -> None:
    assert geometry_remarks(save(tmp_path / "a.nii")) == []
    apart = save(tmp_path / "b.nii", sform=moved(10), scode=2)
    assert "10 mm apart; the sform counts" in geometry_remarks(apart)[0]
    assert (
        "neither qform nor sform" in geometry_remarks(save(tmp_path / "c.nii", scode=0, qcode=0))[0]
    )
    assert "sheared" in geometry_remarks(save(tmp_path / "d.nii", sform=sheared(), qcode=0))[0]
    assert "um, converted" in geometry_remarks(save(tmp_path / "e.nii", 1e3, "micron"))[0]


def set_fields(path: Path, **fields: object) -> Path:
    raw = bytearray(path.read_bytes())
    header = nib.Nifti1Header(bytes(raw[:348]), check=False)
    for name, value in fields.items():
        header[name] = value
    raw[:348] = header.binaryblock
    path.write_bytes(bytes(raw))
    return path


def test_damage_of_a_place_is_said(tmp_path: Path) -> None:
    nan = set_fields(save(tmp_path / "a.nii"), quatern_b=np.nan)
    assert geometry_remarks(nan) == ["its qform is damaged; the sform counts"]
    by_zero = [0, *nib.load(nan).header["pixdim"][1:]]  # qfac 0 means 1
    assert geometry_remarks(set_fields(save(tmp_path / "b.nii", scode=0), pixdim=by_zero)) == []
    for codes in ({"scode": 0}, {"scode": 0, "qcode": 0}):
        flat = set_fields(save(tmp_path / "c.nii", **codes), pixdim=[1, 0, 2, 2, 0, 0, 0, 0])
        with pytest.raises(MrcontrastError, match="Expected voxel sizes above 0, got 0x2x2 mm"):
            geometry_remarks(flat)


@pytest.mark.parametrize(
    ("fields", "message"),
    [({"vox_offset": 0}, "voxels from byte 352 on"), ({"dim": [3, -5, 4, 4, 1, 1, 1, 1]}, "3D")],
)
def test_voxels_outside_their_place_are_refused(
    tmp_path: Path, fields: dict[str, object], message: str
) -> None:
    with pytest.raises(MrcontrastError, match=message):
        read_volume(set_fields(save(tmp_path / "a.nii"), **fields))


def test_nan_is_read_where_it_may_be_background(tmp_path: Path) -> None:
    data = DATA.copy()
    data[:2] = np.nan
    nib.save(nib.Nifti1Image(data, AFFINE), tmp_path / "a.nii.gz")
    with pytest.raises(MrcontrastError, match="84 NaN or infinite"):
        read_volume(tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(read_volume(tmp_path / "a.nii.gz", nan=True).data, data)
    data[3, 3, 3] = np.inf
    nib.save(nib.Nifti1Image(data, AFFINE), tmp_path / "b.nii.gz")
    with pytest.raises(MrcontrastError, match="1 NaN or infinite"):
        read_volume(tmp_path / "b.nii.gz", nan=True)
    nib.save(nib.Nifti1Image(np.full(SHAPE, np.nan), AFFINE), tmp_path / "c.nii.gz")
    with pytest.raises(MrcontrastError, match="only zeros and NaN"):
        read_volume(tmp_path / "c.nii.gz", nan=True)
    like = Volume(DATA, AFFINE)
    nib.save(nib.Nifti1Image(np.where(DATA > 0.5, 1, np.nan), AFFINE), tmp_path / "m.nii.gz")
    np.testing.assert_array_equal(read_mask(tmp_path / "m.nii.gz", like), DATA > 0.5)


@pytest.mark.parametrize(
    ("values", "said"), [((-1, 0), "-1 to 0"), ((-1, 1), "-1 to 1"), ((1, 2), "1 to 2")]
)
def test_a_mask_of_other_values_is_named(
    tmp_path: Path, values: tuple[int, int], said: str
) -> None:
    data = np.where(DATA > 0.5, values[0], values[1]).astype(np.int8)
    nib.save(nib.Nifti1Image(data, AFFINE), tmp_path / "m.nii.gz")
    with pytest.raises(MrcontrastError, match=rf"0 outside and 1 inside, got values from {said}"):
        read_mask(tmp_path / "m.nii.gz", Volume(DATA, AFFINE))


@pytest.mark.parametrize("values", [(0, 255), (0, 3), (-0.04, 1.05)])
def test_other_masks_are_cut_at_one_half(tmp_path: Path, values: tuple[float, float]) -> None:
    data = np.where(DATA > 0.5, values[1], values[0]).astype(np.float32)
    nib.save(nib.Nifti1Image(data, AFFINE), tmp_path / "m.nii.gz")
    found = read_mask(tmp_path / "m.nii.gz", Volume(DATA, AFFINE))
    np.testing.assert_array_equal(found, DATA > 0.5)


def empty(path: Path) -> None:
    path.touch()


def dangling(path: Path) -> None:
    path.symlink_to("elsewhere.nii.gz")


def annexed(path: Path) -> None:
    path.symlink_to("../.git/annex/objects/Xk/9p/MD5E-s9--0.nii.gz/MD5E-s9--0.nii.gz")


def pointer(path: Path) -> None:
    path.write_text("/annex/objects/MD5E-s9--0.nii.gz\n")


def lfs(path: Path) -> None:
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (empty, "got an empty file"),
        (dangling, "got a link to a missing file, elsewhere"),
        (annexed, "git-annex without its content.*datalad get or git annex get"),
        (pointer, "git-annex without its content.*datalad get or git annex get"),
        (lfs, "Git LFS without its content.*git lfs pull"),
        (Path.mkdir, "got a folder"),
    ],
)
@pytest.mark.parametrize("read", [read_volume, check_header])
def test_a_file_without_content_is_named(tmp_path: Path, make, read, message: str) -> None:
    path = tmp_path / "a.nii.gz"
    make(path)
    with pytest.raises(MrcontrastError, match=message) as caught:
        read(path)
    assert str(path) in str(caught.value)


def test_a_volume_larger_than_memory_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(tmp_path / "a.nii.gz")
    monkeypatch.setattr(nifti, "free_memory", lambda: 4 * DATA.size)
    monkeypatch.setattr(nib.Nifti1Image, "get_fdata", lambda *_, **__: pytest.fail("was read"))
    with pytest.raises(MrcontrastError, match=r"fits in memory, got 5x6x7 voxels.*a\.nii\.gz"):
        read_volume(path)


def test_corners_agree_for_every_combination_of_codes(tmp_path: Path) -> None:
    """The affine that is read is the one that other readers use: sform, else qform."""
    for scode, qcode in product((0, 1), (0, 1)):
        path = save(tmp_path / "a.nii", sform=moved(10), scode=scode, qcode=qcode)
        np.testing.assert_array_equal(read_volume(path).affine, nib.load(path).affine)
