"""What a feature network gets to see of a brain."""

import numpy as np
import pytest
import torch
from torch import Tensor

from mrcontrast.networks.features.extractors import SliceFeatures, VolumeFeatures, pooled_features

SHAPE = (20, 26, 14)


class Means:
    """Mean, least and greatest value of an image."""

    name, sha256, dim, spatial_dims = "means", "0" * 64, 3, 2

    def __call__(self, image: Tensor) -> list[Tensor]:
        return [image]

    def pooled(self, image: Tensor) -> Tensor:
        flat = image.flatten(1)
        return torch.stack([flat.mean(1), flat.amin(1), flat.amax(1)], dim=1)


@pytest.fixture
def mask() -> np.ndarray:
    inside = np.zeros(SHAPE, bool)
    inside[3:17, 4:22, 2:12] = True
    return inside


def test_slices_of_three_axes_at_the_right_places(mask: np.ndarray) -> None:
    extractor = SliceFeatures(Means(), slices_per_axis=3, size_voxels=16)
    x, y, z = (axis / 50 for axis in np.indices(SHAPE))
    for axis, image in enumerate((x, y, z)):
        view = extractor.inputs(image, mask)
        assert view.shape == (9, 3, 16, 16)
        values = pooled_features(extractor, view)[3 * axis : 3 * axis + 3, 2]
        inside = np.nonzero(mask.any(axis=tuple(k for k in range(3) if k != axis)))[0] / 50
        assert inside[0] - 1e-6 < values[0] < values[1] < values[2] < inside[-1] + 1e-6


def test_outside_the_brain_and_the_range_nothing_is_seen(mask: np.ndarray) -> None:
    extractor = SliceFeatures(Means(), slices_per_axis=2, size_voxels=12)
    image = np.random.default_rng(0).random(SHAPE)
    changed = np.where(mask, image, 7.0)
    torch.testing.assert_close(extractor.inputs(changed, mask), extractor.inputs(image, mask))
    bright = extractor.inputs(np.full(SHAPE, 9.0), mask)
    assert bright.max() <= 1 + 1e-6


def test_squares_keep_proportions(mask: np.ndarray) -> None:
    """Axial slices of the box are 14 by 18: of the square's 18 rows two at each side are empty."""
    extractor = SliceFeatures(Means(), slices_per_axis=1, size_voxels=18)
    axial = extractor.inputs(np.ones(SHAPE), mask)[2, 0]
    rows = (axial > 0.5).any(dim=1)
    assert rows.tolist() == [False] * 2 + [True] * 14 + [False] * 2


def test_volumes_are_seen_whole(mask: np.ndarray) -> None:
    extractor = VolumeFeatures(Means())
    view = extractor.inputs(np.ones(SHAPE), mask)
    assert view.shape == (1, 1, 14, 18, 10)
    assert pooled_features(extractor, view).tolist() == [[1, 1, 1]]
    assert extractor.describe()["vectors_per_volume"] == 1
    assert extractor.name == "means_3d"
