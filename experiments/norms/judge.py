"""How the level of an output depends on the field: shares of brain, slabs, padding."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from mrcontrast.draws import Draws
from mrcontrast.translator.drawing import Drawing

EDGES = (0.005, 0.01, 0.02, 0.05, 0.08, 1.0)
SHARES = ("0.5-1", "1-2", "2-5", "5-8", ">8")
SLABS_MM = (192, 40, 20, 10)
PADDING = {2: (0, 48, 96, 192), 3: (0, 16, 32, 48)}


@dataclass
class Case:
    """A prepared subject: (X, Y, Z) in [0, 1] and the brain."""

    source: np.ndarray
    target: np.ndarray
    mask: np.ndarray


def judge(stage: Any, cases: list[Case], spacing_mm: float, trained: tuple | None = None) -> dict:
    """Return PSNR of whole volumes, bias by share of brain, and bias and PSNR of cut and padded fields.

    Args:
        stage: In evaluation mode.
        cases: Held-out subjects.
        spacing_mm: Of their voxels.
        trained: Axes of the volumes of training, for the relief of networks with group norms; None
            leaves them alone.
    """
    drawing = Drawing(stage, Draws(), 16, torch.device("cpu"), trained)

    def draw(source: np.ndarray, mask: np.ndarray) -> np.ndarray:
        return drawing.draw(source, mask, 0, lambda part: None)[0]

    found: dict[str, Any] = {"psnr": [], "pad": {}}
    bins: dict[str, list] = {name: [] for name in SHARES}
    slabs: dict[int, list] = {mm: [] for mm in SLABS_MM}
    slab_psnr: dict[int, list] = {mm: [] for mm in SLABS_MM}
    pads: dict[int, list] = {width: [] for width in PADDING[stage.spatial_dims]}
    for case in cases:
        whole = draw(case.source, case.mask)
        found["psnr"].append(psnr(whole, case.target, case.mask))
        for z in range(case.mask.shape[2]):
            inside = case.mask[:, :, z]
            share = inside.mean()
            for low, high, name in zip(EDGES, EDGES[1:], SHARES, strict=False):
                if low < share <= high:
                    bins[name].append((whole - case.target)[:, :, z][inside])
        middle = int(case.mask.sum((0, 1)).argmax())
        for mm in SLABS_MM:
            cut = around(middle, round(mm / spacing_mm), case.mask.shape[2])
            part = [np.ascontiguousarray(x[:, :, cut]) for x in (case.source, case.target, case.mask)]
            drawn = draw(part[0], part[2])
            slabs[mm].append((drawn - part[1])[part[2]])
            slab_psnr[mm].append(psnr(drawn, part[1], part[2]))
        for width in pads:
            pads[width].append(padded_psnr(draw, case, middle, width, stage.spatial_dims))
    found["psnr"] = float(np.mean(found["psnr"]))
    found["share"] = {name: mean(parts) for name, parts in bins.items()}
    found["slab"] = {mm: mean(parts) for mm, parts in slabs.items()}
    found["slab_psnr"] = {mm: float(np.mean(values)) for mm, values in slab_psnr.items()}
    found["pad"] = {width: float(np.mean(values)) for width, values in pads.items()}
    return found


def padded_psnr(draw: Any, case: Case, z: int, width: int, dims: int) -> float:
    """Return the PSNR of the widest slice with zeros around it; in 3D around the whole volume."""
    sides = [(width, width), (width, width), (0, 0)]
    cut = slice(z - 1, z + 2) if dims == 2 else slice(0, case.mask.shape[2])
    source, target, mask = (
        np.pad(x[:, :, cut], sides) for x in (case.source, case.target, case.mask)
    )
    at = 1 if dims == 2 else z
    drawn = draw(source, mask)
    return psnr(drawn[:, :, at], target[:, :, at], mask[:, :, at])


def around(middle: int, size: int, whole: int) -> slice:
    """Return ``size`` voxels about the middle, moved into the whole."""
    start = min(max(middle - size // 2, 0), max(whole - size, 0))
    return slice(start, min(start + size, whole))


def psnr(image: np.ndarray, target: np.ndarray, mask: np.ndarray) -> float:
    """Return the PSNR in the mask, dB."""
    return float(-10 * np.log10(np.square(image - target)[mask].mean()))


def mean(parts: list[np.ndarray]) -> float | None:
    """Return the mean over all voxels of the parts; None for none."""
    return float(np.concatenate(parts).mean()) if parts else None


def row(found: dict) -> str:
    """Return the cells of a Markdown row."""
    share = " | ".join("-" if v is None else f"{v:+.3f}" for v in found["share"].values())
    slab = " | ".join(f"{v:+.3f}" for v in found["slab"].values())
    pad = ", ".join(f"{v:.2f}" for v in found["pad"].values())
    return f"{found['psnr']:.2f} | {share} | {slab} | {pad}"
