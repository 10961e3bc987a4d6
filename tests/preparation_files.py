"""Small raw volumes and a short recipe: what the tests of preparation are made of."""

import numpy as np

from mrcontrast.data.manifest import Manifest
from mrcontrast.data.splits import RandomSplit
from mrcontrast.preparation.duplicates import Deduplicate
from mrcontrast.preparation.operators import BrainMask, MeasureVolumes, Normalise, ToGrid
from mrcontrast.preparation.recipe import Recipe
from mrcontrast.preparation.selection import Select
from mrcontrast.preparation.session import Source
from mrcontrast.storage.files import sha256_file
from mrcontrast.storage.volume import Volume
from mrcontrast.transforms.grid import ModelGrid
from mrcontrast.transforms.normalise import PercentileNormaliser

SHAPE = (20, 26, 22)
AFFINE = np.array([[-3.0, 0, 0, 28], [0, 3, 0, -40], [0, 0, 3, -30], [0, 0, 0, 1]])
GRID = ModelGrid(4.0, (16, 24, 20))


def brain() -> np.ndarray:
    index = np.indices(SHAPE) - (np.array(SHAPE) - 1).reshape(3, 1, 1, 1) / 2
    return (index**2 / np.array([64, 110, 80]).reshape(3, 1, 1, 1)).sum(axis=0) < 1


def raw_volume(seed: int, scale: float) -> Volume:
    noise = np.random.default_rng(seed).uniform(0.2, 1, SHAPE)
    return Volume((scale * noise * brain()).astype(np.float32), AFFINE)


def recipe_of(
    *sources: Source, select: Select | None = None, deduplicate: Deduplicate | None = None
) -> Recipe:
    """Return a recipe without what takes long."""
    normalisers = {"default": PercentileNormaliser(0.5, 99.5)}
    operators = [BrainMask(), ToGrid(GRID), Normalise(normalisers), MeasureVolumes()]
    split = RandomSplit(0.6, 0.0, 0.4, seed=0)
    return Recipe(list(sources), operators, GRID, normalisers, split, select, deduplicate)


def check_hashes(manifest: Manifest) -> None:
    for record in manifest.records:
        found = {name: sha256_file(path) for name, path in record.images.items()}
        assert found == record.sha256
