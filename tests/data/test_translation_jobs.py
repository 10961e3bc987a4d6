"""A file that names another contrast than the model takes is refused before any work."""

from pathlib import Path

import pytest

from mrcontrast import keys
from mrcontrast.data.translation_jobs import file_job
from mrcontrast.errors import UsageError


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
