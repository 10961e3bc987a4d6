"""The interface of a stage, with defaults: training, sampling and inference use nothing else."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, TypedDict

import torch
import torch.nn.functional as F
from lightning import LightningDataModule, LightningModule
from lightning.pytorch.utilities.types import STEP_OUTPUT, OptimizerLRScheduler
from torch import Tensor, nn

from mrcontrast import keys
from mrcontrast.data.contrasts import title_of
from mrcontrast.diffusion.process import fixed_noise
from mrcontrast.diffusion.sampling import Generators, Sampler
from mrcontrast.errors import UsageError
from mrcontrast.metrics.online import masked_psnr
from mrcontrast.stages.optimisation import Optimisation


class Roles(TypedDict, total=False):
    """Arguments of each stage that name contrasts; see ``Stage``."""

    source: Sequence[str]
    target: str
    optional: Sequence[str]


class Stage(LightningModule, ABC):
    """A model that makes one contrast from others; a stage overrides what differs from here.

    A stage that learns by gradients sets ``optimisation`` and defines ``loss``. Shapes and ranges:
    mrcontrast.keys.

    Args:
        source: Names of the contrasts that the model is given, in the order of their channels.
        target: Name of the contrast that it makes.
        spatial_dims: 2 or 3.
        factor: Image axes are padded to multiples of this.
        context_slices: Neighbouring slices on each side that come with each source in 2D, k.
        optional: Names of the sources that may be absent; never the first.
    """

    takes: str = keys.SOURCE  # batch key of the input in inference, or ``keys.TARGET``
    uses_source = True  # whether the images depend on the source, so that the stage translates
    learns_by_steps = True  # whether it has a training step; else it learns in ``finish``
    clips_gradients = False  # whether manual optimisation applies ``gradient_clip_val``
    training_only: tuple[str, ...] = ()  # names of submodules that inference does not use
    gradient_clip_val: float | None = None
    optimisation: Optimisation | None = None
    report_card: dict[str, Any] | None = None  # measured in ``finish``, for the run's provenance

    def __init__(
        self,
        source: Sequence[str] = ("flair",),
        target: str = "t1w",
        spatial_dims: int = 2,
        factor: int = 1,
        context_slices: int = 0,
        optional: Sequence[str] = (),
    ) -> None:
        super().__init__()
        keys.optional_rows(source, optional)
        self.source, self.optional, self.target = tuple(source), tuple(optional), target
        self.spatial_dims, self.factor, self.context_slices = spatial_dims, factor, context_slices

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the contrasts that ``takes`` holds."""
        return self.source if self.takes == keys.SOURCE else (self.target,)

    @property
    def sampler(self) -> Sampler | None:
        """Sampler of the images, None for a deterministic stage; setting it replaces it."""
        return None

    @sampler.setter
    def sampler(self, value: Sampler) -> None:
        raise UsageError(
            f"Expected a stage with a sampler, got {type(self).__name__}. Leave --sampler out."
        )

    @property
    def start(self) -> float:
        """Time at which sampling begins, in (0, 1]; setting it needs a stage with a choice."""
        return 1.0

    @start.setter
    def start(self, value: float) -> None:
        raise UsageError(
            f"Expected a ControlNet for a start of {value:g}, got a {type(self).__name__}. "
            "Leave --start out."
        )

    @property
    def guidance(self) -> float | None:
        """Weight of classifier-free guidance by a ``prompt``, None without one."""
        prompt = getattr(self, "prompt", None)
        return None if prompt is None else prompt.guidance

    @property
    def trained(self) -> nn.Module:
        """Module whose parameters the optimiser updates."""
        return self

    @abstractmethod
    def forward(
        self, batch: keys.Batch, noise: Tensor | None = None, generator: Generators = None
    ) -> Tensor:
        """Return images (B, 1, *S) in [0, 1] for ``takes``, and "brain_mask" where it is needed.

        ``noise`` is standard normal, (B, *noise_shape); None draws it, or is all that there is. The
        generator is the source of the noise that a sampler adds in its steps.
        """

    def noise_shape(self, image_shape: Sequence[int]) -> tuple[int, ...] | None:
        """Return the shape of the noise for an image of axes (*S); None if deterministic."""
        return None

    def prepare(self, batch: keys.Batch) -> keys.Batch:
        """Return the batch with the computations that several samples of it share."""
        return batch

    def network_calls(self, samples: int) -> int:
        """Return the calls of networks for so many samples of one slice (2D) or volume (3D)."""
        prompt = getattr(self, "prompt", None)
        guided = 1 if prompt is None else prompt.calls
        return samples * guided * int(any(True for _ in self.parameters()))

    def source_images(self, batch: keys.Batch) -> dict[str, Tensor]:
        """Return the source images (B, 1, *S) by contrast, without neighbouring slices."""
        middles = keys.middle_slices(batch["source"], len(self.source))
        return dict(zip(self.source, middles, strict=True))

    def loss(self, batch: keys.Batch) -> Tensor:
        """Return the training loss, a scalar."""
        raise NotImplementedError

    def each_loss(self, batch: keys.Batch) -> Iterator[Tensor]:
        """Yield the losses of one step, one for each optimiser; cost estimates run them."""
        yield self.loss(batch)

    def training_step(self, batch: keys.Batch, batch_idx: int) -> STEP_OUTPUT:
        """Return the loss of one batch."""
        loss = self.loss(batch)
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: keys.Batch, batch_idx: int) -> None:
        """Log L1 and masked PSNR of the images of one batch."""
        image = self(batch)
        self.log_scores(batch, F.l1_loss(image, batch["target"]), image)

    def log_scores(self, batch: keys.Batch, loss: Tensor, image: Tensor) -> None:
        """Log a validation loss and the masked PSNR of images (B, 1, *S)."""
        size = len(batch["target"])
        self.log("val/loss", loss, batch_size=size, sync_dist=True)
        psnr = masked_psnr(image, batch["target"], batch["brain_mask"]).mean()
        self.log("val/psnr", psnr, prog_bar=True, batch_size=size, sync_dist=True)

    def pictures(self, batch: keys.Batch) -> dict[str, Tensor]:
        """Return images (B, 1, *S) in [0, 1] by title."""
        source, target = batch["source"], batch["target"]
        shape = self.noise_shape(source.shape[2:])
        noise = [] if shape is None else [fixed_noise(torch.empty(len(source), *shape), 0)]
        synthetic = self(batch, *noise)
        return {
            **{title_of(name): image for name, image in self.source_images(batch).items()},
            "synthetic": synthetic,
            title_of(self.target): target,
            "error": (synthetic - target).abs(),
        }

    def initialise(self) -> None:
        """Copy weights between parts once those of parent runs are loaded."""

    def before_fit(self, datamodule: LightningDataModule) -> None:
        """Do the work that comes before the first step."""

    def finish(self, datamodule: LightningDataModule) -> None:
        """Do the work that comes after the last step, with the best weights."""

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Optimise the parameters of ``trained``."""
        if self.optimisation is None:
            return None
        steps = self.trainer.estimated_stepping_batches
        return self.optimisation.configure(self.trained.parameters(), steps, self.trainer)


def check_stage(part: object) -> Stage:
    """Return a built part that is a stage; UsageError for another one."""
    if not isinstance(part, Stage):
        raise UsageError(
            f"Expected a stage, got a {type(part).__name__}. "
            "Derive it from mrcontrast.stages.contract.Stage."
        )
    return part
