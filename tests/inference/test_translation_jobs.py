"""A file that names another contrast than the model takes is refused before any work."""

from pathlib import Path

import pytest

from mrcontrast import keys
from mrcontrast.errors import UsageError
from mrcontrast.inference.translation_jobs import file_job, folder_jobs, seed_of


@pytest.mark.parametrize(
    ("name", "contrast", "wanted"),
    [
        ("sub-01_FLAIR.nii.gz", keys.T1W, "Expected T1w"),  # an autoencoder would just copy it
        ("sub-01_T1w.nii.gz", keys.FLAIR, "Expected FLAIR"),
    ],
)
def test_another_contrast_is_refused(tmp_path: Path, name: str, contrast: str, wanted: str) -> None:
    with pytest.raises(UsageError, match=rf"{wanted} for this model, got {name}"):
        file_job(tmp_path / name, tmp_path / "out.nii.gz", contrast, None, 0)


@pytest.mark.parametrize("name", ["sub-01_FLAIR.nii.gz", "patient7.nii.gz"])
def test_its_own_contrast_or_an_unnamed_one_is_taken(tmp_path: Path, name: str) -> None:
    job = file_job(tmp_path / name, tmp_path / "out.nii.gz", keys.FLAIR, None, 0)
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
    jobs = folder_jobs(tmp_path / "in", tmp_path / "out", keys.FLAIR, None, 5)
    seeds = {job.name: job.seed for job in jobs}
    names = {"a/scan_FLAIR", "b/scan_FLAIR", "other_FLAIR", "scan2_FLAIR"}
    assert seeds == {name: seed_of(name, 5) for name in names}
    assert len(set(seeds.values())) == len({job.output for job in jobs}) == 4


def test_files_that_a_mac_leaves_beside_images_are_no_images(tmp_path: Path) -> None:
    for name in ("sub-1_FLAIR.nii.gz", "._sub-1_FLAIR.nii.gz"):
        (tmp_path / name).touch()
    jobs = folder_jobs(tmp_path, tmp_path / "out", keys.FLAIR, None, 0)
    assert [job.name for job in jobs] == ["sub-1_FLAIR"]
