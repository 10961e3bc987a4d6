"""Efficiency of a training step: its rate against the device's peak, and its time by operator."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from interleaving import timed
from lightning import Callback, LightningModule, Trainer
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

PROFILED_STEPS = 2
# An operator joins the first group that has a word of its name; the rest is "other".
GROUPS = {
    "optimiser": ("optimizer", "adam", "foreach", "lerp"),
    "convolution": ("conv",),
    "matmul": ("mm", "bmm", "linear", "matmul", "einsum", "gemm"),
    "normalisation": ("norm",),
    "softmax": ("softmax",),
    "copies": ("copy", "contiguous", "cat", "clone", "to_copy", "slice", "memcpy", "memset"),
    "resampling": ("upsample", "pool", "pad"),
    "elementwise": ("silu", "gelu", "add", "mul", "div", "sub", "sum", "mean", "pow", "sigmoid"),
}


class Examine(Callback):
    """Count the operations of a training step and profile it after the last step.

    Attributes:
        flops: Floating-point operations of forward and backward.
        groups: Share of the time by kind of operator, in [0, 1].
    """

    flops: int
    groups: dict[str, float]

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,  # noqa: ANN401
        batch: Any,  # noqa: ANN401
        batch_idx: int,
    ) -> None:
        """Keep the batch."""
        self.batch = batch

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Count and profile the step."""
        optimizer = trainer.optimizers[0]

        def gradients() -> None:
            optimizer.zero_grad()
            with trainer.precision_plugin.train_step_context():
                loss = pl_module.loss(self.batch)  # type: ignore[operator]
            loss.backward()

        with FlopCounterMode(display=False) as counter:
            gradients()
        self.flops = counter.get_total_flops()
        self.groups = operator_groups(lambda: (gradients(), optimizer.step()))


def operator_groups(step: Callable[[], Any]) -> dict[str, float]:
    """Return the share of a step's time by kind of operator, largest first."""
    cuda = torch.cuda.is_available()
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if cuda else [])]
    with profile(activities=activities) as profiler:
        for _ in range(PROFILED_STEPS):
            step()
    spent: dict[str, float] = {}
    for event in profiler.key_averages():
        seconds = event.self_device_time_total if cuda else event.self_cpu_time_total
        group = group_of(event.key)
        spent[group] = spent.get(group, 0.0) + seconds
    total = sum(spent.values()) or 1.0
    return {name: value / total for name, value in sorted(spent.items(), key=lambda x: -x[1])}


def group_of(operator: str) -> str:
    """Return the kind of an operator from its name.

    >>> [group_of(name) for name in ("aten::mkldnn_convolution", "aten::addmm", "aten::silu_")]
    ['convolution', 'matmul', 'elementwise']
    """
    name = operator.lower()
    found = (group for group, words in GROUPS.items() if any(word in name for word in words))
    return next(found, "other")


def measure_peaks(turns: int) -> dict[str, float]:
    """Return the best rate of matmul and channels-last convolutions, in FLOP/s.

    bf16 on CUDA, else float32. The sizes fill a GPU, or two CPU cores for about 0.1 s.
    """
    cuda = torch.cuda.is_available()
    place: dict[str, Any] = {"device": "cuda", "dtype": torch.bfloat16} if cuda else {}
    side = 8192 if cuda else 2048
    a, b = (torch.randn(side, side, **place) for _ in range(2))
    works: dict[str, tuple[Callable[[], Any], float]] = {
        "matmul": (partial(torch.mm, a, b), 2.0 * side**3)
    }
    for dims, size in ((2, (64, 64)), (3, (16, 16, 16))):
        batch, channels = 32 if cuda else 4, 256 if dims == 2 else 128
        layout = torch.channels_last if dims == 2 else torch.channels_last_3d
        x = torch.randn(batch, channels, *size, **place).to(memory_format=layout)
        kernel = torch.randn(channels, channels, *[3] * dims, **place).to(memory_format=layout)
        convolve = F.conv2d if dims == 2 else F.conv3d
        cost = 2.0 * x.numel() * channels * 3**dims
        works[f"conv{dims}d"] = (partial(convolve, x, kernel, padding=1), cost)
    with torch.no_grad():
        return {
            name: cost / min(timed(work) for _ in range(turns + 2))
            for name, (work, cost) in works.items()
        }
