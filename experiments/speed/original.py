"""Training steps and sampling of the 2023 recipe, for networks of any size.

Source: Warvito 2023, generative_brain_controlnet: its two diffusion training loops and its sampling
script, rewritten. One difference, in its favour: images are in memory, not loaded from PNG.
As in that code, gradients of the frozen text encoder are computed.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from architectures import CONTROL, Setting, controlnet_of, denoiser_of, original
from monai.networks.schedulers import DDIMScheduler, DDPMScheduler
from omegaconf import DictConfig
from text_encoder import TextEncoder, prompt
from torch import Tensor, nn

from mrcontrast.config.build import build
from mrcontrast.networks.control import start_from_denoiser

DIFFUSION = original("latent_diffusion")
NOISE = {
    "num_train_timesteps": 1000,
    "schedule": "scaled_linear_beta",
    **DIFFUSION.process.schedule,
    "prediction_type": "v_prediction",
}
SCALE_FACTOR = DIFFUSION.codec.scale
LEARNING_RATE = DIFFUSION.optimisation.optimizer.lr
GUIDANCE = CONTROL.prompt.guidance
DDIM_STEPS = CONTROL.process.sampler.num_steps


class OriginalDiffusion(nn.Module):
    """Stage 2: encode images and prompts at each step, then train the denoiser.

    Args:
        config: Config of our stage, for networks of the same shape.
        what: Setting, for the text encoder.
    """

    def __init__(self, config: DictConfig, what: Setting) -> None:
        super().__init__()
        self.autoencoder = build(config.stage.codec.autoencoder).eval().requires_grad_(False)
        self.denoiser = denoiser_of(config.stage)
        self.text_encoder = TextEncoder(what.text_width, what.text_layers).eval()
        self.noise = DDPMScheduler(**NOISE)
        self.noise.alphas_cumprod = self.noise.alphas_cumprod.float()

    def trained(self) -> nn.Module:
        """Return the trained network."""
        return self.denoiser

    def start(self) -> None:
        """Make the optimiser, after the networks have moved to their device."""
        self.optimizer = torch.optim.AdamW(self.trained().parameters(), lr=LEARNING_RATE)

    def loss(self, images: dict[str, Tensor]) -> Tensor:
        """Return the mean squared error of v for T1w (B, 1, *S), a scalar."""
        t1w = images["target"]
        with torch.no_grad():
            z = self.autoencoder.encode_stage_2_inputs(t1w) * SCALE_FACTOR
        context = self.text_encoder(prompt(len(z)).to(z.device))
        t = torch.randint(0, self.noise.num_train_timesteps, (len(z),), device=z.device)
        noise = torch.randn_like(z)
        z_t = self.noise.add_noise(z, noise, t)
        v = self.predict(z_t, t, context, images)
        return F.mse_loss(v.float(), self.noise.get_velocity(z, noise, t).float())

    def predict(self, z_t: Tensor, t: Tensor, context: Tensor, images: dict[str, Tensor]) -> Tensor:
        """Run the denoiser once."""
        return self.denoiser(z_t, t, context)

    def step(self, images: dict[str, Tensor], text_gradients: bool = True) -> None:
        """Train on one batch; in bf16 on CUDA, like ours.

        Args:
            images: (B, 1, *S) by contrast.
            text_gradients: False omits the text encoder's gradients, in the original's favour.
        """
        self.text_encoder.requires_grad_(text_gradients)
        self.optimizer.zero_grad(set_to_none=True)
        device = images["target"].device.type
        with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
            loss = self.loss(images)
        loss.backward()
        self.optimizer.step()


class OriginalControl(OriginalDiffusion):
    """Stage 3: as stage 2, but train a ControlNet on FLAIR pixels with a frozen denoiser."""

    def __init__(self, config: DictConfig, what: Setting) -> None:
        super().__init__(config, what)
        self.denoiser.eval().requires_grad_(False)
        self.controlnet = controlnet_of(config.stage)
        start_from_denoiser(self.controlnet, self.denoiser)

    def trained(self) -> nn.Module:
        """Return the trained network."""
        return self.controlnet

    def predict(self, z_t: Tensor, t: Tensor, context: Tensor, images: dict[str, Tensor]) -> Tensor:
        """Run ControlNet and denoiser once."""
        down, middle = self.controlnet(z_t, t, images["source"], context=context)
        return self.denoiser(
            z_t,
            t,
            context,
            down_block_additional_residuals=tuple(down),
            mid_block_additional_residual=middle,
        )

    @torch.no_grad()
    def context(self, batch_size: int) -> Tensor:
        """Encode the prompt for both branches, (2B, 77, width)."""
        return self.text_encoder(prompt(2 * batch_size).to(next(self.parameters()).device))

    def denoise(
        self, z: Tensor, t: int, context: Tensor, flair: Tensor, scheduler: DDIMScheduler
    ) -> Tensor:
        """Take one DDIM step: both branches, without and with the prompt."""
        times = torch.full((2 * len(z),), t, device=z.device)
        images = {"source": torch.cat([flair, flair])}
        empty, prompted = self.predict(torch.cat([z, z]), times, context, images).chunk(2)
        return scheduler.step(empty + GUIDANCE * (prompted - empty), t, z)[0]

    def one_step(self, flair: Tensor, noise: Tensor) -> Callable[[], Tensor]:
        """Return a function that takes the first step, for timing."""
        scheduler, context = ddim(), self.context(len(noise))
        first = int(scheduler.timesteps[0])
        return lambda: self.denoise(noise, first, context, flair, scheduler)

    @torch.no_grad()
    def decode(self, z: Tensor) -> Tensor:
        """Decode latents (B, C, *S / f)."""
        return self.autoencoder.decode_stage_2_outputs(z / SCALE_FACTOR)


def ddim() -> DDIMScheduler:
    """Return the sampler, set to 200 steps."""
    scheduler = DDIMScheduler(**NOISE, clip_sample=False)
    scheduler.set_timesteps(DDIM_STEPS)
    return scheduler
