"""A file that names another contrast than the model takes is refused before any work."""

from pathlib import Path

import pytest

from mrcontrast.data.record import Record
from mrcontrast.errors import MrcontrastError, UsageError
from mrcontrast.inference.translation_jobs import (
    file_job,
    folder_jobs,
    record_jobs,
    seed_of,
)


@pytest.mark.parametrize(
    ("name", "contrast", "wanted"),
    [
        ("sub-01_FLAIR.nii.gz", "t1w", "Expected T1w"),  # an autoencoder would just copy it
        ("sub-01_T1w.nii.gz", "flair", "Expected FLAIR"),
    ],
)
def test_another_contrast_is_refused(tmp_path: Path, name: str, contrast: str, wanted: str) -> None:
    with pytest.raises(UsageError, match=rf"{wanted} for this model, got {name}"):
        file_job({contrast: tmp_path / name}, "t1w", tmp_path / "out.nii.gz", None, 0)


@pytest.mark.parametrize("name", ["sub-01_FLAIR.nii.gz", "patient7.nii.gz"])
def test_its_own_contrast_or_an_unnamed_one_is_taken(tmp_path: Path, name: str) -> None:
    job = file_job({"flair": tmp_path / name}, "t1w", tmp_path / "out.nii.gz", None, 0)
    assert job.source.name == name


def test_files_of_one_name_in_several_folders_are_told_apart(tmp_path: Path) -> None:
    """Each has a seed and an entry of its own; a name that stands alone keeps what it had."""
    for name in (
        "a/scan_FLAIR.nii.gz",
        "b/scan_FLAIR.nii.gz",
        "b/other_FLAIR.nii",
        "scan2_FLAIR.nii",
    ):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).touch()
    jobs = folder_jobs(tmp_path / "in", ["flair"], "t1w", tmp_path / "out", None, 5)
    seeds = {job.name: job.seed for job in jobs}
    names = {"a/scan_FLAIR", "b/scan_FLAIR", "other_FLAIR", "scan2_FLAIR"}
    assert seeds == {name: seed_of(name, 5) for name in names}
    assert len(set(seeds.values())) == len({job.output for job in jobs}) == 4


def test_files_that_a_mac_leaves_beside_images_are_no_images(tmp_path: Path) -> None:
    for name in ("sub-1_FLAIR.nii.gz", "._sub-1_FLAIR.nii.gz"):
        (tmp_path / name).touch()
    jobs = folder_jobs(tmp_path, ["flair"], "t1w", tmp_path / "out", None, 0)
    assert [job.name for job in jobs] == ["sub-1_FLAIR"]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A BIDS tree: one session with both sources, one without T2w, one with two of them."""
    for name in (
        "sub-1/anat/sub-1_run-1_FLAIR",
        "sub-1/anat/sub-1_T2w",
        "sub-2/anat/sub-2_FLAIR",
        "sub-3/anat/sub-3_FLAIR",
        "sub-3/anat/sub-3_run-1_T2w",
        "sub-3/anat/sub-3_run-2_T2w",
        "sub-1/anat/sub-1_desc-synth_T2w",
    ):
        (path := tmp_path / "in" / f"{name}.nii.gz").parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path / "in"


def test_several_sources_of_a_session_are_found_by_their_entities(tree: Path) -> None:
    jobs = folder_jobs(tree, ["flair", "t2w"], "t1w", tree.parent / "out", None, 0)
    whole, lacking, doubled = jobs
    anat = tree / "sub-1" / "anat"
    assert whole.sources == (anat / "sub-1_run-1_FLAIR.nii.gz", anat / "sub-1_T2w.nii.gz")
    assert whole.output.name == "sub-1_run-1_desc-synth_T1w.nii.gz"
    assert whole.refusal is None
    assert lacking.refusal is not None
    assert "one _T2w file with sub-2_FLAIR.nii.gz, got none" in lacking.refusal
    assert doubled.refusal is not None
    assert "got sub-3_run-1_T2w.nii.gz, sub-3_run-2_T2w.nii.gz" in doubled.refusal


def test_outputs_are_named_by_the_target(tree: Path, tiny_records: list[Record]) -> None:
    (job, *_) = folder_jobs(tree, ["t2w"], "flair", tree.parent / "out", None, 0)
    assert job.output.name == "sub-1_desc-synth_FLAIR.nii.gz"
    jobs = record_jobs(tiny_records[:1], {"t1w": None}, "t1wce", tree)
    assert jobs[0].output.name == "sub-01_ce-gad_desc-synth_T1w.nii.gz"
    assert jobs[0].sources == (tiny_records[0].images["t1w"],)


def test_a_record_without_a_source_is_refused(tiny_records: list[Record], tmp_path: Path) -> None:
    with pytest.raises(MrcontrastError, match=r"Expected t2w of sub-01 for this model, got flair"):
        record_jobs(tiny_records, {"t2w": None}, "t1w", tmp_path)


def test_tags_come_from_the_sidecars_of_each_source(tmp_path: Path) -> None:
    folder = tmp_path / "sub-01" / "anat"
    folder.mkdir(parents=True)
    image = folder / "sub-01_FLAIR.nii.gz"
    image.touch()
    image.with_name("sub-01_FLAIR.json").write_text(
        '{"EchoTime": 0.12, "MagneticFieldStrength": 3}'
    )
    known = {"flair_te_ms": 120.0, "field_strength_t": 3.0}
    job = file_job({"flair": image}, "t1w", tmp_path / "out.nii.gz", None, 0)
    assert job.tags == known
    [job] = folder_jobs(tmp_path, ["flair"], "t1w", tmp_path / "out", None, 0)
    assert job.tags == known
    (tmp_path / "dataset_description.json").write_text("{}")
    (tmp_path / "participants.tsv").write_text("participant_id\tage\tsite\nsub-01\t60\tBonn\n")
    known |= {"age": 60.0, "site": "Bonn"}
    job = file_job({"flair": image}, "t1w", tmp_path / "out.nii.gz", None, 0)
    assert job.tags == known
    [job] = folder_jobs(tmp_path, ["flair"], "t1w", tmp_path / "out", None, 0)
    assert job.tags == known
