"""How the level of an output depends on the field: shares of brain, slabs, padding."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch

from mrcontrast.inference.sampling_options import SamplingOptions
from mrcontrast.inference.volume_sampler import VolumeSampler

EDGES = (0.005, 0.01, 0.02, 0.05, 0.08, 1.0)  # share of a slice that brain fills
SHARES = ("0.5-1 %", "1-2 %", "2-5 %", "5-8 %", "> 8 %")
SLABS_MM = (192, 40, 20, 10)
PADDING = {2: (0, 48, 96, 192), 3: (0, 16, 32, 48)}  # zeros on each side along x and y
HEAD = f"| | PSNR | {' | '.join(SHARES)} | {' | '.join(map(str, SLABS_MM))} mm | padded | s |"
Draw = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass
class Case:
    """A prepared subject: images (X, Y, Z) in [0, 1], and the brain, bool."""

    source: np.ndarray
    target: np.ndarray
    mask: np.ndarray


def judge(
    stage: Any,  # noqa: ANN401 - any stage
    cases: Sequence[Case],
    spacing_mm: float,
    trained: tuple[int, int, int] | None,
) -> dict[str, Any]:
    """Return PSNR of whole volumes, bias by share of brain and by slab, PSNR by padding.

    Args:
        stage: In evaluation mode.
        cases: Held-out subjects.
        spacing_mm: Of their voxels.
        trained: Axes of the volumes of training, for the relief of group norms; None: no relief.
    """
    sampler = VolumeSampler(stage, SamplingOptions(), 16, torch.device("cpu"), trained)

    def draw(source: np.ndarray, mask: np.ndarray) -> np.ndarray:
        return sampler.sample(source, mask, 0, lambda part: None)[0]

    psnrs: list[float] = []
    share: dict[str, list[np.ndarray]] = {name: [] for name in SHARES}
    slab: dict[int, list[np.ndarray]] = {mm: [] for mm in SLABS_MM}
    pad: dict[int, list[float]] = {width: [] for width in PADDING[stage.spatial_dims]}
    for case in cases:
        whole = draw(case.source, case.mask)
        psnrs.append(psnr(whole, case.target, case.mask))
        sort_slices(whole - case.target, case.mask, share)
        middle = int(case.mask.sum((0, 1)).argmax())
        for mm in SLABS_MM:
            slab[mm].append(slab_error(draw, case, middle, round(mm / spacing_mm)))
        for width in pad:
            pad[width].append(padded_psnr(draw, case, middle, width, stage.spatial_dims))
    return {
        "psnr": float(np.mean(psnrs)),
        "share": {name: mean(parts) for name, parts in share.items()},
        "slab": {mm: mean(parts) for mm, parts in slab.items()},
        "pad": {width: float(np.mean(values)) for width, values in pad.items()},
    }


def sort_slices(error: np.ndarray, mask: np.ndarray, share: dict[str, list[np.ndarray]]) -> None:
    """Add the errors of brain voxels to the share of the slice that brain fills."""
    for z, filled in enumerate(mask.mean((0, 1))):
        for (low, high), name in zip(pairwise(EDGES), SHARES, strict=True):
            if low < filled <= high:
                share[name].append(error[:, :, z][mask[:, :, z]])


def slab_error(draw: Draw, case: Case, middle: int, size: int) -> np.ndarray:
    """Return the errors of brain voxels where the field holds ``size`` slices about the middle."""
    start = min(max(middle - size // 2, 0), max(case.mask.shape[2] - size, 0))
    parts = (case.source, case.target, case.mask)
    source, target, mask = (np.ascontiguousarray(x[:, :, start : start + size]) for x in parts)
    return (draw(source, mask) - target)[mask]


def padded_psnr(draw: Draw, case: Case, z: int, width: int, dims: int) -> float:
    """Return the PSNR of the widest slice with zeros around it; in 3D around the whole volume."""
    cut = slice(z - 1, z + 2) if dims == 2 else slice(0, case.mask.shape[2])
    sides = [(width, width), (width, width), (0, 0)]
    parts = (case.source, case.target, case.mask)
    source, target, mask = (np.pad(x[:, :, cut], sides) for x in parts)
    at = 1 if dims == 2 else z
    return psnr(draw(source, mask)[:, :, at], target[:, :, at], mask[:, :, at])


def psnr(image: np.ndarray, target: np.ndarray, mask: np.ndarray) -> float:
    """Return the PSNR in the mask, dB."""
    return float(-10 * np.log10(np.square(image - target)[mask].mean()))


def mean(parts: list[np.ndarray]) -> float | None:
    """Return the mean over all voxels of the parts; None for none."""
    return float(np.concatenate(parts).mean()) if parts else None


def row(found: dict[str, Any]) -> str:
    """Return the cells of a Markdown row."""
    biases = [*found["share"].values(), *found["slab"].values()]
    cells = ["-" if value is None else f"{value:+.3f}" for value in biases]
    padded = ", ".join(f"{value:.1f}" for value in found["pad"].values())
    return " | ".join([f"{found['psnr']:.2f}", *cells, padded])
