"""Each kind of signal of an optional source: it is learnt, and without it the flag decides."""

import pytest
import torch
from tests.stages.conftest import (
    adam,
    folded,
    make_batch,
    make_controlnet,
    make_regressor,
    make_translation,
    pixels,
    regressed,
)

from mrcontrast.data.augmentation import OptionalDropout
from mrcontrast.errors import UsageError
from mrcontrast.latent.conditions import AtImageSize, Condition
from mrcontrast.latent.signals import Pixels, Regression
from mrcontrast.stages.concat_diffusion import ConcatDiffusion
from mrcontrast.stages.unet_regression import UNetRegression

ROLES = {"source": ("flair", "t2w"), "optional": ("t2w",)}


def regressor():
    torch.manual_seed(0)
    return make_regressor(2, **ROLES)


def regression_alone():
    return Condition({"regression": Regression(regressor())}, AtImageSize(), [4, 8])


KINDS = {  # a stage, steps, share of the loss that may be left
    "unet": (lambda: UNetRegression(regressor(), adam(), **ROLES), 60, 0.4),
    "pixels": (lambda: make_controlnet(2, pixels(), **ROLES), 160, 0.8),
    "regressed": (lambda: make_controlnet(2, regressed(regressor()), **ROLES), 160, 0.8),
    "regression": (lambda: make_controlnet(2, regression_alone(), **ROLES), 160, 0.8),
    "folded": (lambda: make_translation(ConcatDiffusion, folded(), 2, **ROLES), 80, 0.75),
}


def item_of_two():
    """One item, whose target is its second source."""
    batch = make_batch((20, 24))
    flair, t2w = batch["source"]
    images = {"source": torch.cat([flair, t2w]), "target": t2w, "brain_mask": flair * 0 + 1}
    return {**images, "present": torch.ones(2)}


def batch_of(item):
    return {key: value[None] for key, value in item.items()}


def dropped(item):
    return OptionalDropout([item], [1], 0.999999)[0]


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_learnt_and_its_absence_is_the_image_of_an_absent_one(kind):
    make, steps, share = KINDS[kind]
    stage, item = make(), item_of_two()
    parameters = [value for value in stage.parameters() if value.requires_grad]
    optimizer = torch.optim.Adam(parameters, lr=5e-3)
    losses = []
    for step in range(steps):
        torch.manual_seed(step % 4)
        loss = stage.loss(batch_of(item))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-4:]) < share * sum(losses[:4])

    stage.eval()
    shape = stage.noise_shape((20, 24))
    noise = [] if shape is None else [torch.randn(1, *shape)]
    absent = batch_of(dropped(item))
    without = {**absent, "source": absent["source"].clone()}
    without["source"][:, 1] = 0
    assert absent["present"].tolist() == [[1, 0]]
    assert torch.equal(stage(absent, *noise), stage(without, *noise))
    assert not torch.equal(stage(absent, *noise), stage(batch_of(item), *noise))
    claimed = {**absent, "present": torch.ones(1, 2)}  # an image of zeros is no absent one
    assert not torch.equal(stage(absent, *noise), stage(claimed, *noise))


def test_flags_follow_the_sources_and_all_are_there_without_them():
    stage = KINDS["pixels"][0]().eval()
    batch = batch_of(item_of_two())
    placed = stage.condition(batch, stage.codec)
    assert placed.shape[1] == stage.condition.channels(stage.codec) == 3
    assert torch.equal(placed[:, 2], torch.ones_like(placed[:, 2]))
    del batch["present"]
    assert torch.equal(stage.condition(batch, stage.codec), placed)


def test_a_model_without_optional_sources_has_no_flags():
    both = make_regressor(2, source=("flair", "t2w"))
    assert both.network.input_block.conv1.conv.in_channels == both.in_channels == 2
    assert regressor().network.input_block.conv1.conv.in_channels == 3
    signal = Pixels()
    signal.sources, signal.slices = 2, 3
    assert signal.channels(None) == 6


def test_the_first_source_is_never_optional():
    for wrong in ("flair", "pd"):
        with pytest.raises(UsageError, match=rf"among t2w, got {wrong} \(data.optional\)"):
            make_regressor(2, source=("flair", "t2w"), optional=(wrong,))


def test_a_regression_with_other_optional_sources_is_refused():
    with pytest.raises(UsageError, match=r"Set data.optional=\[t2w\]"):
        make_controlnet(2, regressed(regressor()), source=("flair", "t2w"))
