import gzip
import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from mrcontrast.errors import MrcontrastError
from mrcontrast.storage.files import sha256_file, write_json, write_text
from mrcontrast.storage.volume import (
    Volume,
    read_mask,
    read_volume,
    same_grid,
    write_labels,
    write_volume,
)

SHAPE = (5, 6, 7)


def make_volume(seed: int = 0) -> Volume:
    affine = np.diag([-1.0, 2.0, 3.0, 1.0])
    affine[:3, 3] = (10, -20, 30)
    return Volume(np.random.default_rng(seed).normal(size=SHAPE).astype(np.float32), affine)


def save(path: Path, data: np.ndarray, affine: np.ndarray | None = None) -> Path:
    nib.save(nib.Nifti1Image(data, np.eye(4) if affine is None else affine), path)
    return path


def test_properties_follow_the_affine() -> None:
    volume = make_volume()
    assert volume.shape == SHAPE
    assert volume.spacing_mm == (1.0, 2.0, 3.0)
    assert volume.orientation == "LAS"


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "deep/er/a.nii.gz"])
def test_write_then_read_keeps_voxels_and_affine(tmp_path: Path, name: str) -> None:
    volume = make_volume()
    write_volume(tmp_path / name, volume)
    again = read_volume(tmp_path / name)
    np.testing.assert_array_equal(again.data, volume.data)
    np.testing.assert_allclose(again.affine, volume.affine, atol=1e-6)
    header = nib.load(tmp_path / name).header
    assert header["sform_code"] > 0
    assert header["qform_code"] > 0
    assert list((tmp_path / name).parent.iterdir()) == [tmp_path / name]  # nothing unfinished


def test_same_voxels_give_same_bytes(tmp_path: Path) -> None:
    for name in ("a.nii.gz", "b.nii.gz"):
        write_volume(tmp_path / name, make_volume())
    assert sha256_file(tmp_path / "a.nii.gz") == sha256_file(tmp_path / "b.nii.gz")


