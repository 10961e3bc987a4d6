"""What may be the truth: real T1w images without contrast agent, and which file it was."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from mrcontrast.cli import main
from mrcontrast.commands.evaluate import evaluate
from mrcontrast.data.manifest import Manifest
from mrcontrast.data.record import Record
from mrcontrast.data.sidecars import Sidecars
from mrcontrast.errors import MrcontrastError, UsageError
from mrcontrast.evaluation import pairing
from mrcontrast.evaluation.protocol import name_predictions
from mrcontrast.evaluation.real_images import doubt, find_doubts, index_references
from mrcontrast.storage.volume import Volume, read_volume, write_volume


@pytest.fixture
def real(prepared_root: Path) -> dict[str, Volume]:
    records: list[Record] = Manifest.read(prepared_root).split("test")
    return {record.name: read_volume(record.images["t1w"]) for record in records}


def write(folder: Path, real: dict[str, Volume], name: str = "{}_T1w.nii.gz") -> Path:
    for subject, volume in real.items():
        write_volume(folder / name.format(subject), volume)
    return folder


@pytest.mark.parametrize(
    ("name", "sidecar", "words"),
    [
        ("sub-1_T1w", None, None),
        ("sub-1_T1w", {"Synthetic": False, "ContrastBolusIngredient": "none"}, None),
        ("sub-1_acq-mprage_T1w", {"Manufacturer": "A"}, None),
        ("sub-1_desc-synth_T1w", None, "synthetic, by its name"),
        ("sub-1_desc-mySynthSR_T1w", None, "synthetic, by its name"),
        ("sub-1_T1w", {"Synthetic": True}, "synthetic, by its sidecar"),
        ("sub-1_T1w", {"Synthetic": "true"}, "synthetic, by its sidecar"),
        ("sub-1_ce-gad_T1w", None, "taken after contrast agent, by its name"),
        ("case7_t1ce", None, "taken after contrast agent, by its name"),
        ("BraTS-7-t1c", None, "taken after contrast agent, by its name"),
        (
            "sub-1_T1w",
            {"ContrastBolusIngredient": "GADOLINIUM"},
            "taken after contrast agent, by its sidecar",
        ),
        (
            "sub-1_T1w",
            {"ContrastBolusAgent": ["Gadovist"]},
            "taken after contrast agent, by its sidecar",
        ),
        ("sub-1_rec-SynthSR_T1w", None, "synthetic, by its name"),
        ("sub-1_acq-postGd_T1w", None, "taken after contrast agent, by its name"),
    ],
)
def test_name_and_sidecar_tell(
    tmp_path: Path, name: str, sidecar: dict[str, object] | None, words: str | None
) -> None:
    if sidecar is not None:
        (tmp_path / f"{name}.json").write_text(json.dumps(sidecar))
    assert doubt(tmp_path / f"{name}.nii.gz", Sidecars(tmp_path), "t1w") == words


def test_sidecars_of_the_data_set_hold_for_its_images(tmp_path: Path) -> None:
    (tmp_path / "dataset_description.json").write_text("{}")
    (tmp_path / "acq-a_T1w.json").write_bytes(b"\xef\xbb\xbf" + b'{"Synthetic": true}')
    anat = tmp_path / "sub-1" / "anat"
    anat.mkdir(parents=True)
    for name in ("sub-1_acq-a_T1w.nii.gz", "sub-2_acq-b_T1w.nii.gz"):
        (anat / name).touch()
    doubts = find_doubts(index_references(anat, "t1w"), anat, "t1w")
    assert doubts == {"sub-1": "synthetic, by its sidecar"}


@pytest.mark.parametrize("name", ["{}_desc-synth_T1w.nii.gz", "{}_ce-gad_T1w.nii.gz", "{}_T1w.nii"])
def test_references_that_are_none_are_refused_unless_asked_for(
    real: dict[str, Volume], tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ours, refs = write(tmp_path / "ours", real), write(tmp_path / "refs", real, name)
    if name == "{}_T1w.nii":
        (refs / "sub-06_T1w.json").write_text('{"Synthetic": true}')
    paths = ["evaluate", "--predictions", f"{ours}", "--references", f"{refs}"]
    paths += ["--out", f"{tmp_path / 'out'}", "--features", "none"]
    assert main(paths) == 1
    error = capsys.readouterr().err
    assert "Expected real T1w images" in error
    assert "--any-reference" in error
    assert not (tmp_path / "out").exists()
    assert main([*paths, "--any-reference"]) == 0
    inputs = json.loads((tmp_path / "out" / "summary.json").read_text())["inputs"]
    assert set(inputs["doubtful_references"]) == {"sub-05", "sub-06"} - (
        {"sub-05"} if name == "{}_T1w.nii" else set()
    )
    files = inputs["files"]["sub-06"]
    assert files["reference"] == str(refs / name.format("sub-06"))
    assert files["predictions"] == {"ours": str(ours / "sub-06_T1w.nii.gz")}


def test_of_several_images_the_real_one_is_the_reference(
    real: dict[str, Volume], tmp_path: Path
) -> None:
    ours, refs = write(tmp_path / "ours", real), write(tmp_path / "refs", real)
    for name in ("{}_ce-gad_T1w.nii.gz", "{}_desc-synth_T1w.nii.gz"):
        write(refs, {key: Volume(1 - v.data, v.affine) for key, v in real.items()}, name)
    summary = evaluate({"ours": ours}, refs, tmp_path / "out")
    assert summary["methods"]["ours"]["image"]["mae"]["mean"] == 0
    assert summary["inputs"]["doubtful_references"] == {}


def stored(volume: Volume, order: tuple[int, ...], flips: tuple[int, ...]) -> Volume:
    """Store the same voxels with axes in another order and direction."""
    affine = volume.affine.copy()
    for axis in flips:
        affine[:3, 3] += affine[:3, axis] * (volume.shape[axis] - 1)
        affine[:3, axis] *= -1
    columns = [*order, 3]
    return Volume(np.flip(volume.data, flips).transpose(order), affine[:, columns])


@pytest.mark.parametrize(
    ("order", "flips"), [((0, 1, 2), (0,)), ((2, 0, 1), (0, 2)), ((1, 0, 2), (1,))]
)
def test_axes_in_another_order_cost_nothing(
    real: dict[str, Volume], tmp_path: Path, order: tuple[int, ...], flips: tuple[int, ...]
) -> None:
    """Predictions, their deviation, and masks; also of an oblique scan."""
    angle = 0.6
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    oblique = {name: Volume(v.data, turn @ v.affine) for name, v in real.items()}
    refs = write(tmp_path / "refs", oblique)
    turned = {name: stored(v, order, flips) for name, v in oblique.items()}
    ours = write(tmp_path / "ours", turned, "{}_desc-synth_T1w.nii.gz")
    deviation = {n: Volume(v.data * np.float32(0.1), v.affine) for n, v in turned.items()}
    write(ours, deviation, "{}_desc-synthstd_T1w.nii.gz")
    brains = {n: Volume((v.data > 0).astype(np.float32), v.affine) for n, v in turned.items()}
    masks = write(tmp_path / "masks", brains, "{}_desc-brain_mask.nii.gz")
    summary = evaluate({"ours": ours}, refs, tmp_path / "out", masks)
    assert summary["methods"]["ours"]["image"]["mae"]["mean"] == 0
    assert summary["checks"]["uncertainty"]["methods"]["ours"]["coverage"]["1_sd"]["mean"] == 1
    assert summary["diversity"]["ms_ssim"]["ours"] == summary["diversity"]["ms_ssim"]["real"]


def test_another_place_is_refused_with_its_true_distance(
    real: dict[str, Volume], tmp_path: Path
) -> None:
    moved = {name: stored(volume, (0, 1, 2), (0,)) for name, volume in real.items()}
    for volume in moved.values():
        volume.affine[1, 3] += 7.5
    ours, refs = write(tmp_path / "ours", moved), write(tmp_path / "refs", real)
    with pytest.raises(MrcontrastError, match=r"one grid, got corners 7.5 mm apart"):
        evaluate({"ours": ours}, refs, tmp_path / "out")


def test_nan_is_background_outside_the_brain_and_a_fault_in_it(
    real: dict[str, Volume], tmp_path: Path
) -> None:
    holed = {n: Volume(np.where(v.data > 0, v.data, np.nan), v.affine) for n, v in real.items()}
    ours, refs = write(tmp_path / "ours", holed), write(tmp_path / "refs", holed)
    figures = evaluate({"ours": ours}, refs, tmp_path / "out")["methods"]["ours"]
    assert figures["image"]["mae"]["mean"] == 0
    holed["sub-05"].data[16, 20, 12] = np.nan
    write(ours, holed)
    with pytest.raises(MrcontrastError, match=r"finite voxels in the brain mask, got 1 NaN .*ours"):
        evaluate({"ours": ours}, refs, tmp_path / "out")


def test_the_cause_is_named(real: dict[str, Volume], tmp_path: Path) -> None:
    ours, refs = write(tmp_path / "ours", real), write(tmp_path / "refs", real)
    signed = {n: Volume(np.where(v.data > 0, v.data, -1), v.affine) for n, v in real.items()}
    masks = write(tmp_path / "masks", signed, "{}_mask.nii.gz")
    with pytest.raises(MrcontrastError, match="mask of 0 outside and 1 inside, got values from -1"):
        evaluate({"ours": ours}, refs, tmp_path / "out", masks)
    slices = {name: Volume(v.data[:, :, 11:12], v.affine) for name, v in real.items()}
    thin = write(tmp_path / "thin", slices)
    with pytest.raises(MrcontrastError, match=r"11 axial slices for SSIM, got 1 .*--dims 2"):
        evaluate({"thin": thin}, thin, tmp_path / "out")
    heads = {name: Volume(v.data + 1, v.affine) for name, v in real.items()}
    head = write(tmp_path / "head", heads)
    with pytest.raises(MrcontrastError, match=r"skull-stripped volume.*Give brain masks by --mask"):
        evaluate({"ours": ours}, head, tmp_path / "out")
    (tmp_path / "empty").mkdir()
    for folders in ((tmp_path / "empty", refs), (ours, tmp_path / "empty")):
        with pytest.raises(MrcontrastError, match=r"Expected NIfTI images, got none \(.*empty\)"):
            evaluate({"ours": folders[0]}, folders[1], tmp_path / "out")
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="Expected a folder for the results, got a file"):
        evaluate({"ours": ours}, refs, tmp_path / "file")
    (ours / "again").mkdir()
    write(ours / "again", real)
    with pytest.raises(MrcontrastError, match="one image of sub-05, got again/sub-05_T1w"):
        evaluate({"ours": ours}, refs, tmp_path / "out")


def test_a_folder_that_cannot_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: str) -> None:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(MrcontrastError, match="can be read, got Permission denied"):
        pairing.volumes_in(tmp_path)


def test_names_that_are_not_utf8(real: dict[str, Volume], tmp_path: Path) -> None:
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    refs = write(folder / "refs", real)
    ours = write(folder / "ours", real)
    for path in (ours, refs):  # no sub- entity is left
        for number, file in enumerate(sorted(path.iterdir())):
            file.rename(path / os.fsdecode(b"p\xe9ter%d_T1w.nii.gz" % number))
    paths = ["--predictions", f"{ours}", "--references", f"{refs}", "--out", f"{folder / 'out'}"]
    assert main(["evaluate", *paths, "--features", "none", "--report"]) == 0
    summary = json.loads((folder / "out" / "summary.json").read_text())
    assert summary["subjects"] == [r"p\udce9ter0", r"p\udce9ter1"]
    assert (folder / "out" / "report.html").is_file()


def test_a_folder_with_an_equals_sign_is_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "po=1,2"
    folder.mkdir()
    assert name_predictions([f"{folder}"]) == {"po=1,2": folder}
    assert name_predictions([f"{folder}"], "ours") == {"ours": folder}
    assert name_predictions([f"ours={folder}", "b=x"]) == {"ours": folder, "b": Path("x")}
    assert name_predictions([f"{folder}/none"]) == {"none": folder / "none"}
    with pytest.raises(UsageError, match="NAME=DIR"):
        name_predictions([f"{folder}", "b=x"])


def test_of_a_folder_and_a_name_the_folder_that_is_there_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a=b").mkdir()
    assert name_predictions(["a=b"]) == {"a=b": Path("a=b")}
    Path("b").mkdir()
    assert name_predictions(["a=b"]) == {"a": Path("b")}
