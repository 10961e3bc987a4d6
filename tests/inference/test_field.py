"""Networks with group norms see fields as full of brain as in their training."""

import numpy as np
import pytest
import torch
from tests.stages.conftest import make_regressor
from torch import nn

from mrcontrast.inference.field import (
    field_remarks,
    in_field,
    lending_slices,
    out_of_field,
    usual_field,
)
from mrcontrast.inference.sampling_options import SamplingOptions
from mrcontrast.inference.volume_sampler import VolumeSampler
from mrcontrast.networks.lent_norms import has_group_norms, lent_norms
from mrcontrast.networks.tiling import Tiling
from mrcontrast.stages.unet_regression import UNetRegression

SHAPE = (24, 32, 20)


def head(shape=SHAPE, centre=(12, 16, 10), radii=(8, 11, 8.2)):
    """Return an image (X, Y, Z) and its ellipsoid of a brain."""
    axes = np.meshgrid(
        *(np.arange(n) - c for n, c in zip(shape, centre, strict=True)), indexing="ij"
    )
    mask = sum((axis / r) ** 2 for axis, r in zip(axes, radii, strict=True)) < 1
    image = 0.6 + 0.3 * np.sin(axes[0] / 2) * np.cos(axes[1] / 3 + axes[2] / 2)
    return (image * mask).astype(np.float32), mask


def sampler(dims, trained):
    stage = UNetRegression(make_regressor(dims), None).eval()
    torch.manual_seed(0)
    for value in stage.parameters():
        nn.init.normal_(value, 0.2, 0.3)
    return VolumeSampler(stage, SamplingOptions(), 4, torch.device("cpu"), trained)


def draw(of, image, mask):
    return of.sample(image, mask, 0, lambda part: None)[0]


def test_slices_with_enough_brain_keep_each_bit_and_thin_ones_borrow():
    image, mask = head()
    plain, relieved = (draw(sampler(2, trained), image, mask) for trained in (None, SHAPE))
    share = mask.mean((0, 1))
    thin = (share > 0) & (share < 0.05)
    assert thin.any()
    np.testing.assert_array_equal(relieved[:, :, ~thin], plain[:, :, ~thin])
    assert all(np.abs(relieved - plain)[:, :, z].max() > 1e-3 for z in np.flatnonzero(thin))


@pytest.mark.parametrize("dims", [2, 3])
def test_a_wider_field_changes_nothing(dims):
    image, mask = head()
    sides = [(8, 8), (8, 8), (0, 0) if dims == 2 else (8, 8)]
    inner = tuple(slice(a, n + a) for (a, _), n in zip(sides, SHAPE, strict=True))
    wide = np.pad(image, sides), np.pad(mask, sides)
    changes = []
    for trained in (SHAPE, None):
        of = sampler(dims, trained)
        changes.append(np.abs(draw(of, *wide)[inner] - draw(of, image, mask)).max())
    assert changes[0] < 1e-5
    assert changes[1] > 1e-2


def test_a_slab_gets_as_much_empty_space_as_it_is_thick():
    image, mask = head()
    mask[:, :, :6], mask[:, :, 12:] = False, False
    box = usual_field(mask, SHAPE, 3, 4)
    assert box == [(0, 24), (0, 32), (3, 15)]
    alone = draw(sampler(3, None), image[:, :, 3:15].copy(), mask[:, :, 3:15].copy())
    of = sampler(3, SHAPE)
    np.testing.assert_allclose(draw(of, image, mask)[:, :, 3:15], alone, atol=1e-5)
    thin = image[:, :, 6:12].copy(), mask[:, :, 6:12].copy()  # its field ends with it
    assert usual_field(thin[1], SHAPE, 3, 4)[2] == (-3, 9)
    np.testing.assert_allclose(draw(of, *thin), alone[:, :, 3:9], atol=1e-5)


def test_a_box_is_put_back_where_it_was():
    volume = torch.rand(4, 5, 6)
    box = [(-2, 6), (1, 4), (0, 6)]
    inside = in_field(volume, box)
    assert inside.shape == (8, 3, 6)
    back = out_of_field(inside, box, volume.shape)
    assert torch.equal(back[:, 1:4], volume[:, 1:4])
    assert not back[:, 0].any()
    assert not back[:, 4].any()


def test_a_whole_brain_keeps_its_field():
    _, mask = head()
    assert usual_field(mask, SHAPE, 3, 4) == [(0, n) for n in SHAPE]


def test_thin_slices_borrow_from_the_nearest():
    brain = torch.zeros(10, 10, 6, dtype=torch.bool)
    for z, side in enumerate((1, 2, 5, 9, 3, 2)):
        brain[:side, :side, z] = True
    assert lending_slices(brain).tolist() == [2, 2, 2, 3, 4, 4]
    assert lending_slices(brain[:, :, :2]).tolist() == [0, 1]


def test_a_lender_gives_its_statistics():
    norm = nn.GroupNorm(2, 4)
    nn.init.normal_(norm.weight)
    x = torch.randn(3, 4, 5, 6) * torch.tensor([1.0, 2.0, 3.0]).view(3, 1, 1, 1)
    own = norm(x)
    with lent_norms(norm, torch.tensor([0, 1, 1])):
        lent = norm(x)
        same = norm(x[[0, 1, 1]])
    assert torch.equal(lent[:2], own[:2])
    assert not torch.allclose(lent[2], own[2], atol=0.1)
    torch.testing.assert_close(same[2], own[1], rtol=1e-5, atol=1e-5)
    assert "forward" not in norm.__dict__


def test_a_lender_serves_tiles_too():
    norm = nn.GroupNorm(2, 4).double()
    x = torch.randn(2, 4, 12, 20, dtype=torch.float64) * 3 + 5
    tiling = Tiling(8, 0.25, 1, passes=1)
    with torch.no_grad(), lent_norms(norm, torch.tensor([0, 0])):
        whole = norm(x)
        torch.testing.assert_close(
            tiling(norm, [x], x.shape[2:], norm), whole, rtol=1e-5, atol=1e-5
        )
        assert "forward" in norm.__dict__
    assert "forward" not in norm.__dict__


def test_fields_beyond_all_relief_are_named():
    _, mask = head()
    assert field_remarks(mask, 2, 2.0) == field_remarks(mask, 3, 2.0) == ()
    (remark,) = field_remarks(mask[:, :, 2:3], 2, 2.0)
    assert "brain fills" in remark
    (remark,) = field_remarks(mask[:, :, 8:10], 3, 2.0)
    assert remark.startswith("a slab of 4 mm")
    assert has_group_norms(nn.Sequential(nn.GroupNorm(1, 2)))
