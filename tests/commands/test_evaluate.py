"""From folders to figures: what is matched, what is refused, and what the summary says."""

import csv
import io
import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from skimage.metrics import structural_similarity

from conftest import LESION_CENTRE
from mrcontrast.cli import main
from mrcontrast.commands.evaluate import evaluate
from mrcontrast.data.manifest import Manifest
from mrcontrast.data.record import Record
from mrcontrast.errors import MrcontrastError, UsageError
from mrcontrast.evaluation.metric_list import METRICS, REGIONS
from mrcontrast.evaluation.protocol import Protocol, name_predictions, read_features, read_range
from mrcontrast.evaluation.terminal import to_rich
from mrcontrast.storage.files import write_text
from mrcontrast.storage.volume import Volume, read_mask, read_volume, write_volume

Change = Callable[[np.ndarray], np.ndarray]


def write_predictions(
    folder: Path, records: list[Record], change: Change, name: str = "{}_desc-synth_T1w.nii.gz"
) -> Path:
    for record in records:
        real = read_volume(record.images["t1w"])
        write_volume(folder / name.format(record.name), Volume(change(real.data), real.affine))
    return folder


def noisy(image: np.ndarray) -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, 0.1, image.shape)
    return np.where(image > 0, image + noise, 0).astype(np.float32)


