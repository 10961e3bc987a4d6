import json
import shutil
from argparse import ArgumentParser
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from torch import Tensor

from mrcontrast.commands import translate as command
from mrcontrast.commands.translate import translate_records
from mrcontrast.data.manifest import Manifest, Record
from mrcontrast.data.predictions import Existing, PredictionFiles
from mrcontrast.errors import MrcontrastError, UsageError
from mrcontrast.inference.files import translate_files
from mrcontrast.inference.sampling_options import SamplingOptions
from mrcontrast.inference.stage_translator import StageTranslator
from mrcontrast.inference.translation_jobs import folder_jobs, mask_in, record_jobs, seed_of
from mrcontrast.runs.folder import RunFolder
from mrcontrast.stages.contract import Stage
from mrcontrast.storage.volume import Volume, read_volume, write_volume
from mrcontrast.transforms.grid import ModelGrid
from mrcontrast.transforms.normalise import PercentileNormaliser

SETTINGS = {"name": "percentile-0-99.5", "clip": True}


class Inverse(Stage):
    """Return 1 - FLAIR, with a little noise."""

    def noise_shape(self, image_shape: tuple[int, ...]) -> tuple[int, ...]:
        return (1, *image_shape)

    def forward(
        self, batch: dict[str, Tensor], noise: Tensor | None = None, generator: object = None
    ) -> Tensor:
        assert noise is not None
        return (1 - batch["source"] + 0.01 * noise).clamp(0, 1)


