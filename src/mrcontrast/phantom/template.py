"""The average brain that subjects are deformed from: MNI152 of nilearn.

Source: Fonov et al. 2011, NeuroImage 54:313 (ICBM 2009a symmetric, 1 mm, skull-stripped).
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from nilearn.datasets import (
    load_mni152_gm_template,
    load_mni152_template,
    load_mni152_wm_template,
)
from scipy.ndimage import gaussian_filter, grey_opening, label
from torch import Tensor

CSF, GM, WM, BRAIN, DEEP, PERIVENTRICULAR = range(6)  # channels of `Template.maps`
# Ellipsoids (centre, half axes; mm, right side) of grey matter that is rich in myelin and iron.
DEEP_GREY = (
    ((16.0, -6.0, 4.0), (18.0, 32.0, 22.0)),  # basal ganglia and thalamus
    ((5.0, -26.0, -30.0), (16.0, 20.0, 30.0)),  # midbrain and pons
)


@dataclass(frozen=True)
class Template:
    """The average brain on 1 mm voxels: channels (6, X, Y, Z), float32, and their affine.

    CSF, GM and WM are log probabilities; BRAIN is 1 in the brain; DEEP is 1 where grey matter is
    subcortical; PERIVENTRICULAR falls from 1 at the lateral ventricles to 0 over about 10 mm.
    """

    maps: Tensor
    affine: np.ndarray

    def sample(self, channels: slice, positions: Tensor) -> Tensor:
        """Return channels (C, *S), float32, at MNI152 coordinates (3, *S) in mm; 0 outside."""
        shape = torch.tensor(self.maps.shape[1:])
        origin = torch.tensor(self.affine[:3, 3])
        scale = (2 / shape).float().view(3, 1, 1, 1)
        offset = ((1 - 2 * origin) / shape - 1).float().view(3, 1, 1, 1)
        grid = torch.addcmul(offset, positions, scale).flip(0).permute(1, 2, 3, 0)
        return F.grid_sample(self.maps[None, channels], grid[None], align_corners=False)[0]


@lru_cache(maxsize=1)
def load_template() -> Template:
    """Return the template, cut to the brain; made once for each process (about 2 s)."""
    image = load_mni152_template(resolution=1)
    brain = image.get_fdata(dtype=np.float32) > 0
    gm = load_mni152_gm_template(resolution=1).get_fdata(dtype=np.float32)
    wm = load_mni152_wm_template(resolution=1).get_fdata(dtype=np.float32)
    box = tuple(slice(max(i.min() - 2, 0), i.max() + 3) for i in np.nonzero(brain))
    affine = image.affine.copy()
    affine[:3, 3] += [axis.start for axis in box]
    brain, gm, wm = brain[box], gm[box], wm[box]
    csf = np.clip(1 - gm - wm, 0, 1)
    ventricles = find_lateral_ventricles(csf * brain, affine)
    periventricular = np.clip(1.6 * gaussian_filter(ventricles.astype(np.float32), 5.0), 0, 1)
    lined = clean_ventricle_walls(np.stack([csf, gm, wm]), ventricles)
    log_odds = np.log(sharpen(lined) + 0.02)
    rest = [gaussian_filter(brain.astype(np.float32), 1.0), deep_grey(brain.shape, affine)]
    maps = np.stack([*log_odds, *rest, periventricular]).astype(np.float32)
    return Template(torch.from_numpy(maps), affine)


def find_lateral_ventricles(csf: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Return the mask of the two largest pools of CSF away from the midline."""
    pools, count = label(csf > 0.6)
    x_mm = affine[0, 3] + np.arange(csf.shape[0])
    sizes = np.bincount(pools.ravel(), minlength=count + 1)
    columns = np.stack([np.bincount(plane.ravel(), minlength=count + 1) for plane in pools])
    middle = np.abs(x_mm @ columns) / sizes
    far = np.abs(x_mm)[:, None] * (columns > 0)
    beside = (middle > 8.0) & (far.max(axis=0) < 45.0)
    largest = np.argsort(np.where(beside, sizes, 0))[-2:]
    return np.isin(pools, largest)


def clean_ventricle_walls(tissue: np.ndarray, ventricles: np.ndarray) -> np.ndarray:
    """Share out the false GM between ventricle and WM, where a voxel was half CSF and half WM.

    GM that is thick, such as the caudate nucleus, outlives the opening and stays.
    """
    csf, gm, wm = tissue
    near = gaussian_filter(ventricles.astype(np.float32), 2.0) > 0.02
    box = tuple(slice(i.min() - 4, i.max() + 5) for i in np.nonzero(near))
    thick = gm.copy()
    thick[box] = grey_opening(gm[box], size=(5, 5, 5))
    false = np.where(near, gm - np.minimum(thick, gm), 0)
    share = csf / np.maximum(csf + wm, 1e-3)
    return np.stack([csf + false * share, gm - false, wm + false * (1 - share)])


def sharpen(tissue: np.ndarray, gain: float = 1.5, blur_mm: float = 2.5) -> np.ndarray:
    """Undo the blur of 152 averaged brains in probabilities (3, X, Y, Z) by unsharp masking."""
    sharp = [p + gain * (p - gaussian_filter(p, blur_mm, truncate=2.5)) for p in tissue]
    positive = np.clip(np.stack(sharp), 0, None)
    return positive / np.maximum(positive.sum(axis=0), 1e-3)


def deep_grey(shape: tuple[int, ...], affine: np.ndarray) -> np.ndarray:
    """Return the soft mask, in [0, 1], of the regions of `DEEP_GREY` on both sides."""
    axes = [start + np.arange(n) for start, n in zip(affine[:3, 3], shape, strict=True)]
    x, y, z = np.meshgrid(*axes, indexing="ij", sparse=True)
    mask = np.zeros(shape)
    for (cx, cy, cz), (rx, ry, rz) in DEEP_GREY:
        radius = np.sqrt(((np.abs(x) - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 + ((z - cz) / rz) ** 2)
        mask = np.maximum(mask, np.clip((1.08 - radius) / 0.16, 0, 1))
    return mask
