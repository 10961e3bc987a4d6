"""How much memory a translation takes, known before it starts."""

import weakref
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from mrcontrast.diffusion.process import DiffusionProcess
from mrcontrast.diffusion.sampling import Predict

KERNEL_SHARE = 0.05  # of the live tensors: what kernels allocate for themselves
KERNEL_BYTES = 32 * 1024**2  # the same, however small the tensors
VOLUME_COPIES = 12  # float32 volumes around the stage: source, mask, mean, deviation, resampled


def estimate_memory(stage: nn.Module, image_shape: tuple[int, ...], batch_size: int = 1) -> int:
    """Return the bytes that a stage takes at its peak, weights included.

    The stage runs on tensors without values, which takes no memory and little time, and every
    operator is watched: the peak is the largest sum of tensors alive at once. To it are added what
    kernels take (``KERNEL_SHARE``, ``KERNEL_BYTES``; eight runs on a CPU of 0.1 to 1.5 GiB took
    16 % more to 10 % less than it says), the weights and ``VOLUME_COPIES`` volumes. Small tiles of
    small networks can take 0.2 GiB more, in pieces that malloc keeps. Not measured on CUDA.

    Args:
        stage: See ``mrcontrast.stages``; its tiling counts.
        image_shape: Axes (*S) of an image, multiples of ``stage.factor``.
        batch_size: Images at once.
    """
    part: Any = stage
    weights, device = weight_bytes(stage), part.device
    watch = LiveBytes()
    noise_shape = part.noise_shape(image_shape)
    with probing(stage), torch.no_grad(), FakeTensorMode(allow_non_fake_inputs=True), watch:
        slices = 1 + 2 * part.context_slices
        image = torch.empty(batch_size, slices, *image_shape, device=device)
        mask = torch.empty(batch_size, 1, *image_shape, device=device)
        batch = {part.takes: image, "brain_mask": mask}
        noise = None
        if noise_shape is not None:
            noise = torch.empty(batch_size, *noise_shape, device=device)
        part(batch, noise)
    voxels = batch_size * image[0, 0].numel()
    kernels = int(KERNEL_SHARE * watch.peak) + KERNEL_BYTES
    return weights + watch.peak + kernels + 4 * VOLUME_COPIES * voxels


def weight_bytes(stage: nn.Module) -> int:
    """Return the bytes of parameters and buffers."""
    tensors = [*stage.parameters(), *stage.buffers()]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


class LiveBytes(TorchDispatchMode):
    """Sum up the tensors that operators have made and nobody has dropped yet."""

    def __init__(self) -> None:
        super().__init__()
        self.alive = 0
        self.peak = 0
        self.seen: dict[int, int] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # noqa: ANN401
        """Run one operator and count what it makes."""
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor):
                self.add(tensor)
        self.peak = max(self.peak, self.alive)
        return result

    def add(self, tensor: Tensor) -> None:
        """Count a tensor's storage until it is dropped."""
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self.seen:
            return
        self.seen[key] = storage.nbytes()
        self.alive += self.seen[key]
        weakref.finalize(storage, self.drop, key)

    def drop(self, key: int) -> None:
        """Forget a storage."""
        self.alive -= self.seen.pop(key, 0)


class OneCall:
    """Call the network as a sampler does, once: all of its calls take the same memory."""

    num_steps = 1
    adds_noise = False

    def sample(self, predict: Predict, noise: Tensor, *_: object) -> Tensor:
        """Return something like data, (B, C, *S)."""
        time = noise.new_ones(len(noise))
        return noise + predict(noise, time) * noise.float()


@contextmanager
def probing(stage: nn.Module) -> Iterator[None]:
    """Let a stage call its denoiser once and visit two tiles; more would take no more memory."""
    with ExitStack() as undo:
        for part in stage.modules():
            if (tiling := getattr(part, "tiling", None)) is not None:
                undo.callback(tiling.__dict__.update, dict(tiling.__dict__))
                tiling.most_windows, tiling.passes = 2, 0
            if isinstance(part, DiffusionProcess):
                undo.callback(setattr, part, "sampler", part.sampler)
                part.sampler = OneCall()  # type: ignore[assignment]
        yield
