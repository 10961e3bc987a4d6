"""A stage that takes everything frozen over from the toy latent diffusion."""

import torch
from torch import nn

from toy.latent_diffusion import ToyCodec, ToyLatentDiffusion


class ToyControlNet(ToyLatentDiffusion):
    def __init__(
        self, codec: ToyCodec, denoiser: nn.Module, process: nn.Module, controlnet: nn.Module
    ) -> None:
        super().__init__(codec, denoiser.requires_grad_(False), process)
        self.controlnet = controlnet

    def initialise(self) -> None:
        self.controlnet.load_state_dict(self.denoiser.state_dict())

    def training_step(self, batch: dict, batch_idx: int) -> torch.Tensor:
        return (self.controlnet(batch["target"]) - batch["target"]).square().mean()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.controlnet.parameters(), lr=0.1)
