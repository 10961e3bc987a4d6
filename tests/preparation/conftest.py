"""Raw pairs in BIDS trees and folders: an ellipsoid brain, a few voxels wide."""

from collections.abc import Callable
from pathlib import Path

import pytest

from mrcontrast.preparation.recipe import Recipe
from mrcontrast.storage.volume import write_volume
from preparation_files import raw_volume, recipe_of

WritePair = Callable[..., None]


@pytest.fixture
def write_pair() -> WritePair:
    """Write FLAIR and T1w of one session as BIDS names them."""

    def write(root: Path, subject: str, session: str | None = None, entities: str = "") -> None:
        stem = subject if session is None else f"{subject}_{session}"
        folder = root / subject / (session or "") / "anat"
        seed = sum(map(ord, stem))
        write_volume(folder / f"{stem}{entities}_FLAIR.nii.gz", raw_volume(seed, 300))
        write_volume(folder / f"{stem}{entities}_T1w.nii.gz", raw_volume(seed + 1, 900))

    return write


@pytest.fixture
def bids(tmp_path: Path, write_pair: WritePair) -> Path:
    """A BIDS tree of three good subjects."""
    root = tmp_path / "bids"
    for subject in ("sub-01", "sub-02", "sub-03"):
        write_pair(root, subject)
    return root


@pytest.fixture
def make_recipe() -> Callable[..., Recipe]:
    """Return a function of sources that makes a recipe."""
    return recipe_of
