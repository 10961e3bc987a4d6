"""4-G-R-SSIM: values known by hand, and what it must not see."""

import numpy as np
import pytest
from experiments.pinaya2022.gradient_structure import (
    four_component_gradient_structure,
    gradient_size,
    partition,
    structure_map,
)

from mrcontrast.errors import MrcontrastError

SHAPES = [(36, 44), (24, 28, 26)]


@pytest.fixture(params=SHAPES, ids=["2d", "3d"])
def image(request) -> np.ndarray:
    axes = np.meshgrid(*(np.linspace(0, 7, size) for size in request.param), indexing="ij")
    return sum(np.sin(axis * (2 + index)) for index, axis in enumerate(axes)) / 6 + 0.5


def test_equal_inverted_and_dimmed_images_have_the_same_edges(image):
    assert four_component_gradient_structure(image, image) == pytest.approx(1)
    assert four_component_gradient_structure(1 - image, image) == pytest.approx(1)
    assert four_component_gradient_structure(0.5 * image + 0.2, image) == pytest.approx(1)


def test_noise_shares_no_edges_and_a_flat_image_has_none(image):
    rng = np.random.default_rng(0)
    noise = rng.random(image.shape)
    assert abs(four_component_gradient_structure(noise, rng.random(image.shape))) < 0.15
    assert four_component_gradient_structure(np.zeros_like(noise), noise) == 0
    flat = np.ones_like(noise)
    assert four_component_gradient_structure(flat, flat) == 1


def test_structure_is_the_weighted_correlation_of_a_window():
    rng = np.random.default_rng(1)
    one, two = rng.random((25, 25)), rng.random((25, 25))
    taps = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
    weights = np.outer(taps, taps) / taps.sum() ** 2
    window = (slice(7, 18), slice(7, 18))
    means = [(weights * part[window]).sum() for part in (one, two)]
    centred = [part[window] - mean for part, mean in zip((one, two), means, strict=True)]
    spreads = [(weights * part**2).sum() for part in centred]
    expected = (weights * centred[0] * centred[1]).sum() / np.sqrt(spreads[0] * spreads[1])
    assert structure_map(one, two)[12, 12] == pytest.approx(expected)


def test_a_step_has_the_gradient_of_sobel_known_by_hand():
    """The step across the edge, nothing along the other axes: their root mean square."""
    step = np.zeros((11, 11))
    step[6:] = 2.0
    assert gradient_size(step)[5, 5] == pytest.approx(2.0 / 2**0.5)
    solid = np.broadcast_to(step[..., None], (11, 11, 11))
    assert gradient_size(solid)[5, 5, 5] == pytest.approx(2.0 / 3**0.5)


def test_the_parts_cover_every_voxel_once(image):
    ours, theirs = gradient_size(image[::-1]), gradient_size(image)
    assert (sum(part.astype(int) for part in partition(ours, theirs)) == 1).all()


def test_the_four_parts_weigh_the_same():
    # An edge that is kept, one that is lost, and nothing else but smooth ground.
    target = np.zeros((60, 40))
    target[20:, :] = 1.0
    target[40:, :] = 2.0
    prediction = np.minimum(target, 1.0)
    structure = structure_map(gradient_size(prediction), gradient_size(target))
    inside = (slice(5, -5),) * 2
    parts = partition(gradient_size(prediction), gradient_size(target))
    means = [structure[inside][part[inside]].mean() for part in parts if part[inside].any()]
    assert len(means) == 3  # kept, changed, smooth
    assert four_component_gradient_structure(prediction, target) == pytest.approx(np.mean(means))


def test_other_shapes_are_refused(image):
    with pytest.raises(MrcontrastError, match="shape"):
        four_component_gradient_structure(image[1:], image)
    with pytest.raises(MrcontrastError, match="at least 11"):
        four_component_gradient_structure(np.ones((8, 30)), np.ones((8, 30)))
