"""Multi-scale structural similarity (MS-SSIM) in 2D and 3D, over the whole image or a mask."""

from functools import cached_property

import numpy as np

from mrcontrast.errors import MrcontrastError
from mrcontrast.metrics.stacks import stack_maps
from mrcontrast.metrics.structural import (
    WINDOW,
    Border,
    Similarity,
    check_extent,
    mean_of_map,
    similarity_maps,
)
from mrcontrast.metrics.voxelwise import check_pair

SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)


class SimilarityPyramid:
    """Similarity maps of one pair of images at several scales, computed on first use.

    Scale 0 has scikit-image's border, coarser scales have torchmetrics', so that values over the
    whole image agree with both. Images (*S) and range as for ``similarity_maps``; scales from 1 to
    ``count_scales``.
    """

    def __init__(
        self, prediction: np.ndarray, target: np.ndarray, data_range: float, num_scales: int
    ) -> None:
        self.images, self.data_range, self.num_scales = (prediction, target), data_range, num_scales

    @cached_property
    def scales(self) -> list[Similarity]:
        """Maps of each scale, finest first.

        Raises:
            MrcontrastError: The shapes differ, or the images are too small for the scales.
        """
        prediction, target = self.images
        check_pair(prediction, target, None)
        if not 1 <= self.num_scales <= (most := count_scales(target.shape)):
            raise MrcontrastError(
                f"Expected 1 to {most} scales for shape {target.shape}, got {self.num_scales}."
            )
        found: list[Similarity] = []
        border: Border = "reflect"
        for _ in range(self.num_scales):
            found.append(similarity_maps(prediction, target, self.data_range, border))
            prediction, target, border = halve(prediction), halve(target), "mirror"
        return found

    def ssim(self, mask: np.ndarray | None = None) -> float:
        """Return the mean of the SSIM map of scale 0 over a mask (*S) or the whole image."""
        return mean_of_map(self.scales[0].ssim, mask)

    def ms_ssim(self, mask: np.ndarray | None = None) -> float | None:
        """Return MS-SSIM over a mask (*S) or the whole image, in [0, 1].

        The mask is halved with the images and weighs each map. Negative means count as 0 and the
        coarsest map includes the edges, as in torchmetrics. Halving drops an odd last voxel: None
        where no voxel of the mask is left at a scale.

        Source: Wang, Simoncelli and Bovik 2003, Asilomar, eq. 7 and its weights; ours divides the
            weights by their sum where fewer than five scales are used.
        """
        coarsest, value = self.num_scales - 1, 1.0
        share = None if mask is None else mask.astype(np.float64)
        for scale, exponent in enumerate(scale_weights(self.num_scales)):
            maps = self.scales[scale]
            image = maps.ssim if scale == coarsest else maps.contrast
            if share is not None:
                if not share.any():
                    return None
                mean = float(np.average(image, weights=share))
                share = halve(share)
            elif scale == coarsest:
                mean = float(image.mean(dtype=np.float64))
            else:
                mean = mean_of_map(image, None)
            value *= max(mean, 0.0) ** exponent
        return value


def slice_pyramids(
    prediction: np.ndarray, target: np.ndarray, data_range: float, num_scales: int
) -> list[SimilarityPyramid]:
    """Return the pyramid of each slice of two stacks (N, H, W), computed for all at once."""
    pyramids = [
        SimilarityPyramid(*pair, data_range, num_scales)
        for pair in zip(prediction, target, strict=True)
    ]
    stacks: list[Similarity] = []
    border: Border = "reflect"
    for _ in range(num_scales):
        stacks.append(stack_maps(prediction, target, data_range, border))
        prediction, target, border = halve(prediction, 1), halve(target, 1), "mirror"
    for index, pyramid in enumerate(pyramids):
        pyramid.scales = [Similarity(maps.ssim[index], maps.contrast[index]) for maps in stacks]
    return pyramids


def count_scales(shape: tuple[int, ...]) -> int:
    """Return the number of scales that an image allows: its shortest axis holds the window.

    Raises:
        MrcontrastError: Not even the first scale holds the window.
    """
    check_extent(shape)
    return sum(min(shape) >> scale >= WINDOW for scale in range(len(SCALE_WEIGHTS)))


def scale_weights(num_scales: int) -> tuple[float, ...]:
    """Return the first exponents of Wang et al. 2003; fewer than five are divided by their sum."""
    chosen = SCALE_WEIGHTS[:num_scales]
    total = sum(chosen) if num_scales < len(SCALE_WEIGHTS) else 1.0
    return tuple(weight / total for weight in chosen)


def halve(image: np.ndarray, first_axis: int = 0) -> np.ndarray:
    """Average blocks of 2 voxels along each axis from the first one; an odd last voxel is dropped.

    Example:
        >>> halve(np.array([[1.0, 3.0, 9.0], [5.0, 7.0, 9.0]]))
        array([[4.]])
    """
    for axis in range(first_axis, image.ndim):
        pairs = np.moveaxis(image, axis, 0)[: image.shape[axis] // 2 * 2]
        image = np.moveaxis((pairs[::2] + pairs[1::2]) / 2, 0, axis)
    return image
