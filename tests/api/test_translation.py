"""A model loaded in Python makes the same bits as the command, from files, images and arrays."""

import json
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

import mrcontrast
from mrcontrast.cli import main
from mrcontrast.data.predictions import PredictionFiles
from mrcontrast.errors import MrcontrastError, UsageError
from mrcontrast.phantom import PhantomSubject
from mrcontrast.storage.volume import write_labels, write_volume

MEASURED = ("Seconds", "Cost")


@pytest.fixture(scope="module")
def flair(phantoms: list[PhantomSubject], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A FLAIR file with axes of its own and a mask of a part of the brain next to it."""
    path = tmp_path_factory.mktemp("scan") / "sub-01_FLAIR.nii.gz"
    volume = phantoms[0].images["flair"]
    write_volume(path, volume)
    image = nib.load(path)
    turned = image.as_reoriented(nib.orientations.axcodes2ornt("PIR"))
    turned.set_sform(turned.affine, 2)
    mask = np.zeros(volume.shape, bool)
    mask[20:36, 24:44, 30:34] = phantoms[0].brain_mask[20:36, 24:44, 30:34]
    nib.save(turned, path)
    write_labels(path.with_name("sub-01_desc-brain_mask.nii.gz"), mask, volume.affine)
    return path


def command(flair: Path, output: Path, *options: str) -> dict:
    assert main(["translate", str(flair), str(output), "--device", "cpu", *options]) == 0
    return json.loads(PredictionFiles(output).sidecar.read_text())


def test_a_file_gives_the_files_of_the_command(flair: Path, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs" / "sub-01_desc-synth_T1w.nii.gz"
    ours = tmp_path / "ours" / theirs.name
    options = ("--model", "phantom-2d", "--samples", "2", "--steps", "1", "--seed", "3")
    expected = command(flair, theirs, *options)
    load = mrcontrast.load("phantom-2d", samples=2, steps=1, seed=3, device="cpu")
    result = load(flair)
    result.save(ours)
    sidecar = json.loads(PredictionFiles(ours).sidecar.read_text())
    assert sidecar.keys() == expected.keys()
    assert {key for key in sidecar if sidecar[key] != expected[key]} <= set(MEASURED)
    for name in ("volume", "std"):
        files = [getattr(PredictionFiles(path), name).read_bytes() for path in (theirs, ours)]
        assert files[0] == files[1]
    assert np.array_equal(result.image.get_fdata(), nib.load(theirs).get_fdata())
    assert int(result.image.header["sform_code"]) == 2
    result.save(ours)  # as it is there: kept
    with pytest.raises(UsageError, match="outputs apart from inputs"):
        result.save(flair)


def test_one_sample_has_the_temperature_of_the_command(flair: Path, tmp_path: Path) -> None:
    theirs = tmp_path / "sub-01_desc-synth_T1w.nii.gz"
    expected = command(flair, theirs, "--model", "phantom-2d", "--steps", "1")
    result = mrcontrast.load("phantom-2d", steps=1, device="cpu")(str(flair))
    assert result.facts["Temperature"] == expected["Temperature"] == 0.5
    assert np.array_equal(result.image.get_fdata(), nib.load(theirs).get_fdata())
    assert result.std is None


def test_images_and_arrays_are_translated_like_files(flair: Path, tmp_path: Path) -> None:
    translator = mrcontrast.load("phantom-2d/unet", device="cpu")
    assert (translator.source, translator.target) == (("flair",), "t1w")
    image, mask = nib.load(flair), nib.load(flair.with_name("sub-01_desc-brain_mask.nii.gz"))
    expected = translator(flair)
    data = image.get_fdata(dtype=np.float32)
    turned = nib.orientations.io_orientation(np.linalg.inv(image.affine) @ mask.affine)
    inside = nib.orientations.apply_orientation(np.asarray(mask.dataobj), turned)
    results = [
        translator(image, mask=mask),
        translator({"flair": image}, mask=inside),
        translator(data, affine=image.affine, mask=inside.astype(bool)),
        translator(nib.MGHImage(data, image.affine), mask=mask),
    ]
    for result in results:
        assert np.array_equal(result.image.get_fdata(), expected.image.get_fdata())
        assert np.array_equal(result.mask.get_fdata(), inside)
        np.testing.assert_allclose(result.image.affine, image.affine)
    assert 0 < expected.image.get_fdata().max() <= 1
    assert (expected.image.get_fdata()[inside == 0] == 0).all()
    output = tmp_path / "from_memory.nii.gz"
    results[1].save(output)
    sidecar = json.loads(PredictionFiles(output).sidecar.read_text())
    assert (sidecar["Synthetic"], sidecar["Sources"]) == (True, [])
    assert sidecar["BrainMask"] == "a mask in memory"
    assert int(nib.load(output).header["sform_code"]) == 2
    with pytest.raises(UsageError, match="another model or other options"):
        expected.save(output)
    expected.save(output, overwrite=True)


def test_what_does_not_fit_is_refused(flair: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"phantom-2d, .*got none .phantom2d"):
        mrcontrast.load("phantom2d")
    with pytest.raises(UsageError, match="got a unet_regression, which makes one image"):
        mrcontrast.load("phantom-2d/unet", samples=2)
    with pytest.raises(UsageError, match="got elsewhere"):
        mrcontrast.load("phantom-2d/unet", device="elsewhere")
    translator = mrcontrast.load("phantom-2d/unet", device="cpu")
    data = np.ones((4, 5, 6), np.float32)
    with pytest.raises(UsageError, match=r"affine .* got none \(flair\). Add affine="):
        translator(data)
    with pytest.raises(UsageError, match=r"got one of shape \(3, 3\)"):
        translator(data, affine=np.eye(3))
    with pytest.raises(UsageError, match=r"source flair=FILE for this model, got t2w"):
        translator({"t2w": flair})
    with pytest.raises(MrcontrastError, match=r"only zeros \(flair\)"):
        translator(0 * data, affine=np.eye(4))
    with pytest.raises(MrcontrastError, match=r"got none \(.*nowhere.nii\)"):
        translator(tmp_path / "nowhere.nii")
    with pytest.raises(UsageError, match="which is T1w by its name"):
        translator(flair.rename(flair.with_name("sub-01_T1w.nii.gz")))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prompt": 3.0j}, "(prompt)"),
        ({"prompt": None}, "got None (prompt)"),
        ({"guidance": "2"}, "got 2 (guidance)"),
        ({"without": "t2w"}, "got t2w (without)"),
        ({"control": None}, "got None (control)"),
        ({"samples": 1.5}, "got 1.5 (samples)"),
        ({"known_tags": "shuffled"}, "a prepared data set"),
    ],
)
def test_an_option_of_another_type_is_refused(options: dict, message: str) -> None:
    with pytest.raises(mrcontrast.UsageError) as caught:
        mrcontrast.load("phantom-2d/unet", **options)
    assert message in str(caught.value)


def test_no_image_is_refused() -> None:
    translator = mrcontrast.load("phantom-2d/unet")
    for images in ({}, {"flair": None}):
        with pytest.raises(mrcontrast.UsageError, match="got none"):
            translator(images)


def test_importing_the_package_is_quick() -> None:
    script = "import sys, mrcontrast; assert not {'torch', 'numpy'} & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    names = ["MrcontrastError", "UsageError", "evaluate", "load", "make_phantom", "models"]
    assert set(names) <= set(mrcontrast.__all__)
    assert all(hasattr(mrcontrast, name) for name in mrcontrast.__all__)
    with pytest.raises(AttributeError, match="no attribute 'translate'"):
        mrcontrast.translate  # noqa: B018
