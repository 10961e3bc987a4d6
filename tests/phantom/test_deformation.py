import numpy as np
import pytest
import torch

from mrcontrast.phantom.config import AnatomyRanges
from mrcontrast.phantom.fields import (
    CENTRE_MM,
    COARSE_MM,
    draw_deformation,
    exponentiate,
    frame_affine,
    template_positions,
    voxel_centres,
)
from mrcontrast.phantom.template import CSF, GM, PERIVENTRICULAR, WM, load_template

STILL = AnatomyRanges(size_scale=(1, 1), rotation_deg=(0, 0), deformation_mm=(0, 0))


def jacobian_of(displacement: torch.Tensor) -> np.ndarray:
    position = template_positions(displacement, COARSE_MM).numpy()
    gradient = [np.gradient(component, COARSE_MM) for component in position]
    return np.linalg.det(np.moveaxis(np.array(gradient), (0, 1), (-2, -1)))


def test_jacobian_is_positive_for_every_subject() -> None:
    template = load_template()
    for seed in range(12):
        rng = np.random.default_rng(seed)
        deformation = draw_deformation(rng, AnatomyRanges(), template, growth_mm=4.0)
        assert jacobian_of(deformation).min() > 0.05
        assert deformation.abs().max() > 5  # it does move


def test_jacobian_of_a_known_shrinking() -> None:
    x = torch.from_numpy(voxel_centres(COARSE_MM))
    np.testing.assert_allclose(jacobian_of(-0.1 * x), 0.9**3, rtol=1e-4)


def test_no_ranges_no_deformation() -> None:
    deformation = draw_deformation(np.random.default_rng(0), STILL, load_template(), growth_mm=0)
    assert deformation.abs().max() < 1e-3
    affine = frame_affine(3.0)
    position = template_positions(deformation, 3.0)[:, 10, 20, 30]
    np.testing.assert_allclose(position, affine[:3, :3] @ [10, 20, 30] + affine[:3, 3], atol=1e-2)


def test_flow_of_a_linear_velocity_is_exponential() -> None:
    x = torch.from_numpy(voxel_centres(COARSE_MM))
    centre = torch.tensor(CENTRE_MM).view(3, 1, 1, 1)
    displacement = exponentiate(-0.2 * (x - centre))
    expected = (np.exp(-0.2) - 1) * (x - centre)
    inside = (slice(None), *[slice(2, -2)] * 3)
    np.testing.assert_allclose(displacement[inside], expected[inside], atol=0.1)


def test_ventricles_grow() -> None:
    template = load_template()
    sizes = []
    for growth_mm in (-1.0, 0.0, 4.0):
        deformation = draw_deformation(np.random.default_rng(0), STILL, template, growth_mm)
        channels = template.sample(slice(None), template_positions(deformation, 2.0))
        inside = (channels[:3].argmax(0) == CSF) & (channels[PERIVENTRICULAR] > 0.2)
        sizes.append(int(inside.sum()))
    assert sizes[0] < 0.9 * sizes[1]
    assert sizes[2] > 1.4 * sizes[1]


@pytest.mark.parametrize(
    ("place_mm", "tissue"),
    [((25, -30, 30), WM), ((13, 10, 10), GM), ((6, 10, 12), CSF), ((-6, 5, 14), CSF)],
)
def test_template_at_known_places(place_mm: tuple[float, ...], tissue: int) -> None:
    position = torch.tensor(place_mm, dtype=torch.float32).view(3, 1, 1, 1)
    sampled = load_template().sample(slice(0, 3), position).flatten()
    assert int(sampled.argmax()) == tissue


def test_sample_returns_voxels_at_voxel_centres() -> None:
    template = load_template()
    index = np.array([[60, 30], [90, 100], [70, 80]])
    position = index + template.affine[:3, 3:]
    sampled = template.sample(slice(0, 3), torch.from_numpy(position).float().view(3, 2, 1, 1))
    expected = template.maps[(slice(0, 3), *index)]
    np.testing.assert_allclose(sampled.view(3, 2), expected, atol=2e-3)
