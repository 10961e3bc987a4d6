"""Raw pairs in BIDS trees and folders: an ellipsoid brain, a few voxels wide."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mrcontrast.data.splits import RandomSplit
from mrcontrast.preparation.operators import BrainMask
from mrcontrast.preparation.recipe import Recipe
from mrcontrast.transforms.grid import ModelGrid
from mrcontrast.transforms.normalise import PercentileNormaliser
from mrcontrast.volume import Volume, write_volume

SHAPE = (20, 26, 22)
AFFINE = np.array([[-3.0, 0, 0, 28], [0, 3, 0, -40], [0, 0, 3, -30], [0, 0, 0, 1]])
GRID = ModelGrid(4.0, (16, 24, 20))

WritePair = Callable[..., None]


def brain() -> np.ndarray:
    index = np.indices(SHAPE) - (np.array(SHAPE) - 1).reshape(3, 1, 1, 1) / 2
    return (index**2 / np.array([64, 110, 80]).reshape(3, 1, 1, 1)).sum(axis=0) < 1


def raw_volume(seed: int, scale: float) -> Volume:
    noise = np.random.default_rng(seed).uniform(0.2, 1, SHAPE)
    return Volume((scale * noise * brain()).astype(np.float32), AFFINE)


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

    def make(*sources: object) -> Recipe:
        normaliser = PercentileNormaliser(0.5, 99.5)
        split = RandomSplit(0.6, 0.0, 0.4, seed=0)
        return Recipe(list(sources), [BrainMask()], GRID, normaliser, normaliser, split)

    return make
