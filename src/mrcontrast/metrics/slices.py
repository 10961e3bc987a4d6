"""All metrics of a volume slice by slice, as 2D systems are judged; means over its slices."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from mrcontrast.metrics.definitions import OUTSIDE
from mrcontrast.metrics.multiscale import halve, scale_weights
from mrcontrast.metrics.panel import Regions, Scores
from mrcontrast.metrics.stacks import StackMaps, stack_maps
from mrcontrast.metrics.structural import RADIUS, Border
from mrcontrast.metrics.voxelwise import (
    check_pair,
    mean_absolute_error,
    peak_signal_to_noise,
    root_mean_square_error,
    share_outside,
)

MIN_SHARE = 0.05  # of the brain's area in its largest slice; less is the brain's tip


def score_slices(
    prediction: np.ndarray,
    target: np.ndarray,
    regions: Regions,
    intensity_range: tuple[float, float],
    num_scales: int,
    axis: int,
) -> dict[str, Scores]:
    """Return every metric by region, the mean over slices; as ``panel.score_regions`` in 3D.

    Args:
        prediction: Image, (X, Y, Z), in the units of the target; not clipped.
        target: Reference image on the same grid.
        regions: Voxels that count, (X, Y, Z) bool, by name, "brain" among them; None for the whole
            slice. Slices count that hold a twentieth of the largest slice's brain, and in a region
            those of them that hold a pixel of it.
        intensity_range: Lower and upper end of the intensities, in the units of the images.
        num_scales: Scales of MS-SSIM.
        axis: The one that runs from slice to slice.

    Raises:
        MrcontrastError: Shapes differ, a region is empty, or slices are too small.
    """
    for voxels in regions.values():
        check_pair(prediction, target, voxels)
    brain = regions["brain"]
    assert brain is not None
    chosen = slices_of(brain, axis)
    images = [np.ascontiguousarray(np.moveaxis(i, axis, 0)[chosen]) for i in (prediction, target)]
    width = intensity_range[1] - intensity_range[0]
    pyramid = StackPyramid(images[0], images[1], width, num_scales)
    found = {}
    for region, voxels in regions.items():
        masks = None if voxels is None else np.moveaxis(voxels, axis, 0)[chosen]
        slices = [k for k in range(len(images[0])) if masks is None or masks[k].any()]
        each = [
            _score(images[0][k], images[1][k], None if masks is None else masks[k], intensity_range)
            | pyramid.scores(k, None if masks is None else masks[k])
            for k in slices
        ]
        if each:
            found[region] = _mean(each)
    return found


def mean_slice_error(
    prediction: np.ndarray, target: np.ndarray, brain: np.ndarray, axis: int
) -> float:
    """Return the MAE in the brain as ``score_slices`` has it: the mean over the slices that count.

    Args:
        prediction: Image, (X, Y, Z), in the units of the target.
        target: Reference image on the same grid.
        brain: Voxels that count, (X, Y, Z) bool, not empty.
        axis: The one that runs from slice to slice.
    """
    stacks = [np.moveaxis(array, axis, 0) for array in (prediction, target, brain)]
    chosen = slices_of(brain, axis)
    return math.fsum(mean_absolute_error(*(s[k] for s in stacks)) for k in chosen) / len(chosen)


def slices_of(brain: np.ndarray, axis: int) -> np.ndarray:
    """Return the positions along an axis that hold enough of the brain (X, Y, Z), (n,)."""
    area = brain.sum(axis=tuple(k for k in range(brain.ndim) if k != axis))
    return np.flatnonzero(area >= MIN_SHARE * area.max())


class StackPyramid:
    """The 2D similarity maps of a stack at several scales; see ``SimilarityPyramid`` of 3D.

    Args:
        prediction: (N, H, W).
        target: (N, H, W).
        data_range: Width of the intensity range, in the units of the images; > 0.
        num_scales: Scales of MS-SSIM.
    """

    def __init__(
        self, prediction: np.ndarray, target: np.ndarray, data_range: float, num_scales: int
    ) -> None:
        self.scales: list[StackMaps] = []
        border: Border = "reflect"
        for _ in range(num_scales):
            self.scales.append(stack_maps(prediction, target, data_range, border))
            prediction, target = halve_stack(prediction), halve_stack(target)
            border = "mirror"

    def scores(self, index: int, mask: np.ndarray | None) -> Scores:
        """Return SSIM and MS-SSIM, if a scale does not lose the mask, of one slice.

        Args:
            index: Of the slice.
            mask: Pixels that count, (H, W); the whole slice when None.
        """
        first = self.scales[0].ssim[index]
        inner = first[RADIUS:-RADIUS, RADIUS:-RADIUS] if mask is None else first[mask]
        similarity = self._ms_ssim(index, mask)
        return {
            "ssim": float(inner.mean(dtype=np.float64)),
            **({} if similarity is None else {"ms_ssim": similarity}),
        }

    def _ms_ssim(self, index: int, mask: np.ndarray | None) -> float | None:
        """Return MS-SSIM of one slice; means, borders and None as in ``SimilarityPyramid``."""
        coarsest, value = len(self.scales) - 1, 1.0
        share = None if mask is None else mask.astype(np.float64)
        for scale, exponent in enumerate(scale_weights(len(self.scales))):
            maps = self.scales[scale]
            image = (maps.ssim if scale == coarsest else maps.contrast)[index]
            if share is not None:
                if not share.any():
                    return None
                mean = float(np.average(image, weights=share))
                share = halve(share)
            else:
                rim = 0 if scale == coarsest else RADIUS
                mean = float(image[rim : len(image) - rim, rim : image.shape[1] - rim].mean())
            value *= max(mean, 0.0) ** exponent
        return value


def halve_stack(stack: np.ndarray) -> np.ndarray:
    """Average blocks of 2 by 2 pixels of each slice (N, H, W); an odd last line is dropped."""
    height, width = (length // 2 * 2 for length in stack.shape[1:])
    even = stack[:, :height, :width]
    rows = even[:, ::2] + even[:, 1::2]
    return (rows[..., ::2] + rows[..., 1::2]) / 4


def _score(
    prediction: np.ndarray,
    target: np.ndarray,
    mask: np.ndarray | None,
    intensity_range: tuple[float, float],
) -> Scores:
    """Return the voxelwise metrics of one slice (H, W)."""
    low, high = intensity_range
    return {
        "mae": mean_absolute_error(prediction, target, mask),
        "rmse": root_mean_square_error(prediction, target, mask),
        "psnr": peak_signal_to_noise(prediction, target, high - low, mask),
        OUTSIDE: share_outside(prediction, low, high, mask),
    }


def _mean(each: Sequence[Mapping[str, float]]) -> Scores:
    """Average each score over the slices that have it."""
    found: dict[str, list[float]] = {}
    for scores in each:
        for name, value in scores.items():
            found.setdefault(name, []).append(value)
    return {name: math.fsum(values) / len(values) for name, values in found.items()}
