"""Stages that listen to tags: they learn them, and without tags they are as without a prompt."""

from functools import partial

import pytest
import torch

from mrcontrast.latent.conditions import AtImageSize, Condition
from mrcontrast.latent.signals import Pixels, Regression
from mrcontrast.networks.tag_prompt import TagPrompt
from mrcontrast.networks.tags import Vocabulary, Weighted
from mrcontrast.stages.concat_diffusion import ConcatDiffusion
from mrcontrast.stages.controlnet import ControlNetDiffusion
from mrcontrast.stages.latent_diffusion import LatentDiffusion
from mrcontrast.stages.pix2pix import Pix2Pix
from mrcontrast.stages.unet_regression import UNetRegression

from .conftest import adam, folded, latent_parts, make_pix2pix, make_regressor
from .test_prompted import wake

NAMES = ["unet_regression", "pix2pix", "latent_diffusion", "concat_diffusion", "controlnet"]
TRAINING = [{"t1w_ti_ms": 850.0}, {"t1w_ti_ms": 1150.0}]


def make_prompt(**options):
    torch.manual_seed(0)
    vocabulary = Vocabulary(["flair"], "t1w", {"ti_ms": {"unit": "ms"}}, {})
    prompt = TagPrompt(vocabulary, width=8, **options)
    prompt.measure(TRAINING)
    return prompt


def make(name, dims):
    prompt = make_prompt()
    if name == "unet_regression":
        stage = UNetRegression(make_regressor(dims), adam(), prompt)
        wake(stage.regressor)
        return stage
    if name == "pix2pix":
        plain = make_pix2pix(dims)
        parts = (plain.regressor, lambda **_: plain.discriminator, adam(), adam(), 100.0)
        stage = Pix2Pix(*parts, prompt)
        wake(stage.regressor)
        return stage
    parts = latent_parts(dims) | {"prompt": prompt}
    if name == "latent_diffusion":
        stage = LatentDiffusion(**parts)
    elif name == "concat_diffusion":
        stage = ConcatDiffusion(condition=folded(), **parts)
    else:
        from monai.networks.nets import ControlNet

        regressor = make_regressor(dims)
        regressor.listen(make_prompt())
        wake(regressor)
        signals = {"pixels": Pixels(), "regression": Regression(regressor)}
        condition = Condition(signals, AtImageSize(), (4, 8))
        stage = ControlNetDiffusion(partial(ControlNet), condition=condition, **parts)
    wake(stage)
    stage.initialise()
    return stage


def told(batch, *tags):
    return batch | {"tags": [*tags] * (len(batch["source"]) // len(tags))}


@pytest.mark.parametrize("name", NAMES)
def test_tags_change_the_image_and_absence_does_not(name, dims, batch):
    stage = make(name, dims).eval()
    noise = (
        torch.randn(len(batch["source"]), *stage.codec.latent_shape(batch["source"].shape[2:]))
        if name not in ("unet_regression", "pix2pix")
        else None
    )
    without = stage(batch, noise)
    short = stage(told(batch, {"t1w_ti_ms": 850.0}), noise)
    assert not torch.equal(without, short)
    for nothing in ({}, {"t1w_ti_ms": Weighted(850.0, 0.0)}, {"t1w_ti_ms": "unknown"}):
        assert torch.equal(stage(told(batch, nothing), noise), without)


@pytest.mark.parametrize("name", NAMES)
def test_the_tokens_learn_with_the_network_that_learns(name, dims, batch):
    stage = make(name, dims).train()
    stage.loss(told(batch, {"t1w_ti_ms": 850.0})).backward()
    learns = name != "controlnet"
    trained = {id(parameter) for parameter in stage.trained.parameters() if parameter.requires_grad}
    prompt = stage.prompt
    assert (prompt.null.grad is not None) == learns
    assert (id(prompt.null) in trained) == learns
    heard = [
        n
        for n, p in stage.named_parameters()
        if p.grad is not None and ("attn2" in n or "film" in n)
    ]
    assert heard


def test_a_regression_learns_two_images_of_one_source_by_tag():
    torch.manual_seed(0)
    stage = UNetRegression(make_regressor(2), adam(), make_prompt(dropout=0.1, tag_dropout=0.1))
    source = torch.rand(2, 1, 16, 16)
    source[1] = source[0]
    dark_and_bright = torch.stack([0.3 * source[0], 0.3 + 0.5 * source[0]])
    batch = {
        "source": source,
        "target": dark_and_bright,
        "brain_mask": torch.ones_like(source),
        "tags": TRAINING,
    }
    optimiser = torch.optim.Adam(stage.parameters(), 1e-2)
    for _ in range(150):
        optimiser.zero_grad()
        stage.loss(batch).backward()
        optimiser.step()
    stage.eval()
    error = (stage(batch) - batch["target"]).abs().mean()
    assert error < 0.1  # the two differ by 0.4
    swapped = stage(batch | {"tags": TRAINING[::-1]})
    assert (swapped - batch["target"].flip(0)).abs().mean() < 0.1
    nothing = stage(batch | {"tags": [{}, {}]}).mean()
    low, high = (image.mean() for image in batch["target"])
    assert low < nothing < high
