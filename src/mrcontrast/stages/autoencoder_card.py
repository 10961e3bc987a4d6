"""Quality of an autoencoder's reconstructions, an upper bound for every later stage."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from lightning import LightningDataModule
from torch import Tensor

from mrcontrast import keys
from mrcontrast.errors import MrcontrastError
from mrcontrast.latent.codec import LatentStatistics, Posterior
from mrcontrast.losses.kl import kl_divergence
from mrcontrast.metrics.online import masked_psnr
from mrcontrast.metrics.structural import WINDOW, ssim
from mrcontrast.metrics.voxelwise import mean_absolute_error

log = logging.getLogger(__name__)


@torch.no_grad()
def examine(autoencoder: Any, datamodule: LightningDataModule) -> dict[str, Any]:  # noqa: ANN401
    """Return the report card of a stage over all validation items, and log it in one line."""
    card = AutoencoderCard("train" if getattr(datamodule, "val_is_train", False) else "val")
    for batch in datamodule.val_dataloader():
        target = batch[keys.TARGET].to(autoencoder.device)
        posterior = autoencoder.posterior(target)
        card.update(batch, autoencoder.decode(posterior.mean, target.shape[2:]), posterior)
    found = card.compute()
    log.info("%s", one_line(found))
    return found


class AutoencoderCard:
    """Mean values over items of a split with equal weights, each within the brain mask."""

    def __init__(self, split: str) -> None:
        self.split = split
        self.values: dict[str, list[float]] = {"psnr_db": [], "ssim": [], "mae": []}
        self.kl_nats: list[float] = []
        self.subjects: set[str] = set()
        self.latents = LatentStatistics()

    def update(
        self, batch: Mapping[str, Any], reconstruction: Tensor, posterior: Posterior
    ) -> None:
        """Add the items of a batch that have brain; reconstruction in [0, 1], posterior raw."""
        target, masks = batch[keys.TARGET].cpu(), batch[keys.BRAIN_MASK].cpu()
        images = reconstruction.detach().float().cpu()
        for item, value in enumerate(masked_psnr(images, target, masks).tolist()):
            pair = images[item, 0].numpy(), target[item, 0].numpy()
            brain = (masks[item, 0] > 0.5).numpy()
            if not brain.any():
                continue
            self.values["psnr_db"].append(value)
            self.values["mae"].append(mean_absolute_error(*pair, brain))
            if min(brain.shape) >= WINDOW:
                self.values["ssim"].append(ssim(*pair, data_range=1.0, mask=brain))
        self.kl_nats += [float(kl_divergence(posterior.mean, posterior.sigma))] * len(target)
        self.subjects.update(batch.get(keys.SUBJECT, ()))
        self.latents.update(posterior)

    def compute(self) -> dict[str, Any]:
        """Return the card as JSON, or raise MrcontrastError if no item has a brain voxel.

        "split", "items", "subjects"; means over items of "psnr_db", "ssim", "mae" in the brain,
        None if no item gives one; "kl_nats", of each latent value; "latent_mean" and "latent_std",
        one for each channel, raw.
        """
        if not self.values["psnr_db"]:
            raise MrcontrastError(
                "Expected validation items with brain, got none (autoencoder report card). "
                "Check the brain masks and the splits of the data set."
            )
        mean, std = self.latents.compute()
        return {
            "split": self.split,
            "items": len(self.values["psnr_db"]),
            "subjects": len(self.subjects),
            **{name: mean_of(values) for name, values in self.values.items()},
            "kl_nats": mean_of(self.kl_nats),
            "latent_mean": [round(value, 6) for value in mean.tolist()],
            "latent_std": [round(value, 6) for value in std.tolist()],
        }


def mean_of(values: Sequence[float]) -> float | None:
    """Return the mean, or None of nothing."""
    return float(np.mean(values)) if values else None


def one_line(card: Mapping[str, Any]) -> str:
    """Return a card in one line for a reader.

    >>> one_line({"split": "val", "items": 64, "subjects": 3, "psnr_db": 31.249, "ssim": None,
    ...     "mae": 0.01234, "kl_nats": 1.5, "latent_mean": [0.1, -0.25],
    ...     "latent_std": [1.0, 0.875]})
    'Report card (64 val items, 3 subjects, in the brain): PSNR 31.25 dB, MAE 0.0123, KL 1.50 \
nats; latent mean 0.10 -0.25, sd 1.00 0.88'
    """
    values = [
        f"{title} {card[name]:.{digits}f}{unit}"
        for name, title, digits, unit in (
            ("psnr_db", "PSNR", 2, " dB"),
            ("ssim", "SSIM", 3, ""),
            ("mae", "MAE", 4, ""),
            ("kl_nats", "KL", 2, " nats"),
        )
        if card[name] is not None
    ]
    pair = card["latent_mean"], card["latent_std"]
    means, deviations = (" ".join(f"{value:.2f}" for value in values) for values in pair)
    subjects = f"{card['subjects']} subject{'' if card['subjects'] == 1 else 's'}"
    return (
        f"Report card ({card['items']} {card['split']} items, {subjects}, in the "
        f"brain): {', '.join(values)}; latent mean {means}, sd {deviations}"
    )