def rows_of(out: Path) -> list[dict[str, str]]:
    with (out / "subjects.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def test_records(prepared_root: Path) -> list[Record]:
    return Manifest.read(prepared_root).split("test")


def test_values_agree_with_the_arrays(
    prepared_root: Path, test_records: list[Record], tmp_path: Path
) -> None:
    predictions = write_predictions(tmp_path / "ours", test_records, noisy)
    summary = evaluate({"ours": predictions}, prepared_root, tmp_path / "out")
    expected: dict[str, list[float]] = {"mae": [], "ssim": []}
    for record in test_records:
        real = read_volume(record.images["t1w"])
        mask = read_mask(record.brain_mask, real)
        synthetic = noisy(real.data).astype(float)
        expected["mae"].append(np.abs(synthetic - real.data)[mask].mean())
        _, image = structural_similarity(
            real.data.astype(float),
            synthetic,
            data_range=1.0,
            full=True,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
        expected["ssim"].append(image[mask].mean())
    for metric, values in expected.items():
        statistic = summary["methods"]["ours"]["brain"][metric]
        assert statistic["mean"] == pytest.approx(np.mean(values), abs=1e-5)
        assert statistic["sd"] == pytest.approx(np.std(values, ddof=1), abs=1e-5)
        assert statistic["n"] == 2
        rows = [row for row in rows_of(tmp_path / "out") if row["region"] == "brain"]
        assert [float(row[metric]) for row in rows] == pytest.approx(values, abs=1e-5)


def test_the_files_say_what_was_done(
    prepared_root: Path, test_records: list[Record], tmp_path: Path
) -> None:
    ours = write_predictions(tmp_path / "ours", test_records, noisy)
    dark = write_predictions(tmp_path / "dark", test_records, lambda image: image * 0.5 - 0.2)
    out = tmp_path / "new" / "out"
    returned = evaluate({"ours": ours, "dark": dark}, prepared_root, out)
    summary = json.loads((out / "summary.json").read_text())
    assert summary == json.loads(json.dumps(returned))
    assert list(summary["methods"]) == ["ours", "dark"]
    assert summary["intensity_range"]["data_range"] == 1.0
    assert summary["normalisation"] == "none: voxels as stored"
    assert summary["metrics"]["ssim"]["window"]["kernel"] == "gaussian"
    assert summary["metrics"]["ms_ssim"]["num_scales"] == 2
    assert summary["inputs"]["splits"] == ["test"]
    assert "desc-brain_mask" in summary["inputs"]["masks"]
    assert (summary["subjects"], summary["missing"]) == (["sub-05", "sub-06"], {})
    assert summary["methods"]["dark"]["image"]["share_outside"]["mean"] > 0.3
    assert list(summary["regions"]) == list(REGIONS)
    assert len(rows_of(out)) == 2 * 2 * len(REGIONS)
    assert {m.name for m in METRICS if m.per != "lesion"} < set(rows_of(out)[0])
    assert "| ours | 2 |" in (out / "summary.md").read_text()


def test_a_volume_with_itself(
    prepared_root: Path, test_records: list[Record], tmp_path: Path
) -> None:
    same = write_predictions(tmp_path / "same", test_records, lambda image: image)
    figures = evaluate({"same": same}, prepared_root, tmp_path / "out")["methods"]["same"]["brain"]
    assert figures["mae"]["mean"] == 0
    assert figures["ssim"]["mean"] == pytest.approx(1.0, abs=1e-12)
    assert (figures["ms_ssim"]["sd"], figures["ms_ssim"]["ci95"]) == (pytest.approx(0), None)
    assert figures["psnr"]["mean"] is None
    assert {row["psnr"] for row in rows_of(tmp_path / "out")} == {str(math.inf)}


def test_foreign_names_without_masks(test_records: list[Record], tmp_path: Path) -> None:
    theirs = write_predictions(tmp_path / "theirs", test_records, noisy, "case{}.nii")
    real = write_predictions(tmp_path / "real", test_records, lambda image: image, "case{}.nii.gz")
    for folder in (theirs, real):  # no BIDS entity is left in the names
        for path in folder.iterdir():
            path.rename(folder / path.name.replace("sub-", ""))
    summary = evaluate({"theirs": theirs}, real, tmp_path / "out")
    assert summary["subjects"] == ["case05", "case06"]
    assert summary["inputs"]["masks"].startswith("non-zero voxels")
    brain = [row for row in rows_of(tmp_path / "out") if row["region"] == "brain"]
    truth = [int((read_volume(record.images["t1w"]).data != 0).sum()) for record in test_records]
    assert [int(row["voxels"]) for row in brain] == pytest.approx(truth, rel=0.02)


def test_masks_of_another_folder_decide(
    prepared_root: Path, test_records: list[Record], tmp_path: Path
) -> None:
    def wrong_in_front(image: np.ndarray) -> np.ndarray:
        return np.where(np.arange(image.shape[1])[:, None] > 20, 1 - image, image)

    for record in test_records:
        real = read_volume(record.images["t1w"])
        back = np.broadcast_to(np.arange(real.shape[1])[:, None] <= 20, real.shape)
        write_volume(
            tmp_path / "masks" / f"{record.name}_mask.nii.gz",
            Volume(back.astype(np.float32), real.affine),
        )
    ours = write_predictions(tmp_path / "ours", test_records, wrong_in_front)
    summary = evaluate({"ours": ours}, prepared_root, tmp_path / "out", tmp_path / "masks")
    assert summary["methods"]["ours"]["brain"]["mae"]["mean"] == 0
    assert summary["methods"]["ours"]["image"]["mae"]["mean"] > 0.1
    (tmp_path / "masks" / "sub-05_mask.nii.gz").unlink()
    with pytest.raises(MrcontrastError, match="mask of every subject, got none of sub-05"):
        evaluate({"ours": ours}, prepared_root, tmp_path / "out", tmp_path / "masks")


def test_a_missing_prediction_is_refused_or_listed(
    prepared_root: Path, test_records: list[Record], tmp_path: Path
) -> None:
    ours = write_predictions(tmp_path / "ours", test_records[:1], noisy)
    with pytest.raises(MrcontrastError, match="prediction for each reference, got none for sub-06"):
        evaluate({"ours": ours}, prepared_root, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    summary = evaluate({"ours": ours}, prepared_root, tmp_path / "out", allow_missing=True)
    assert summary["missing"] == {"ours": {"no_reference": [], "no_prediction": ["sub-06"]}}
    statistic = summary["methods"]["ours"]["brain"]["psnr"]
    assert (statistic["sd"], statistic["ci95"], statistic["n"]) == (None, None, 1)


def test_methods_are_compared_over_the_same_subjects(
    prepared_root: Path, test_records: list[Record], tmp_path: Path
) -> None:
    """The subject that one method lacks is an easy one of the other."""
    both = write_predictions(tmp_path / "both", test_records[:1], noisy)
    write_predictions(both, test_records[1:], lambda image: image)
    one = write_predictions(tmp_path / "one", test_records[:1], noisy)
    methods = {"both": both, "one": one}
    with pytest.raises(MrcontrastError, match=r"got none for sub-06 \(one: "):
        evaluate(methods, prepared_root, tmp_path / "out")
    summary = evaluate(methods, prepared_root, tmp_path / "out", allow_missing=True)
    assert summary["subjects"] == ["sub-05"]
    figures = [summary["methods"][name]["brain"]["mae"] for name in methods]
    assert figures[0] == figures[1]
    assert summary["missing"] == {
        "both": {"not_predicted_by_all": ["sub-06"]},
        "one": {"no_reference": [], "no_prediction": ["sub-06"]},
    }
    listed = (tmp_path / "out" / "summary.md").read_text()
    assert "- both, not predicted by all: sub-06" in listed
    other = write_predictions(tmp_path / "other", test_records[1:], noisy)
    with pytest.raises(MrcontrastError, match="subject that all methods predict, got none"):
        evaluate(methods | {"other": other}, prepared_root, tmp_path / "none", allow_missing=True)
    assert not (tmp_path / "none").exists()


def test_a_missing_reference_is_refused_or_listed(
    prepared_root: Path, test_records: list[Record], tmp_path: Path
) -> None:
    ours = write_predictions(tmp_path / "ours", test_records, noisy)
    shutil.copy(ours / "sub-05_desc-synth_T1w.nii.gz", ours / "sub-77_desc-synth_T1w.nii.gz")
    with pytest.raises(MrcontrastError, match="reference for each prediction, got none for sub-77"):
        evaluate({"ours": ours}, prepared_root, tmp_path / "out")
    summary = evaluate({"ours": ours}, prepared_root, tmp_path / "out", allow_missing=True)
    assert summary["missing"]["ours"]["no_reference"] == ["sub-77"]


@pytest.mark.parametrize("name", ["subjects.csv", "summary.json", "summary.md", "summary.tex"])
def test_tables_of_others_are_not_replaced(
    test_records: list[Record], prepared_root: Path, tmp_path: Path, name: str
) -> None:
    predictions = {"same": write_predictions(tmp_path / "same", test_records, np.copy)}
    out = tmp_path / "out"
    write_text(out / name, "theirs")
    with pytest.raises(MrcontrastError, match=rf"got {name} of something else"):
        evaluate(predictions, prepared_root, out)
    assert [path.read_text() for path in out.iterdir()] == ["theirs"]


def test_nothing_in_common_is_refused_even_when_missing_is_allowed(
    prepared_root: Path, test_records: list[Record], tmp_path: Path
) -> None:
    theirs = write_predictions(tmp_path / "theirs", test_records, noisy, "x{}.nii")
    (tmp_path / "empty").mkdir()
    for folder in (theirs, tmp_path / "empty"):
        with pytest.raises(MrcontrastError):
            evaluate({"theirs": folder}, prepared_root, tmp_path / "out", allow_missing=True)


def test_another_grid_is_refused(
    prepared_root: Path, test_records: list[Record], tmp_path: Path
) -> None:
    ours = write_predictions(tmp_path / "ours", test_records, lambda image: image[1:])
    with pytest.raises(MrcontrastError, match=r"one grid, got shapes 32x40x24 and 31x40x24"):
        evaluate({"ours": ours}, prepared_root, tmp_path / "out")


def test_sessions_of_one_subject_count_once(test_records: list[Record], tmp_path: Path) -> None:
    real = tmp_path / "real"
    for name in ("sub-01_ses-1", "sub-01_ses-2", "sub-02_ses-1"):
        write_predictions(real, test_records[:1], lambda image: image, name + "_T1w.nii.gz")
    ours = tmp_path / "ours"
    for name, error in (("sub-01_ses-1", 0.1), ("sub-01_ses-2", 0.3), ("sub-02", 0.4)):
        write_predictions(
            ours, test_records[:1], lambda image, error=error: image + error, name + ".nii.gz"
        )
    statistic = evaluate({"ours": ours}, real, tmp_path / "out")["methods"]["ours"]["image"]["mae"]
    assert statistic["n"] == 2
    assert statistic["mean"] == pytest.approx((0.2 + 0.4) / 2, abs=1e-5)
    assert [row["session"] for row in rows_of(tmp_path / "out")[::2]] == ["ses-1", "ses-2", "ses-1"]


def test_the_range_is_never_guessed(test_records: list[Record], tmp_path: Path) -> None:
    names = "{}_T1w.nii.gz"
    real = write_predictions(tmp_path / "real", test_records, lambda image: 500 * image, names)
    ours = write_predictions(tmp_path / "ours", test_records, lambda image: 500 * noisy(image))
    with pytest.raises(UsageError, match=r"in \[0, 1\], got.*--normalise-references .*--range LO"):
        evaluate({"ours": ours}, real, tmp_path / "out")
    fixed = evaluate({"ours": ours}, real, tmp_path / "out", protocol=Protocol((0, 500)))
    assert fixed["intensity_range"] | {"low": 0, "high": 500} == fixed["intensity_range"]
    own = evaluate({"ours": ours}, real, tmp_path / "out", protocol=Protocol("reference"))
    assert "percentile 99.5 in the mask" in own["normalisation"]
    highs = [float(row["range_high"]) for row in rows_of(tmp_path / "out")[::2]]
    for high, record in zip(highs, test_records, strict=True):
        image = 500 * read_volume(record.images["t1w"]).data
        assert high == pytest.approx(np.percentile(image[image > 0], 99.5), rel=0.01)
    units = [result["methods"]["ours"]["brain"]["mae"]["mean"] for result in (fixed, own)]
    assert units[0] == pytest.approx(np.mean(highs) * units[1], rel=0.05)


def with_head(image: np.ndarray) -> np.ndarray:
    """In scanner units, with tissue around the brain, as before a skull is stripped."""
    return np.where(image > 0, 700 * image + 40, 300).astype(np.float32)


def write_raw(folder: Path, records: list[Record]) -> tuple[Path, Path, Path]:
    """Write raw references, their masks, and predictions that are the normalised references."""
    real = write_predictions(folder / "real", records, with_head, "{}_T1w.nii.gz")
    for record in records:
        mask = read_volume(record.brain_mask)
        raw = with_head(read_volume(record.images["t1w"]).data)
        low, high = np.percentile(raw[mask.data > 0].astype(float), [0.5, 99.5])
        scaled = np.clip((raw - low) / (high - low), 0, 1) * mask.data
        path = folder / "same" / f"{record.name}_desc-synth_T1w.nii.gz"
        write_volume(path, Volume(scaled.astype(np.float32), mask.affine))
        write_volume(folder / "masks" / f"{record.name}_mask.nii.gz", mask)
    return real, folder / "masks", folder / "same"


def test_a_prediction_equal_to_the_normalised_reference_has_no_error(
    test_records: list[Record], tmp_path: Path
) -> None:
    real, masks, same = write_raw(tmp_path, test_records)
    shutil.copytree(same, tmp_path / "off")
    for path in (tmp_path / "off").glob("*.nii.gz"):
        volume = read_volume(path)
        write_volume(path, Volume(volume.data + np.float32(0.25), volume.affine))
    methods = {"same": same, "off": tmp_path / "off"}
    name = "percentile-0.5-99.5"
    summary = evaluate(methods, real, tmp_path / "out", masks, protocol=Protocol(None, name))
    for region in ("brain", "image"):
        errors = {method: summary["methods"][method][region]["mae"]["mean"] for method in methods}
        assert errors["same"] == pytest.approx(0, abs=1e-6)
        assert errors["off"] == pytest.approx(0.25, abs=1e-6)
    assert summary["methods"]["off"]["brain"]["psnr"]["mean"] == pytest.approx(12.0412, abs=1e-3)


def test_the_normaliser_of_the_references_is_named(
    test_records: list[Record], tmp_path: Path
) -> None:
    real, masks, same = write_raw(tmp_path, test_records)
    name, out = "percentile-1-99", tmp_path / "out"
    evaluate({"same": same}, real, out, masks, protocol=Protocol(None, name))
    summary = json.loads((out / "summary.json").read_text())
    assert summary["reference_normaliser"] == name
    assert summary["normalisation"].startswith("percentile-1-99 of each reference over its mask")
    assert (summary["intensity_range"]["low"], summary["intensity_range"]["high"]) == (0, 1)
    assert f"references normalised by {name}" in (out / "summary.md").read_text()
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(to_rich(summary))
    assert f"references normalised by {name}" in console.export_text()


def test_references_are_normalised_once_and_by_what_there_is(
    prepared_root: Path, test_records: list[Record], tmp_path: Path
) -> None:
    real, masks, same = write_raw(tmp_path, test_records)
    name, out = "percentile-0.5-99.5", tmp_path / "out"
    with pytest.raises(UsageError, match=r"scaled once, got .* and --range reference"):
        evaluate({"same": same}, real, out, masks, protocol=Protocol("reference", name))
    with pytest.raises(UsageError, match=r"scaled once, got .* and a prepared data set"):
        evaluate({"same": same}, prepared_root, out, protocol=Protocol(None, name))
    for unknown in ("zscore", "percentile-99-1", "percentile-a-b"):
        with pytest.raises(UsageError, match=f"got {unknown} .--normalise-references"):
            evaluate({"same": same}, real, out, masks, protocol=Protocol(None, unknown))
    flat = write_predictions(tmp_path / "flat", test_records, np.ones_like, "{}_T1w.nii.gz")
    with pytest.raises(MrcontrastError, match=r"vary in the mask.*sub-05_T1w\.nii\.gz"):
        evaluate({"same": same}, flat, out, masks, protocol=Protocol(None, name))
    assert not out.exists()


def test_the_command_line_normalises_references(
    test_records: list[Record], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    real, masks, same = write_raw(tmp_path, test_records)
    paths = ["--predictions", f"same={same}", "--references", f"{real}", "--mask", f"{masks}"]
    options = ["--normalise-references", "percentile-0.5-99.5", "--out", f"{tmp_path / 'out'}"]
    options += ["--features", "none"]
    assert main(["evaluate", *paths, *options]) == 0
    assert "percentile-0.5-99.5" in capsys.readouterr().out
    assert all(float(row["mae"]) < 1e-6 for row in rows_of(tmp_path / "out"))


def test_several_processes_give_the_same_figures(
    prepared_root: Path, test_records: list[Record], tmp_path: Path
) -> None:
    ours = write_predictions(tmp_path / "ours", test_records, noisy)
    one = evaluate({"ours": ours}, prepared_root, tmp_path / "out")
    assert (
        evaluate({"ours": ours}, prepared_root, tmp_path / "out", protocol=Protocol(num_workers=2))
        == one
    )


@pytest.mark.parametrize(
    ("values", "method", "expected"),
    [
        (["out/synth"], None, {"synth": Path("out/synth")}),
        (["out/synth"], "lookup", {"lookup": Path("out/synth")}),
        (["a=x", "b=y=z"], None, {"a": Path("x"), "b": Path("y=z")}),
    ],
)
def test_predictions_as_typed(
    values: list[str], method: str | None, expected: dict[str, Path]
) -> None:
    assert name_predictions(values, method) == expected


@pytest.mark.parametrize(
    ("values", "method"),
    [(["x", "y"], None), (["a=x", "a=y"], None), (["a=x", "b=y"], "c"), (["=x", "b=y"], None)],
)
def test_predictions_without_a_name_of_their_own(values: list[str], method: str | None) -> None:
    with pytest.raises(UsageError, match="NAME=DIR"):
        name_predictions(values, method)


def test_range_as_typed() -> None:
    assert read_range(None) is None
    assert read_range(["reference"]) == "reference"
    assert read_range(["-1", "1"]) == (-1.0, 1.0)
    for values in (["1", "0"], ["0"], ["a", "b"], ["0", "nan"], ["0", "1", "2"]):
        with pytest.raises(UsageError, match="--range"):
            read_range(values)


def erased(image: np.ndarray) -> np.ndarray:
    """Paint over the lesion of the fixtures."""
    x, y, z = LESION_CENTRE
    changed = image.copy()
    changed[x - 3 : x + 4, y - 3 : y + 4, z - 3 : z + 4] = 0.9
    return changed


def test_lesions_of_the_data_set_and_of_a_folder(
    prepared_root: Path, test_records: list[Record], tmp_path: Path
) -> None:
    ours = write_predictions(tmp_path / "ours", test_records, erased)
    figures = evaluate({"ours": ours}, prepared_root, tmp_path / "out")["methods"]["ours"]
    assert figures["lesion"]["mae"]["mean"] > 10 * figures["healthy"]["mae"]["mean"]
    real = write_predictions(tmp_path / "real", test_records, lambda i: i, "{}_T1w.nii.gz")
    bare = evaluate({"ours": ours}, real, tmp_path / "bare")
    assert set(bare["methods"]["ours"]) == {"brain", "image"}
    assert bare["inputs"]["lesion_masks"] is None
    lesions = tmp_path / "lesions"
    lesions.mkdir()
    shutil.copy(test_records[0].lesion_mask, lesions / "sub-05_label-lesion_mask.nii.gz")
    given = evaluate({"ours": ours}, real, tmp_path / "given", lesion_masks=lesions)
    assert given["methods"]["ours"]["lesion"]["mae"]["n"] == 1
    assert given["methods"]["ours"]["brain"]["mae"]["n"] == 2
    assert given["inputs"]["lesion_masks"].endswith("of 1 of 2 sessions")
    (tmp_path / "empty").mkdir()
    with pytest.raises(MrcontrastError, match="lesion mask of some subject, got none of sub-05"):
        evaluate({"ours": ours}, real, tmp_path / "none", lesion_masks=tmp_path / "empty")


@pytest.mark.parametrize(
    ("name", "file", "words"),
    [
        ("md", "summary.md", "| ours | 2 |"),
        ("csv", "summary.csv", "ours,2,"),
        ("latex", "summary.tex", "ours & 2 &"),
    ],
)
def test_tables_in_the_format_asked_for(
    prepared_root: Path,
    test_records: list[Record],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    file: str,
    words: str,
) -> None:
    ours = write_predictions(tmp_path / "ours", test_records, noisy)
    paths = ["--predictions", f"ours={ours}", "--references", f"{prepared_root}"]
    options = ["--out", f"{tmp_path / 'out'}", "--format", name, "--features", "none"]
    assert main(["evaluate", *paths, *options]) == 0
    printed = capsys.readouterr().out
    assert words in printed
    assert (tmp_path / "out" / file).read_text() == printed


def test_every_evaluation_of_ours_is_checked(
    prepared_root: Path, test_records: list[Record], tmp_path: Path
) -> None:
    """The same noise is the error and, in size, the predicted spread: it is calibrated."""

    def write(method: str, change: Change) -> Path:
        return write_predictions(tmp_path / method, test_records, change)

    train = read_volume(Manifest.read(prepared_root).split("train")[0].images["t1w"]).data
    predictions = {
        "ours": write("ours", noisy),
        "ours_shuffled": write("ours_shuffled", lambda image: noisy(image[::-1])),
        "thief": write("thief", lambda image: train),
        "autoencoder": write("autoencoder", lambda image: image + np.float32(0.001)),
    }
    for record in test_records:
        real = read_volume(record.images["t1w"])
        spread = Volume(np.full(real.shape, 0.1, np.float32), real.affine)
        write_volume(tmp_path / "ours" / f"{record.name}_desc-synthstd_T1w.nii.gz", spread)
        (tmp_path / "ours" / f"{record.name}_desc-synth_T1w.json").write_text('{"Samples": 8}')
    summary = evaluate(predictions, prepared_root, tmp_path / "out")
    checks = summary["checks"]
    assert checks["shuffled_source"]["methods"]["ours"]["change"]["correlation"]["mean"] > 0.5
    assert checks["shuffled_source"]["untested"] == ["thief", "autoencoder"]
    gap = checks["autoencoder_ceiling"]["ceilings"]["autoencoder"]["gap"]
    assert gap["ours"]["psnr"]["mean"] == pytest.approx(60 - 20, abs=1)
    spread_found = checks["uncertainty"]["methods"]
    assert list(spread_found) == ["ours"]
    assert spread_found["ours"]["samples"] == 8
    assert spread_found["ours"]["scale"]["mean"] == pytest.approx(1, abs=0.05)
    assert spread_found["ours"]["coverage"]["1_sd"]["mean"] == pytest.approx(0.683, abs=0.03)
    nearest = checks["nearest_training"]["methods"]
    assert nearest["ours"]["copied"] == nearest["autoencoder"]["copied"] == []
    assert nearest["thief"]["copied"] == ["sub-05", "sub-06"]
    assert {s["nearest"] for s in nearest["thief"]["sessions"].values()} == {"sub-01"}
    diversity = summary["diversity"]["ms_ssim"]
    assert diversity["thief"] == {"mean": pytest.approx(1), "pairs": 1}
    assert diversity["real"]["mean"] < 0.99
    text = (tmp_path / "out" / "summary.md").read_text()
    for words in (
        "| ours | unknown | 2 |",
        "| thief | sub-05, sub-06 |",
        "| ours | 8 |",
        "## Diversity",
    ):
        assert words in text


def test_without_training_data_there_is_no_neighbour(
    test_records: list[Record], tmp_path: Path
) -> None:
    real = write_predictions(tmp_path / "real", test_records, lambda i: i, "{}_T1w.nii.gz")
    ours = write_predictions(tmp_path / "ours", test_records, noisy)
    summary = evaluate({"ours": ours}, real, tmp_path / "out")
    assert summary["checks"]["nearest_training"] is None
    assert summary["checks"]["uncertainty"]["methods"] == {}


def test_feature_distances_are_named_and_fid_of_few_is_refused(
    prepared_root: Path, test_records: list[Record], tmp_path: Path
) -> None:
    features = read_features()
    assert features is not None
    features |= {"slices_per_axis": 2, "size_voxels": 32}
    same = write_predictions(tmp_path / "same", test_records, lambda image: image)
    ours = write_predictions(tmp_path / "ours", test_records, noisy)
    out = tmp_path / "out"
    methods = {"same": same, "ours": ours}
    summary = evaluate(methods, prepared_root, out, protocol=Protocol(features=features))
    perceptual = "perceptual_efficientnet_lite0_2.5d"
    figures = {name: summary["methods"][name]["brain"][perceptual] for name in methods}
    assert figures["same"]["mean"] == pytest.approx(0, abs=1e-6)
    assert figures["ours"]["mean"] > 0.05
    assert figures["ours"]["n"] == 2
    found = summary["features"]
    assert found["extractor"]["weights_sha256"].startswith("579344248a93")
    names = ["kid", "mmd", "fid"]
    assert list(found["methods"]["ours"]) == [f"{n}_efficientnet_lite0_2.5d_n12" for n in names]
    kid, mmd, fid = zip(*(found["methods"][name].values() for name in methods), strict=True)
    assert "n = 12 v 12 of 2 sessions" in kid[0]["name"]
    assert kid[0]["value"] < kid[1]["value"]
    assert mmd[0]["value"] < mmd[1]["value"]
    assert fid[0]["value"] is None
    assert "more feature vectors than their 1280 dimensions" in fid[0]["refused"]
    assert all(float(row[perceptual]) < 1e-6 for row in rows_of(out)[:1])
    text = (out / "summary.md").read_text()
    assert "| ours | KID (efficientnet_lite0_2.5d, n = 12 v 12 of 2 sessions) |" in text
    json.loads((out / "summary.json").read_text())


def test_feature_networks_as_typed(tmp_path: Path) -> None:
    assert read_features("none") is None
    with pytest.raises(UsageError, match=r"Expected one of efficientnet_lite0, .* got vgg"):
        read_features("vgg")
    with pytest.raises(UsageError, match="--feature-weights FILE for the features medicalnet"):
        read_features("medicalnet_resnet10")
    with pytest.raises(UsageError, match="--feature-sha256 HEX for the features inception"):
        read_features("inception", tmp_path / "inception.pt")
    node = read_features("radimagenet_resnet50", tmp_path / "ResNet50.pt", "ab" * 32)
    assert node is not None
    assert node["network"]["path"].endswith("ResNet50.pt")
    assert node["network"]["sha256"] == "ab" * 32


def test_slices_are_scored_in_two_dimensions(
    prepared_root: Path, test_records: list[Record], tmp_path: Path
) -> None:
    """One slice alone cannot be scored as a volume; as a slice it agrees with scikit-image."""
    names = "{}_T1w.nii.gz"
    middle = 12
    real = write_predictions(tmp_path / "real", test_records, lambda i: i[..., [middle]], names)
    ours = write_predictions(tmp_path / "ours", test_records, lambda i: noisy(i)[..., [middle]])
    with pytest.raises(MrcontrastError, match="at least 11 axial slices for SSIM"):
        evaluate({"ours": ours}, real, tmp_path / "out")
    summary = evaluate({"ours": ours}, real, tmp_path / "out", protocol=Protocol(dims=2))
    expected = []
    for record in test_records:
        image = read_volume(record.images["t1w"]).data.astype(float)
        pair = image[..., middle], noisy(image)[..., middle].astype(float)
        expected.append(
            structural_similarity(
                *pair,
                data_range=1.0,
                gaussian_weights=True,
                sigma=1.5,
                use_sample_covariance=False,
            )
        )
    found = summary["methods"]["ours"]["image"]["ssim"]
    assert found["mean"] == pytest.approx(np.mean(expected), abs=1e-5)
    assert summary["metrics"]["ssim"]["dims"] == 2
    whole = evaluate(
        {"whole": write_predictions(tmp_path / "whole", test_records, noisy)},
        prepared_root,
        tmp_path / "out",
        protocol=Protocol(dims=2),
    )
    assert set(whole["methods"]["whole"]) == set(REGIONS)
