"""A stage that takes a frozen part over from the toy autoencoder."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mrcontrast.stages.contract import Stage


class ToyCodec(nn.Module):
    def __init__(self, autoencoder: nn.Module) -> None:
        super().__init__()
        self.autoencoder = autoencoder.requires_grad_(False)
        self.register_buffer("mean", torch.zeros(1))
        self.register_buffer("std", torch.full((1,), torch.nan))
        self.register_buffer("psnr_db", torch.tensor(torch.nan))


class ToyLatentDiffusion(Stage):
    def __init__(self, codec: ToyCodec, denoiser: nn.Module, process: nn.Module) -> None:
        super().__init__()
        self.codec = codec
        self.denoiser = denoiser
        self.process = process

    def forward(self, batch: dict, noise: Tensor | None = None, generator: object = None) -> Tensor:
        return self.denoiser(batch["source"])

    def pictures(self, batch: dict) -> dict[str, Tensor]:
        return {"T1w": batch["target"]}

    def training_step(self, batch: dict, batch_idx: int) -> Tensor:
        return F.mse_loss(self.denoiser(self.codec.autoencoder(batch["target"])), batch["target"])

    def validation_step(self, batch: dict, batch_idx: int) -> None:
        self.log("val/loss", self.training_step(batch, 0), batch_size=2)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.denoiser.parameters(), lr=0.1)
