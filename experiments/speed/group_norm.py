"""Time our GroupNorm backward pass against PyTorch's, in bf16 on a CPU."""

from collections.abc import Callable
from statistics import median
from time import perf_counter

import torch
from monai.networks.nets import DiffusionModelUNet
from torch import nn

from mrcontrast.networks.fast_kernels import use_fast_kernels
from mrcontrast.networks.group_norm import FORMATS, QuickGroupNorm

TURNS = 7
SHAPES = {2: (16, 3, 48, 56), 3: (1, 8, 48, 56, 48)}  # latents of release_2d and release_3d
DENOISERS = {
    2: {"channels": [48, 96, 128], "num_head_channels": [0, 0, 128]},
    3: {"channels": [32, 64, 80], "num_head_channels": [0, 0, 40]},
}


def main() -> None:
    """Print seconds of a norm's backward pass and of a training step, PyTorch and ours."""
    print("| bf16 | PyTorch (s) | ours (s) | ratio |\n|---|---:|---:|---:|")
    for dims, shape in SHAPES.items():
        width = DENOISERS[dims]["channels"][0]
        report(f"{dims}D, backward of a norm", norm_backward(width, shape))
        report(f"{dims}D, step of latent diffusion", denoiser_step(dims, shape))


def report(name: str, run: Callable[[bool], float]) -> None:
    """Print the medians of both sides, measured in turns, and their ratio."""
    run(False)
    pairs = [(run(False), run(True)) for _ in range(TURNS)]
    theirs, ours = (median(side) for side in zip(*pairs, strict=True))
    print(f"| {name} | {theirs:.3g} | {ours:.3g} | {theirs / ours:.2f} |", flush=True)


def norm_backward(width: int, shape: tuple[int, ...]) -> Callable[[bool], float]:
    """Return a function that times the backward pass of one norm of the first level."""
    x = torch.randn(shape[0], width, *shape[2:]).bfloat16()
    x = x.contiguous(memory_format=FORMATS[x.ndim])
    norm = QuickGroupNorm(16, width)

    def run(quick: bool) -> float:
        norm.__class__ = QuickGroupNorm if quick else nn.GroupNorm
        y = norm(x.requires_grad_())
        return seconds(lambda: y.backward(y.detach()))

    return run


def denoiser_step(dims: int, shape: tuple[int, ...]) -> Callable[[bool], float]:
    """Return a function that times forward and backward pass of the released denoiser."""
    denoiser = DiffusionModelUNet(
        spatial_dims=dims,
        in_channels=shape[1],
        out_channels=shape[1],
        num_res_blocks=1,
        attention_levels=[False, False, True],
        norm_num_groups=16,
        **DENOISERS[dims],
    )
    use_fast_kernels(denoiser)
    norms = [module for module in denoiser.modules() if isinstance(module, nn.GroupNorm)]
    z, times = torch.randn(shape), torch.full((shape[0],), 500.0)

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16):
            denoiser(z, times).float().square().mean().backward()

    def run(quick: bool) -> float:
        for norm in norms:
            norm.__class__ = QuickGroupNorm if quick else nn.GroupNorm
        return seconds(step)

    return run


def seconds(work: Callable[[], object]) -> float:
    """Return the duration of some work."""
    start = perf_counter()
    work()
    return perf_counter() - start


if __name__ == "__main__":
    main()
