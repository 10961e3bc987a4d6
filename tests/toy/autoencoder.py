"""A stage with the silhouette of the real ones, small enough to train in a second."""

import time
from types import SimpleNamespace

import torch
import torch.nn.functional as F
from lightning import LightningDataModule
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from mrcontrast.data.epoch_order import EpochOrder, LateLoader
from mrcontrast.data.manifest import Manifest
from mrcontrast.stages.contract import Stage


class ToyAutoencoder(Stage):
    """One convolution that learns to reproduce its input."""

    takes = "target"
    latent_mean: Tensor

    def __init__(self, autoencoder: nn.Module, lr: float, seconds_a_step: float = 0.0) -> None:
        super().__init__()
        self.autoencoder = autoencoder
        self.lr = lr
        self.seconds_a_step = seconds_a_step
        self.register_buffer("latent_mean", torch.zeros(1))
        self.register_buffer("latent_std", torch.ones(1))
        self.register_buffer("psnr_db", torch.tensor(20.0))

    def forward(self, batch: dict, noise: Tensor | None = None, generator: object = None) -> Tensor:
        return self.autoencoder(batch["target"]).clamp(0, 1)

    def training_step(self, batch: dict, batch_idx: int) -> Tensor:
        time.sleep(self.seconds_a_step)
        loss = F.mse_loss(
            self.autoencoder(batch["target"]), batch["target"] + 1e-3 * torch.randn(1)
        )
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: dict, batch_idx: int) -> None:
        self.log(
            "val/loss", F.mse_loss(self.autoencoder(batch["target"]), batch["target"]), batch_size=2
        )

    def pictures(self, batch: dict) -> dict[str, Tensor]:
        return {"T1w": batch["target"], "reconstruction": self(batch)}

    def finish(self, datamodule: LightningDataModule) -> None:
        batch = next(iter(datamodule.train_dataloader()))
        self.latent_mean.copy_(batch["target"].mean())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.autoencoder.parameters(), lr=self.lr)


class ToyItems(Dataset):
    """Smooth images (1, *shape) in [0, 1], the same at each look."""

    def __init__(self, count: int, shape: tuple[int, ...]) -> None:
        self.images = torch.rand(count, 1, *shape, generator=torch.Generator().manual_seed(1))

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> dict:
        return {"target": self.images[index], "subject": f"sub-{index}", "item": index}


class ToyKeys(Dataset):
    """The items by ``epoch * len(items) + item``."""

    def __init__(self, items: ToyItems) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, key: int) -> dict:
        return self.items[key % len(self.items)]


class ToyManifest:
    facts, _shared_settings = Manifest.facts, Manifest._shared_settings

    def __init__(self, data_hash: str) -> None:
        self.data_hash = data_hash
        self.split_hash = "split"
        self.contrasts = ["flair", "t1w"]
        settings = {"name": "percentile-0-99.5", "clip": True}
        self.records = [
            SimpleNamespace(
                name="sub-1",
                spacing_mm=2.0,
                shape=(6, 8, 4),
                images={"flair": None, "t1w": None},
                normalisers={"flair": settings, "t1w": settings},
            )
        ]


class ToyData(LightningDataModule):
    def __init__(self, shape: list[int], data_hash: str = "data", num_workers: int = 0) -> None:
        super().__init__()
        self.items = ToyItems(8, tuple(shape))
        self.manifest = ToyManifest(data_hash)
        self.source, self.target = ("flair",), "t1w"
        self.num_workers = num_workers

    def train_dataloader(self) -> DataLoader:
        order = EpochOrder(ToyKeys(self.items), 2, 0, self.batches_seen)
        rest = torch.Generator()  # the global one, which training draws from, rests
        return LateLoader(ToyKeys(self.items), batch_size=2, sampler=order, generator=rest)

    def batches_seen(self) -> int:
        if self.trainer is None or not self.trainer.training:
            return 0
        return self.trainer.fit_loop.epoch_loop.batch_progress.total.processed

    def val_dataloader(self) -> DataLoader:
        return DataLoader(self.items, batch_size=2, generator=torch.Generator())