def test_sha256_of_known_bytes(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    assert sha256_file(tmp_path / "abc").startswith("ba7816bf8f01cfea")


def test_a_fourth_axis_of_one_is_dropped_and_integers_are_scaled(tmp_path: Path) -> None:
    image = nib.Nifti1Image(np.full((*SHAPE, 1), 3, np.int16), np.eye(4))
    image.header.set_slope_inter(2.0, 1.0)
    nib.save(image, tmp_path / "a.nii.gz")
    volume = read_volume(tmp_path / "a.nii.gz")
    assert volume.shape == SHAPE
    assert volume.data.dtype == np.float32
    expected = nib.load(tmp_path / "a.nii.gz").get_fdata()[..., 0]
    np.testing.assert_allclose(volume.data, expected)


def missing(folder: Path) -> Path:
    return folder / "absent.nii.gz"


def text(folder: Path) -> Path:
    (folder / "a.nii.gz").write_text("no image")
    return folder / "a.nii.gz"


def truncated(folder: Path) -> Path:
    data = np.random.default_rng(0).normal(size=(20, 20, 20))
    path = save(folder / "a.nii.gz", data)
    path.write_bytes(path.read_bytes()[:-500])
    return path


def truncated_header(folder: Path) -> Path:
    path = save(folder / "a.nii.gz", np.ones(SHAPE))
    path.write_bytes(path.read_bytes()[:30])
    return path


def truncated_plain(folder: Path) -> Path:
    path = save(folder / "a.nii", np.ones(SHAPE))
    path.write_bytes(path.read_bytes()[:-100])
    return path


def corrupt_stream(folder: Path) -> Path:
    path = save(folder / "a.nii.gz", np.random.default_rng(0).normal(size=(20, 20, 20)))
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2 : len(raw) // 2 + 200] = bytes(200)
    path.write_bytes(bytes(raw))
    return path


def flat(folder: Path) -> Path:
    return save(folder / "a.nii.gz", np.ones((5, 6)))


def series(folder: Path) -> Path:
    return save(folder / "a.nii.gz", np.ones((*SHAPE, 2)))


def zeros(folder: Path) -> Path:
    return save(folder / "a.nii.gz", np.zeros(SHAPE))


def with_value(folder: Path, value: float) -> Path:
    data = np.ones(SHAPE)
    data[1, 2, 3] = value
    return save(folder / "a.nii.gz", data)


def colour(folder: Path) -> Path:
    rgb = np.zeros(SHAPE, np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")]))
    return save(folder / "a.nii.gz", rgb)


def complex_valued(folder: Path) -> Path:
    return save(folder / "a.nii.gz", np.ones(SHAPE, np.complex64))


def singular(folder: Path) -> Path:
    image = nib.Nifti1Image(np.ones(SHAPE), np.eye(4))
    image.header["srow_z"] = image.header["srow_x"]
    image.header["sform_code"] = 1
    header = image.header.binaryblock
    path = folder / "a.nii"
    nib.save(nib.Nifti1Image(np.ones(SHAPE), np.eye(4)), path)
    raw = bytearray(path.read_bytes())
    raw[: len(header)] = header
    raw[108:112] = np.float32(352).tobytes()  # vox_offset of a single file
    path.write_bytes(bytes(raw))
    return path


def analyze(folder: Path) -> Path:
    nib.save(nib.AnalyzeImage(np.ones(SHAPE, np.float32), np.eye(4)), folder / "a.img")
    return folder / "a.img"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (missing, "got none"),
        (text, "another or a damaged one"),
        (truncated, "truncated or damaged"),
        (truncated_header, "another or a damaged one"),
        (truncated_plain, "truncated or damaged"),
        (corrupt_stream, "truncated or damaged"),
        (flat, "got shape 5x6 "),
        (series, "got shape 5x6x7x2 "),
        (zeros, "only zeros"),
        (lambda folder: with_value(folder, np.nan), "1 NaN or infinite"),
        (lambda folder: with_value(folder, np.inf), "1 NaN or infinite"),
        (lambda folder: with_value(folder, 1e300), "1 NaN or infinite"),
        (colour, "real-valued"),
        (complex_valued, "real-valued"),
        (singular, "invertible affine"),
        (analyze, "Spm|Analyze|another"),
    ],
)
def test_a_fault_is_one_line_that_names_the_file(tmp_path: Path, make, message: str) -> None:
    path = make(tmp_path)
    with pytest.raises(MrcontrastError, match=message) as caught:
        read_volume(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_mask_may_be_empty_and_is_cut_at_one_half(tmp_path: Path) -> None:
    volume = make_volume()
    write_labels(tmp_path / "none.nii.gz", np.zeros(SHAPE), volume.affine)
    assert not read_mask(tmp_path / "none.nii.gz", volume).any()
    soft = np.linspace(0, 1, np.prod(SHAPE), dtype=np.float32).reshape(SHAPE)
    write_volume(tmp_path / "soft.nii.gz", Volume(soft, volume.affine))
    mask = read_mask(tmp_path / "soft.nii.gz", volume)
    assert mask.dtype == bool
    np.testing.assert_array_equal(mask, soft > 0.5)


def test_a_mask_on_another_grid_is_refused(tmp_path: Path) -> None:
    write_labels(tmp_path / "mask.nii.gz", np.ones(SHAPE), np.eye(4))
    with pytest.raises(MrcontrastError, match=r"flair\.nii.*mask\.nii"):
        read_mask(tmp_path / "mask.nii.gz", make_volume(), "flair.nii")


def test_an_image_is_no_mask_of_its_own(tmp_path: Path) -> None:
    image, link = tmp_path / "image.nii.gz", tmp_path / "mask.nii.gz"
    write_volume(image, make_volume())
    link.symlink_to(image)
    with pytest.raises(MrcontrastError, match="got the image itself"):
        read_mask(link, make_volume(), image)


def test_grids_that_differ_are_named_with_the_difference() -> None:
    a = make_volume()
    shifted = a.affine.copy()
    shifted[0, 3] += 3
    shifted[1, 3] += 4
    same_grid(a, make_volume(1), "a.nii", "b.nii")
    with pytest.raises(MrcontrastError, match=r"corners 5 mm apart \(a\.nii and b\.nii\)"):
        same_grid(a, Volume(a.data, shifted), "a.nii", "b.nii")
    with pytest.raises(MrcontrastError, match=r"5x6x7 and 5x6x6 \(a\.nii and b\.nii\)"):
        same_grid(a, Volume(a.data[..., :-1], a.affine), "a.nii", "b.nii")


def test_a_small_rotation_shows_at_the_corners() -> None:
    a = Volume(np.ones((100, 100, 100), np.float32), np.eye(4))
    turned = np.eye(4)
    turned[:2, :2] = [[np.cos(0.01), -np.sin(0.01)], [np.sin(0.01), np.cos(0.01)]]
    with pytest.raises(MrcontrastError, match=r"corners 1\.4 mm"):  # 99 * sqrt(2) * 0.01
        same_grid(a, Volume(a.data, turned), "a", "b")


@pytest.mark.parametrize("write", ["volume", "text", "json"])
def test_a_place_that_cannot_be_written_is_named(tmp_path: Path, write: str) -> None:
    (tmp_path / "file").write_text("in the way")
    path = tmp_path / "file" / "below.nii.gz"
    writers = {
        "volume": lambda: write_volume(path, make_volume()),
        "text": lambda: write_text(path, "x"),
        "json": lambda: write_json(path, {}),
    }
    with pytest.raises(MrcontrastError, match="can be written to") as caught:
        writers[write]()
    assert str(path) in str(caught.value)


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"kept": 1})
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(path, {"bad": float("nan")})
    assert json.loads(path.read_text()) == {"kept": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_gzip_holds_no_time(tmp_path: Path) -> None:
    write_volume(tmp_path / "a.nii.gz", make_volume())
    with gzip.open(tmp_path / "a.nii.gz") as file:
        file.read(1)
        assert file.mtime == 0
