"""The GAN: its two losses by hand, and that each player moves only itself."""

import math
from functools import partial

import pytest
import torch
from tests.stages.conftest import make_stage
from tests.stages.test_autoencoder import Batches, make_trainer

from mrcontrast.stages.optimisation import Optimisation
from mrcontrast.stages.pix2pix import verdict_loss


def silence(discriminator, logit):
    """Let a discriminator give one logit everywhere."""
    last = [value for value in discriminator.final_conv.parameters()]
    torch.nn.init.zeros_(last[0])
    torch.nn.init.constant_(last[1], logit)


def test_losses_of_a_discriminator_that_says_one_thing(dims, batch):
    stage = make_stage("pix2pix", dims).eval()
    silence(stage.discriminator, 2.0)
    terms, image = stage.losses(batch)
    real, fake = math.log1p(math.exp(-2)), math.log1p(math.exp(2))  # of "real" where it is
    assert terms["adversarial"].item() == pytest.approx(real, rel=1e-5)
    assert terms["l1"].item() == pytest.approx(
        100 * (image - batch["target"]).abs().mean().item(), rel=1e-5
    )
    assert stage.discriminator_loss(batch, image).item() == pytest.approx(
        (real + fake) / 2, rel=1e-5
    )
    assert stage.loss(batch).item() == pytest.approx(sum(term.item() for term in terms.values()))


def test_the_discriminator_sees_flair(dims, batch):
    stage = make_stage("pix2pix", dims).eval()
    other = stage.logits(batch["source"].flip(0), batch["target"])
    assert not torch.allclose(stage.logits(batch["source"], batch["target"]), other)


def test_a_verdict_is_learnt_from_pairs(dims, batch):
    stage = make_stage("pix2pix", dims)
    optimizer = torch.optim.Adam(stage.discriminator.parameters(), lr=1e-2)
    blank = torch.zeros_like(batch["target"])
    for _ in range(30):
        loss = stage.discriminator_loss(batch, blank)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.2 < verdict_loss(torch.zeros(1), real=True)


def test_both_learn_and_steps_of_both_count(dims, batch):
    stage = make_stage("pix2pix", dims)
    before = {name: value.clone() for name, value in stage.named_parameters()}
    trainer = make_trainer(max_steps=8)
    trainer.fit(stage, datamodule=Batches(batch, 6))
    assert trainer.fit_loop.total_batch_idx == 3
    same = [name for name, value in stage.named_parameters() if torch.equal(value, before[name])]
    assert same == []
    assert {"train/l1", "train/adversarial", "train/discriminator"} <= set(trainer.callback_metrics)


def test_the_generator_leaves_the_discriminator_alone(dims, batch):
    stage = make_stage("pix2pix", dims)
    stage.discriminator_optimisation = Optimisation(partial(torch.optim.SGD, lr=0.0))
    before = [value.clone() for value in stage.discriminator.parameters()]
    make_trainer(max_steps=4).fit(stage, datamodule=Batches(batch, 6))
    for value, old in zip(stage.discriminator.parameters(), before, strict=True):
        assert torch.equal(value, old)


def test_gradients_are_clipped_as_the_trainer_is_told(dims, batch):
    stage = make_stage("pix2pix", dims)
    stage.optimisation = stage.discriminator_optimisation = Optimisation(
        partial(torch.optim.SGD, lr=1.0)
    )
    stage.gradient_clip_val = 1e-3
    before = {name: value.detach().clone() for name, value in stage.named_parameters()}
    make_trainer(max_steps=2).fit(stage, datamodule=Batches(batch, 1))
    for player in ("regressor", "discriminator"):
        moved = [
            (value - before[name]).square().sum()
            for name, value in stage.named_parameters()
            if name.startswith(player)
        ]
        assert torch.stack(moved).sum().sqrt().item() == pytest.approx(1e-3, rel=1e-2)
