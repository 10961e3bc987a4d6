"""Peak memory of a translation, estimated before it starts."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from mrcontrast import keys
from mrcontrast.diffusion.sampling import Predict
from mrcontrast.networks.memory import LiveBytes, weight_bytes
from mrcontrast.stages.contract import Stage
from mrcontrast.stages.latent_stage import LatentStage

KERNEL_SHARE = 0.05  # of the live tensors: allocations of the kernels themselves
KERNEL_BYTES = 32 * 1024**2  # the same, however small the tensors
VOLUME_COPIES = 12  # float32 volumes around the stage: source, mask, mean, deviation, resampled


def estimate_memory(stage: Stage, image_shape: tuple[int, ...], batch_size: int = 1) -> int:
    """Return the bytes that a stage takes at its peak, weights included.

    The stage runs on tensors without values, (B, C, *S) with *S multiples of ``stage.factor``, and
    every operator is counted: the peak is the largest sum of tensors alive at once. Kernels,
    weights and ``VOLUME_COPIES`` volumes are added. Eight runs on a CPU of 0.1 to 1.5 GiB took 16 %
    more to 10 % less than the estimate. Small tiles of small networks can take 0.2 GiB more, in
    pieces that malloc keeps. Not measured on CUDA.
    """
    weights, device = weight_bytes(stage), stage.device
    watch = LiveBytes()
    noise_shape = stage.noise_shape(image_shape)
    with one_call(stage), torch.no_grad(), FakeTensorMode(allow_non_fake_inputs=True), watch:
        slices = len(stage.inputs) * (1 + 2 * stage.context_slices)
        image = torch.empty(batch_size, slices, *image_shape, device=device)
        mask = torch.empty(batch_size, 1, *image_shape, device=device)
        batch: keys.Batch = {stage.takes: image, "brain_mask": mask}  # type: ignore[misc]
        noise = None
        if noise_shape is not None:
            noise = torch.empty(batch_size, *noise_shape, device=device)
        stage(batch, noise)
    voxels = batch_size * image[0, 0].numel()
    kernels = int(KERNEL_SHARE * watch.peak) + KERNEL_BYTES
    return weights + watch.peak + kernels + 4 * VOLUME_COPIES * voxels


class OneCall:
    """A sampler that calls the network once: all of its calls take the same memory."""

    num_steps = 1
    adds_noise = False

    def sample(self, predict: Predict, noise: Tensor, *_: object) -> Tensor:
        """Return a tensor like data, (B, C, *S)."""
        time = noise.new_ones(len(noise))
        return noise + predict(noise, time) * noise.float()


@contextmanager
def one_call(stage: Stage) -> Iterator[None]:
    """Let a stage call its denoiser once, in two tiles; more would take no more memory."""
    if not isinstance(stage, LatentStage):
        yield
        return
    with ExitStack() as undo:
        for tiling in (stage.tiling, stage.codec.tiling):
            undo.callback(tiling.__dict__.update, dict(tiling.__dict__))
            tiling.most_windows, tiling.passes = 2, 0
        undo.callback(setattr, stage, "sampler", stage.sampler)
        stage.sampler = OneCall()  # type: ignore[assignment]
        yield
