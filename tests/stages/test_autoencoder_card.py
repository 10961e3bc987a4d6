"""The report card of an autoencoder: known values, the mask, and what may be absent."""

import json
import logging

import lightning
import pytest
import torch
from tests.stages.conftest import SHAPES, make_batch, make_stage
from torch.utils.data import DataLoader

from mrcontrast.errors import MrcontrastError
from mrcontrast.latent.codec import Posterior
from mrcontrast.metrics.structural import ssim
from mrcontrast.stages.autoencoder_card import AutoencoderCard, one_line

SHAPE = (14, 12)


class TwoBatches(lightning.LightningDataModule):
    """Three validation items in batches of two and one."""

    def __init__(self, shape):
        super().__init__()
        whole, other = make_batch(shape), make_batch(shape)
        other = {name: value[:1] for name, value in other.items()}
        other["target"] = other["target"] * 0.5
        self.batches = [whole, other]

    def train_dataloader(self):
        return DataLoader(self.batches, batch_size=None)

    def val_dataloader(self):
        return DataLoader(self.batches, batch_size=None)


def halves():
    """Two items whose brain is the left half, and latents of one channel."""
    mask = torch.zeros(2, 1, *SHAPE)
    mask[:, :, : SHAPE[0] // 2] = 1
    batch = {"target": torch.zeros(2, 1, *SHAPE), "brain_mask": mask, "subject": ["sub-1", "sub-1"]}
    posterior = Posterior(torch.ones(2, 1, 3, 4), torch.full((2, 1, 3, 4), 0.5))
    return batch, posterior


def test_figures_are_means_over_items_inside_the_mask():
    batch, posterior = halves()
    reconstruction = torch.full((2, 1, *SHAPE), 0.9)
    reconstruction[0, :, : SHAPE[0] // 2] = 0.1  # 20 dB
    reconstruction[1, :, : SHAPE[0] // 2] = 0.01  # 40 dB
    card = AutoencoderCard("val")
    card.update(batch, reconstruction, posterior)
    found = card.compute()
    assert found["psnr_db"] == pytest.approx(30, abs=1e-4)
    assert found["mae"] == pytest.approx(0.055, abs=1e-6)
    assert found["latent_mean"] == [1.0]
    assert found["latent_std"] == [0.5]
    assert found["kl_nats"] == pytest.approx(0.5 * (1 + 0.25 - 1 - torch.tensor(0.25).log().item()))
    expected = [
        ssim(r.numpy(), 0 * r.numpy(), 1.0, batch["brain_mask"][0, 0].numpy() > 0)
        for r in reconstruction[:, 0]
    ]
    assert found["ssim"] == pytest.approx(sum(expected) / 2)
    assert (found["split"], found["items"], found["subjects"]) == ("val", 2, 1)


def test_an_item_without_brain_is_left_out_and_a_card_without_items_refused():
    batch, posterior = halves()
    batch["brain_mask"][1] = 0
    card = AutoencoderCard("val")
    card.update(batch, torch.full((2, 1, *SHAPE), 0.1), posterior)
    assert card.compute()["items"] == 1
    assert card.compute()["psnr_db"] == pytest.approx(20, abs=1e-4)
    with pytest.raises(MrcontrastError, match="validation items with brain"):
        AutoencoderCard("val").compute()


@pytest.mark.parametrize("dims", [2, 3])
def test_the_stage_ends_with_the_card_of_its_validation(dims, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("mrcontrast"), "propagate", True)  # the command line's
    stage, data = make_stage("autoencoder", dims).eval(), TwoBatches(SHAPES[dims])
    trainer = lightning.Trainer(
        accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False
    )
    (validated,) = trainer.validate(stage, datamodule=data, verbose=False)
    with caplog.at_level("INFO", logger="mrcontrast"):
        stage.finish(data)
    card = stage.report_card
    assert card["psnr_db"] == pytest.approx(validated["val/psnr"], abs=1e-4)
    assert card["items"] == 3
    assert stage.psnr_db.item() == pytest.approx(card["psnr_db"])
    assert json.loads(json.dumps(card, allow_nan=False)) == card
    assert (card["ssim"] is None) == (min(SHAPES[dims]) < 11)  # shorter than the window of SSIM
    assert f"PSNR {card['psnr_db']:.2f} dB" in caplog.text


def test_training_items_that_stand_in_are_named():
    stage, data = make_stage("autoencoder", 2).eval(), TwoBatches(SHAPES[2])
    data.val_is_train = True
    stage.finish(data)
    assert stage.report_card["split"] == "train"
    assert "3 train items" in one_line(stage.report_card)