@pytest.fixture
def translator() -> StageTranslator:
    grid = ModelGrid(5.0, (32, 40, 24))
    identity = {"WeightsSHA256": "12ab"}
    return StageTranslator(Inverse(), grid, {"flair": PercentileNormaliser()}, identity=identity)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the run folder of a look-up table that turns x into 1 - x."""
    folder = RunFolder(tmp_path_factory.mktemp("runs") / "lookup")
    target = "mrcontrast.stages.baselines.IntensityLookup"
    stage = {"_target_": target, "levels": 101, "spatial_dims": 2}
    folder.write_config(OmegaConf.create({"stage": stage}))
    sha256 = folder.write_weights({"table": torch.linspace(1, 0, 101)})
    data = {"spacing_mm": 5.0, "shape": [32, 40, 24]}
    data |= {"normaliser_flair": SETTINGS, "normaliser_t1w": SETTINGS}
    folder.write_provenance({"weights_sha256": sha256, "data": data})
    return str(folder.path)


@pytest.fixture
def bids(tmp_path: Path, tiny_records: list[Record]) -> Path:
    """Return a BIDS tree of three FLAIR volumes in LPS, one with a mask beside it."""
    root = tmp_path / "bids"
    for index, session in ((0, ""), (1, "_ses-1"), (2, "")):
        record = tiny_records[index]
        folder = root / record.subject / session.removeprefix("_") / "anat"
        volume = read_volume(record.images["flair"])
        data = volume.data[::-1, ::-1] * 700
        affine = volume.affine @ np.diag([-1.0, -1, 1, 1])
        write_volume(folder / f"{record.subject}{session}_FLAIR.nii.gz", Volume(data, affine))
    mask = read_volume(tiny_records[2].brain_mask)
    path = root / "sub-03" / "anat" / "sub-03_desc-brain_mask.nii.gz"
    data = mask.data[::-1, ::-1]
    write_volume(path, Volume(data, mask.affine @ np.diag([-1.0, -1, 1, 1])))
    return root


def call(*words: object) -> int:
    parser = ArgumentParser()
    command.add_arguments(parser)
    return command.run(parser.parse_args([*map(str, words), "--device", "cpu"]))


def sidecar_of(volume: Path) -> dict:
    return json.loads(volume.with_name(volume.name.replace(".nii.gz", ".json")).read_text())


def test_file_to_file(
    bids: Path, model: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    source = bids / "sub-01" / "anat" / "sub-01_FLAIR.nii.gz"
    output = tmp_path / "new" / "any name.nii.gz"
    assert call(source, output, "--model", model, "--seed", 3) == 0
    given, made = nib.load(source), nib.load(output)
    assert made.shape == given.shape
    np.testing.assert_allclose(made.affine, given.affine)
    assert made.get_data_dtype() == np.float32
    flair, t1w = given.get_fdata(), made.get_fdata()
    brain = flair > 0
    low, high = np.percentile(flair[brain], [0, 99.5])
    flair = ((flair - low) / (high - low)).clip(0, 1)
    np.testing.assert_allclose(t1w[brain], 1 - flair[brain], atol=0.01)
    assert not t1w[~brain].any()
    assert "1 translated" in capsys.readouterr().out


def test_sidecar_says_how_it_was_made(bids: Path, model: str, tmp_path: Path) -> None:
    source = bids / "sub-03" / "anat" / "sub-03_FLAIR.nii.gz"
    call(source, tmp_path, "--model", model, "--seed", 3)
    sidecar = sidecar_of(tmp_path / "sub-03_desc-synth_T1w.nii.gz")
    mask = source.with_name("sub-03_desc-brain_mask.nii.gz")
    assert sidecar["Synthetic"] is True
    assert sidecar["Sources"] == [str(source), str(mask)]
    assert sidecar["Model"] == model
    assert sidecar["WeightsSHA256"] == RunFolder(model).provenance["weights_sha256"]
    assert sidecar["Stage"] == "baselines"
    assert (sidecar["Sampler"], sidecar["Steps"], sidecar["Samples"]) == (None, None, 1)
    assert sidecar["Seed"] == 3
    assert sidecar["BrainMask"] == str(mask)
    assert sidecar["Normaliser"]["name"] == "percentile-0-99.5"
    data, brain = read_volume(source).data, read_volume(mask).data > 0
    high = np.percentile(data[brain], 99.5)
    assert sidecar["Normaliser"]["high"] == pytest.approx(high, rel=1e-4)
    assert sidecar["IntensityUnits"].startswith("arbitrary, [0, 1]")
    assert sidecar["GeneratedBy"][0]["Name"] == "mrcontrast"


def test_folder_mirrors_its_tree(bids: Path, model: str, tmp_path: Path) -> None:
    assert call(bids, tmp_path / "out", "--model", model) == 0
    found = sorted(
        path.relative_to(tmp_path / "out").as_posix()
        for path in (tmp_path / "out").rglob("*.nii.gz")
    )
    assert found == [
        "sub-01/anat/sub-01_desc-synth_T1w.nii.gz",
        "sub-02/ses-1/anat/sub-02_ses-1_desc-synth_T1w.nii.gz",
        "sub-03/anat/sub-03_desc-synth_T1w.nii.gz",
    ]


def test_one_broken_subject_is_named_and_the_others_go_on(
    bids: Path, model: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    broken = bids / "sub-01" / "anat" / "sub-01_FLAIR.nii.gz"
    broken.write_bytes(broken.read_bytes()[:2000])
    out = tmp_path / "out"
    assert call(bids, out, "--model", model) == 1
    assert len(list(out.rglob("*_desc-synth_T1w.nii.gz"))) == 2
    assert not list(out.glob("sub-01/**/*.*"))
    captured = capsys.readouterr()
    lines = [line for line in captured.err.splitlines() if "sub-01" in line]
    assert len(lines) == 1
    assert "truncated" in lines[0]
    assert "2 translated, 0 kept, 1 failed" in captured.out


def test_broken_file_is_one_line(bids: Path, model: str, tmp_path: Path) -> None:
    source = bids / "sub-01" / "anat" / "sub-01_FLAIR.nii.gz"
    source.write_bytes(source.read_bytes()[:2000])
    with pytest.raises(MrcontrastError, match=r"truncated.*sub-01_FLAIR") as caught:
        call(source, tmp_path / "out.nii.gz", "--model", model)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out.json").exists()


def test_fault_without_a_file_gets_one(bids: Path, model: str, tmp_path: Path) -> None:
    source = bids / "sub-01" / "anat" / "sub-01_FLAIR.nii.gz"
    volume = read_volume(source)
    flat = np.where(volume.data > 0, 7, 0).astype(np.float32)
    write_volume(source, Volume(flat, volume.affine))
    with pytest.raises(MrcontrastError, match=r"vary in the mask.*sub-01_FLAIR\.nii\.gz"):
        call(source, tmp_path / "out.nii.gz", "--model", model)


def test_finished_volumes_are_kept(
    tiny_records: list[Record], translator: StageTranslator, tmp_path: Path
) -> None:
    jobs = record_jobs(tiny_records[:2], {"flair": None}, "t1w", tmp_path)
    first = translate_files(jobs, translator, Existing.REFUSE)
    stamps = [job.output.stat().st_mtime_ns for job in jobs]
    jobs[1].output.unlink()
    second = translate_files(jobs, translator, Existing.REFUSE)
    assert (list(first.written), first.kept) == (["sub-01", "sub-02"], [])
    assert (list(second.written), second.kept) == (["sub-02"], ["sub-01"])
    assert jobs[0].output.stat().st_mtime_ns == stamps[0]
    third = translate_files(jobs, translator, Existing.REDO)
    assert list(third.written) == ["sub-01", "sub-02"]


@pytest.mark.parametrize("change", ["weights", "seed", "samples", "source"])
def test_volumes_made_otherwise_are_refused_or_replaced(
    tiny_records: list[Record], translator: StageTranslator, tmp_path: Path, change: str
) -> None:
    translate_records(tiny_records[:2], translator, tmp_path)
    seed = 1 if change == "seed" else 0
    shuffle = change == "source"
    identity = {"WeightsSHA256": "other" if change == "weights" else "12ab"}
    draws = SamplingOptions(samples=2 if change == "samples" else 1)
    other = StageTranslator(
        Inverse(), translator.grid, translator.normalisers, draws, identity=identity
    )
    jobs = record_jobs(tiny_records[:2], translator.source, "t1w", tmp_path, shuffle, seed)
    with pytest.raises(UsageError, match=r"--overwrite"):
        translate_files(jobs, other, Existing.REFUSE)
    outcome = translate_files(jobs, other, Existing.REPLACE)
    assert list(outcome.written) == ["sub-01", "sub-02"]
    assert translate_files(jobs, other, Existing.REFUSE).kept == ["sub-01", "sub-02"]


def test_weights_are_known_wherever_the_run_lies(
    tiny_records: list[Record], tmp_path: Path
) -> None:
    def named(model: str) -> StageTranslator:
        identity = {"Model": model, "WeightsSHA256": "12ab"}
        grid = ModelGrid(5.0, (32, 40, 24))
        return StageTranslator(
            Inverse(), grid, {"flair": PercentileNormaliser()}, identity=identity
        )

    jobs = record_jobs(tiny_records[:1], {"flair": None}, "t1w", tmp_path)
    translate_files(jobs, named("here"), Existing.REFUSE)
    assert translate_files(jobs, named("there"), Existing.REFUSE).kept == ["sub-01"]


def test_existing_file_is_refused_before_the_model_is_read(bids: Path, tmp_path: Path) -> None:
    source = bids / "sub-01" / "anat" / "sub-01_FLAIR.nii.gz"
    output = tmp_path / "out.nii.gz"
    output.write_text("mine")
    with pytest.raises(UsageError, match="--overwrite"):
        call(source, output, "--model", "no such run")
    assert output.read_text() == "mine"


def test_overwrite_replaces_what_is_ours_alone(bids: Path, model: str, tmp_path: Path) -> None:
    source = bids / "sub-01" / "anat" / "sub-01_FLAIR.nii.gz"
    output = tmp_path / "out.nii.gz"
    assert call(source, output, "--model", model) == 0
    before = output.read_bytes()
    with pytest.raises(UsageError, match="Pass --overwrite"):
        call(source, output, "--model", model)
    assert call(source, output, "--model", model, "--overwrite") == 0
    assert output.read_bytes() == before
    output.write_text("mine")
    with pytest.raises(UsageError, match="did not write"):
        call(source, output, "--model", model, "--overwrite")
    assert output.read_text() == "mine"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--device", "gpu"), r"got gpu \(--device\)"),
        (("--seed", -1), r"got -1 \(--seed\)"),
        (("--batch-size", 0), r"got 0 \(--batch-size\)"),
        (("--steps", 0), r"got 0 \(--steps\)"),
        (("--samples", 0), "1 or more samples, got 0"),
        (("--temperature", "nan"), "temperature of 0 or more"),
    ],
)
def test_options_out_of_range_are_refused_before_the_model_is_read(
    bids: Path, tmp_path: Path, words: tuple[str, object], message: str
) -> None:
    parser = ArgumentParser()
    command.add_arguments(parser)
    given = [bids, tmp_path / "out", "--model", "no such run", *words]
    with pytest.raises(UsageError, match=message) as caught:
        command.run(parser.parse_args(list(map(str, given))))
    assert "\n" not in str(caught.value)


def test_a_link_of_git_annex_is_named(tmp_path: Path) -> None:
    link = tmp_path / "sub-01_FLAIR.nii.gz"
    link.symlink_to("../../.git/annex/objects/x/y/z.nii.gz")
    with pytest.raises(UsageError, match="datalad get or git annex get"):
        call(link, tmp_path / "out.nii.gz", "--model", "no such run")


def test_remarks_are_said_once_for_all_volumes(
    bids: Path, model: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    for path in bids.rglob("*_FLAIR.nii.gz"):
        volume = read_volume(path)
        image = nib.Nifti1Image(volume.data, volume.affine)
        moved = volume.affine.copy()
        moved[2, 3] += 10
        image.set_qform(volume.affine, 1)
        image.set_sform(moved, 1)
        nib.save(image, path)
    call(bids, tmp_path / "out", "--model", model)
    said = [
        line for line in capsys.readouterr().err.splitlines() if "10 mm apart; the sform" in line
    ]
    assert len(said) == 1
    assert "and 1 more" in said[0]  # sub-03 has a mask in another place


@pytest.mark.parametrize(
    ("source", "output", "words"),
    [
        ("nowhere", "out", "Expected a file or folder"),
        ("bids", "bids", "another place than IN"),
        ("bids", "out.nii.gz", "Expected a folder as OUT"),
    ],
)
def test_paths_that_do_not_fit_are_refused(
    bids: Path, tmp_path: Path, source: str, output: str, words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        call(tmp_path / source, tmp_path / output, "--model", "no such run")


def test_output_must_be_nifti(bids: Path, model: str, tmp_path: Path) -> None:
    source = bids / "sub-01" / "anat" / "sub-01_FLAIR.nii.gz"
    with pytest.raises(UsageError, match=r"end in \.nii\.gz"):
        call(source, tmp_path / "out.mgz", "--model", model)


def test_output_that_cannot_be_written_is_one_line(bids: Path, model: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    source = bids / "sub-01" / "anat" / "sub-01_FLAIR.nii.gz"
    with pytest.raises(MrcontrastError, match="Choose another folder") as caught:
        call(source, tmp_path / "file" / "out.nii.gz", "--model", model)
    assert "\n" not in str(caught.value)


def test_nothing_stays_of_a_volume_that_fails_to_be_written(
    tiny_records: list[Record],
    translator: StageTranslator,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(path: Path, volume: Volume, like_header: Path) -> None:
        raise MrcontrastError(f"Expected space, got none ({path}).")

    monkeypatch.setattr("mrcontrast.data.predictions.write_volume", full)
    with pytest.raises(MrcontrastError, match="sub-05: Expected space"):
        translate_records(tiny_records[4:5], translator, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_records_come_out_on_the_prepared_grid(
    tiny_records: list[Record], translator: StageTranslator, tmp_path: Path
) -> None:
    records = tiny_records[4:]
    paths = translate_records(records, translator, tmp_path)
    assert [path.name for path in paths] == [
        "sub-05_desc-synth_T1w.nii.gz",
        "sub-06_desc-synth_T1w.nii.gz",
    ]
    for record, path in zip(records, paths, strict=True):
        flair, made = read_volume(record.images["flair"]), read_volume(path)
        np.testing.assert_allclose(made.affine, flair.affine, atol=1e-6)
        brain = read_volume(record.brain_mask).data > 0
        difference = made.data[brain] - (1 - flair.data[brain])
        assert np.abs(difference).mean() < 0.02  # a second normalisation would stretch it
        assert not made.data[~brain].any()
        assert sidecar_of(path)["Normaliser"] is None


def test_shuffled_flair_is_that_of_the_next(
    tiny_records: list[Record], translator: StageTranslator, tmp_path: Path
) -> None:
    paths = translate_records(tiny_records[3:], translator, tmp_path, shuffle_source=True)
    for index, path in enumerate(paths):
        own, giver = tiny_records[3 + index], tiny_records[3 + (index + 1) % 3]
        assert path.name.startswith(own.name)
        assert sidecar_of(path)["Sources"] == [str(giver.images["flair"]), str(giver.brain_mask)]
        made, brain = read_volume(path).data, read_volume(giver.brain_mask).data > 0
        assert not made[~brain].any()
        error = np.abs(made - (1 - read_volume(giver.images["flair"]).data))[brain].mean()
        assert error < 0.02


def test_shuffling_never_stays_with_one_subject(tiny_records: list[Record]) -> None:
    first, other = tiny_records[0], tiny_records[1]
    records = [replace(first, session="ses-1"), replace(first, session="ses-2"), other]
    jobs = record_jobs(records, {"flair": None}, "t1w", Path("out"), shuffle=True)
    assert [job.source for job in jobs] == [
        other.images["flair"],
        other.images["flair"],
        first.images["flair"],
    ]
    with pytest.raises(UsageError, match="two subjects"):
        record_jobs(records[:2], {"flair": None}, "t1w", Path("out"), shuffle=True)


def test_split_of_a_prepared_data_set(
    make_root: Callable[..., Path], model: str, tmp_path: Path
) -> None:
    root = make_root("train", "val", "test", "test")
    out = tmp_path / "out"
    assert call(root, out, "--model", model, "--split", "val") == 0
    assert [path.name for path in out.glob("*.nii.gz")] == ["sub-02_desc-synth_T1w.nii.gz"]
    record = Manifest.read(root).split("val")[0]
    flair, made = read_volume(record.images["flair"]), read_volume(next(out.glob("*.nii.gz")))
    brain = read_volume(record.brain_mask).data > 0
    np.testing.assert_allclose(made.data[brain], 1 - flair.data[brain], atol=1e-2)


def test_prepared_data_of_another_normaliser_are_refused(
    tiny_records: list[Record], translator: StageTranslator, tmp_path: Path
) -> None:
    fitted = tiny_records[0].normalisers["flair"] | {"name": "percentile-0-100"}
    other = replace(tiny_records[0], normalisers=tiny_records[0].normalisers | {"flair": fitted})
    with pytest.raises(MrcontrastError, match=r"by percentile-0-99\.5, got percentile-0-100"):
        translate_records([other], translator, tmp_path)


def test_mask_for_a_prepared_data_set_is_refused(
    prepared_root: Path, model: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="Expected no --mask"):
        call(prepared_root, tmp_path / "out", "--model", model, "--mask", tmp_path)


def test_samples_write_a_deviation(
    tiny_records: list[Record], translator: StageTranslator, tmp_path: Path
) -> None:
    grid, normaliser = translator.grid, translator.normalisers
    twice = StageTranslator(Inverse(), grid, normaliser, SamplingOptions(samples=2))
    (path,) = translate_records(tiny_records[:1], twice, tmp_path)
    std = tmp_path / "sub-01_desc-synthstd_T1w.nii.gz"
    assert PredictionFiles(path).std == std
    assert read_volume(std).data.max() > 0
    translate_records(tiny_records[:1], translator, tmp_path)
    assert not std.exists()  # it does not belong to the single draw


def test_seeds_differ_by_name_and_not_by_order() -> None:
    assert seed_of("sub-01", 0) != seed_of("sub-02", 0)
    assert seed_of("sub-01", 0) == seed_of("sub-01", 0) < 2**31


def test_folder_of_masks(bids: Path, tmp_path: Path, tiny_records: list[Record]) -> None:
    masks = tmp_path / "masks"
    for name in ("sub-01", "sub-02_ses-1", "sub-03"):
        (masks / name).mkdir(parents=True)
        shutil.copy(tiny_records[0].brain_mask, masks / name / f"{name}_desc-brain_mask.nii.gz")
        (masks / name / f"{name}_label-lesion_mask.nii.gz").touch()
    jobs = folder_jobs(bids, ["flair"], "t1w", tmp_path / "out", masks, 0)
    assert [job.mask.parent.name for job in jobs] == ["sub-01", "sub-02_ses-1", "sub-03"]
    shutil.rmtree(masks / "sub-03")
    with pytest.raises(MrcontrastError, match=r"got none \(sub-03_FLAIR"):
        mask_in(masks, jobs[2].source)


def test_folder_without_flair_is_one_line(tmp_path: Path, model: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(MrcontrastError, match=r"_FLAIR\.nii\.gz, got none"):
        call(tmp_path / "empty", tmp_path / "out", "--model", model)


def test_two_sources_of_one_output_are_refused(
    bids: Path, translator: StageTranslator, tmp_path: Path
) -> None:
    source = bids / "sub-01" / "anat" / "sub-01_FLAIR.nii.gz"
    shutil.copy(source, source.with_name("sub-01_desc-n4_FLAIR.nii.gz"))
    jobs = folder_jobs(bids, ["flair"], "t1w", tmp_path / "out", None, 0)
    with pytest.raises(UsageError, match="one source of sub-01_desc-synth"):
        translate_files(jobs, translator, Existing.REFUSE)


def test_a_head_is_stripped_where_there_is_no_mask(
    bids: Path, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """deepbet itself is tested with the preparation; here the left half of a volume is a brain."""
    monkeypatch.setattr("mrcontrast.imaging.skull_strip.strip_skull", left_half)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    assert call(bids, tmp_path / "out", "--model", model, "--strip-skull") == 0
    stripped = tmp_path / "out" / "sub-01" / "anat" / "sub-01_desc-synth_T1w.nii.gz"
    half = left_half(read_volume(stripped))
    data = read_volume(stripped).data
    assert data[half].any()
    assert not data[~half].any()
    assert sidecar_of(stripped)["BrainMask"] == "deepbet"
    masked = tmp_path / "out" / "sub-03" / "anat" / "sub-03_desc-synth_T1w.nii.gz"
    assert sidecar_of(masked)["BrainMask"].endswith("sub-03_desc-brain_mask.nii.gz")


def left_half(volume: Volume) -> np.ndarray:
    brain = volume.data > 0
    brain[brain.shape[0] // 2 :] = False
    return brain


def test_stripping_is_refused_with_masks_and_of_prepared_data(
    bids: Path, model: str, prepared_root: Path, tmp_path: Path
) -> None:
    mask = bids / "sub-03" / "anat" / "sub-03_desc-brain_mask.nii.gz"
    flair = bids / "sub-03" / "anat" / "sub-03_FLAIR.nii.gz"
    strip = ("--model", model, "--strip-skull")
    with pytest.raises(UsageError, match="got both"):
        call(flair, tmp_path / "out.nii.gz", *strip, "--mask", mask)
    with pytest.raises(UsageError, match="Expected no --strip-skull"):
        call(prepared_root, tmp_path / "out", *strip)
