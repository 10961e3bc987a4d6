"""The look-up learns the mean T1w level of each FLAIR level, inside the brain only."""

import pytest
import torch
from tests.stages.test_autoencoder import Batches

from mrcontrast.errors import MrcontrastError
from mrcontrast.stages.baselines import IntensityLookup


@pytest.mark.parametrize("shape", [(6, 4), (4, 6, 2)])
def test_known_table(shape):
    flair = torch.zeros(2, 1, *shape)
    flair[1] = 1.0
    t1w = torch.where(flair > 0.5, 0.25, 0.75)
    mask = torch.ones_like(flair)
    mask[..., 0] = 0
    t1w[..., 0] = 9.0  # outside the mask: must not count
    stage = IntensityLookup(levels=11, spatial_dims=len(shape))
    stage.finish(Batches({"source": flair, "target": t1w, "brain_mask": mask}, 2))
    assert stage.table[0].item() == pytest.approx(0.75)
    assert stage.table[-1].item() == pytest.approx(0.25)
    image = stage({"source": flair})
    torch.testing.assert_close(image, torch.where(flair > 0.5, 0.25, 0.75))


def test_between_two_levels_it_interpolates():
    stage = IntensityLookup(levels=3, spatial_dims=2)
    stage.table.copy_(torch.tensor([0.0, 0.4, 1.0]))
    flair = torch.tensor([[[[0.25, 0.75, 1.0, 2.0]]]])
    expected = torch.tensor([[[[0.2, 0.7, 1.0, 1.0]]]])
    torch.testing.assert_close(stage({"source": flair}), expected)


def test_a_slab_uses_its_middle_slice():
    stage = IntensityLookup(levels=2, spatial_dims=2)
    stage.table.copy_(torch.tensor([0.0, 1.0]))
    flair = torch.rand(2, 3, 4, 6)
    torch.testing.assert_close(stage({"source": flair}), flair[:, 1:2])


def test_no_brain_is_refused():
    empty = torch.zeros(2, 1, 4, 6)
    data = Batches({"source": empty, "target": empty, "brain_mask": empty}, 1)
    with pytest.raises(MrcontrastError, match="Check the brain masks"):
        IntensityLookup(levels=4, spatial_dims=2).finish(data)
