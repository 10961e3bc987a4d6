"""A copy of training data is found, and a new or a smooth image is not taken for one."""

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from mrcontrast.data.manifest import Manifest
from mrcontrast.evaluation.neighbours import (
    Nearest,
    TrainingSet,
    coarse,
    store_training,
    summarise_nearest,
)
from mrcontrast.storage.parallel import Workers
from mrcontrast.storage.volume import Volume, read_mask, read_volume


@pytest.fixture(scope="module")
def training(prepared_root: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainingSet:
    records = Manifest.read(prepared_root).split("train")
    folder = tmp_path_factory.mktemp("copies")
    return store_training(
        {record.name: record.images["t1w"] for record in records}, folder, Workers()
    )


@pytest.fixture(scope="module")
def held_out(prepared_root: Path) -> tuple[Volume, np.ndarray]:
    record = Manifest.read(prepared_root).split("test")[0]
    real = read_volume(record.images["t1w"])
    return real, read_mask(record.brain_mask, real)


def changed(volume: Volume, data: np.ndarray) -> Volume:
    return Volume(data.astype(np.float32), volume.affine)


def test_a_copy_is_found_by_name(
    training: TrainingSet, held_out: tuple[Volume, np.ndarray], prepared_root: Path
) -> None:
    real, mask = held_out
    source = Manifest.read(prepared_root).split("train")[1]
    copied = read_volume(source.images["t1w"])
    noise = 0.02 * np.random.default_rng(0).standard_normal(copied.shape)
    everywhere = np.ones_like(mask)
    found = training.nearest(changed(copied, copied.data + noise), real, everywhere)
    assert found.name == source.name
    assert found.ratio is not None
    assert found.ratio < 0.5
    assert found.training < found.truth
    check = summarise_nearest({"thief": {"sub-05": found}})["methods"]["thief"]
    assert check["copied"] == check["nearer_to_training_than_to_truth"] == ["sub-05"]
    assert training.nearest(real, real, mask).truth == 0


@pytest.mark.parametrize("sigma", [0.0, 1.0])
def test_an_honest_image_is_no_copy(
    training: TrainingSet, held_out: tuple[Volume, np.ndarray], sigma: float
) -> None:
    real, mask = held_out
    noise = 0.05 * np.random.default_rng(0).standard_normal(real.shape)
    synthetic = changed(real, ndimage.gaussian_filter(real.data, sigma) + noise)
    found = training.nearest(synthetic, real, mask)
    assert found.ratio == pytest.approx(1, abs=0.25)
    assert found.truth < found.training
    check = summarise_nearest({"ours": {"sub-05": found}})["methods"]["ours"]
    assert check["copied"] == check["nearer_to_training_than_to_truth"] == []


def test_a_reference_that_was_trained_on_has_no_ratio() -> None:
    found = summarise_nearest({"m": {"s": Nearest(0.1, "t", 0.0, 0.1)}})["methods"]["m"]
    assert (found["mean_ratio"], found["least_ratio"], found["copied"]) == (None, None, [])


def test_coarse_voxels_are_about_six_millimetres() -> None:
    image = np.arange(9 * 6 * 4, dtype=np.float32).reshape(9, 6, 4)
    small = coarse(Volume(image, np.diag([2.0, 3.0, 6.0, 1.0])))
    assert small.shape == (3, 3, 4)
    assert small[0, 0, 1] == image[:3, :2, 1].mean()
    assert coarse(Volume(image, np.diag([9.0, 9.0, 9.0, 1.0]))).shape == image.shape
