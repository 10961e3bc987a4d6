"""The autoencoder's terms, its odd sizes, its latent statistics and its adversary."""

import lightning
import pytest
import torch
from tests.stages.conftest import SHAPES, make_batch, make_stage
from torch.utils.data import DataLoader


class Batches(lightning.LightningDataModule):
    """The same batch again and again."""

    def __init__(self, batch, count):
        super().__init__()
        self.batches = [batch] * count

    def train_dataloader(self):
        return DataLoader(self.batches, batch_size=None)

    def val_dataloader(self):
        return DataLoader(self.batches[:1], batch_size=None)


def test_sizes_that_do_not_divide_come_back_whole(dims):
    shape = tuple(length - 1 for length in SHAPES[dims])
    batch = make_batch(shape)
    stage = make_stage("autoencoder", dims).eval()
    assert stage(batch).shape == batch["target"].shape


def test_terms_add_up_to_the_loss(dims, batch):
    stage = make_stage("autoencoder", dims)
    torch.manual_seed(1)
    terms, reconstruction = stage.losses(batch["target"])
    torch.manual_seed(1)
    assert stage.loss(batch).item() == pytest.approx(sum(term.item() for term in terms.values()))
    expected = (reconstruction - batch["target"]).abs().mean().item()
    assert terms["l1"].item() == pytest.approx(expected, rel=1e-5)


def test_both_contrasts_are_stacked_and_a_slab_gives_its_middle():
    stage = make_stage("autoencoder", 2)
    stage.contrasts = ("t1w", "flair")
    t1w, flair = torch.rand(2, 1, 8, 8), torch.rand(2, 3, 8, 8)
    images = stage.images({"target": t1w, "source": flair})
    assert torch.equal(images, torch.cat([t1w, flair[:, 1:2]]))


def test_finish_measures_the_latents(dims, batch):
    stage = make_stage("autoencoder", dims)
    stage.finish(Batches(batch, 3))
    posterior = stage.posterior(batch["target"])
    axes = [0, *range(2, posterior.mean.ndim)]
    second = (posterior.mean.square() + posterior.sigma.square()).mean(axes)
    expected = (second - posterior.mean.mean(axes).square()).sqrt()
    torch.testing.assert_close(stage.latent_std, expected.detach(), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(stage.latent_mean, posterior.mean.mean(axes).detach())


def make_trainer(max_steps):
    return lightning.Trainer(
        max_steps=max_steps,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )


@pytest.mark.parametrize(("start_step", "joined"), [(100, False), (0, True)])
def test_the_adversary_joins_when_it_should(dims, batch, start_step, joined):
    stage = make_stage("adversarial", dims)
    stage.adversarial_start_step = start_step
    before = [value.clone() for value in stage.discriminator.parameters()]
    trainer = make_trainer(max_steps=4)
    trainer.fit(stage, datamodule=Batches(batch, 6))
    moved = [
        not torch.equal(*pair)
        for pair in zip(stage.discriminator.parameters(), before, strict=True)
    ]
    assert all(moved) if joined else not any(moved)
    assert ("train/adversarial" in trainer.callback_metrics) == joined
