"""Multi-scale structural similarity (MS-SSIM) in two and three dimensions, whole and masked."""

import numpy as np

from mrcontrast.errors import MrcontrastError
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
    """The similarity maps of one pair of images at several scales, read region by region.

    Scale 0 has scikit-image's border, the halved scales torchmetrics', so that the figures over the
    whole image agree with both.

    Args:
        prediction: Image, (*S), two or three axes.
        target: Image on the same grid, (*S).
        data_range: Width of the intensity range, in the units of the images; > 0.
        num_scales: Scales of MS-SSIM, from 1 to 5; see ``count_scales``.

    Raises:
        MrcontrastError: The shapes differ, or the images are too small for the scales.
    """

    def __init__(
        self, prediction: np.ndarray, target: np.ndarray, data_range: float, num_scales: int
    ) -> None:
        check_pair(prediction, target, None)
        if not 1 <= num_scales <= (most := count_scales(target.shape)):
            raise MrcontrastError(
                f"Expected 1 to {most} scales for shape {target.shape}, got {num_scales}."
            )
        self.scales: list[Similarity] = []
        border: Border = "reflect"
        for _ in range(num_scales):
            self.scales.append(similarity_maps(prediction, target, data_range, border))
            prediction, target, border = halve(prediction), halve(target), "mirror"

    def ssim(self, mask: np.ndarray | None = None) -> float:
        """Return the mean of the SSIM map of scale 0 over a mask (*S) or the whole image."""
        return mean_of_map(self.scales[0].ssim, mask)

    def ms_ssim(self, mask: np.ndarray | None = None) -> float | None:
        """Return MS-SSIM over a mask (*S) or the whole image, in [0, 1].

        None where nothing of the mask is left at a scale, for halving drops an odd last voxel.

        The mask is halved with the images and weighs the maps by the share of each voxel it fills.
        Negative means count as 0 and the coarsest map reaches to the edges, as in torchmetrics.

        Source: Wang, Simoncelli and Bovik 2003, Asilomar, eq. 7 and its weights; ours divides the
            weights by their sum where fewer than five scales are used.
        """
        coarsest = len(self.scales) - 1
        share = None if mask is None else mask.astype(np.float64)
        value = 1.0
        for scale, exponent in enumerate(scale_weights(len(self.scales))):
            similarity, contrast = self.scales[scale]
            if share is not None:
                image = similarity if scale == coarsest else contrast
                if not share.any():
                    return None
                mean = float(np.average(image, weights=share))
                share = halve(share)
            elif scale == coarsest:
                mean = float(similarity.mean())
            else:
                mean = mean_of_map(contrast, None)
            value *= max(mean, 0.0) ** exponent
        return value


def ms_ssim(
    prediction: np.ndarray,
    target: np.ndarray,
    data_range: float,
    mask: np.ndarray | None = None,
    num_scales: int | None = None,
) -> float:
    """Return the multi-scale structural similarity of two images, over a mask or as a whole.

    Args:
        prediction: Image, (*S), two or three axes.
        target: Image on the same grid, (*S).
        data_range: Width of the intensity range, in the units of the images; > 0.
        mask: Voxels that count, (*S) bool; the whole image when None.
        num_scales: From 1 to 5; as many as the shape allows when None.

    Raises:
        MrcontrastError: Shapes differ, the mask is empty or lost at a scale, or the scales do not
            fit.

    Source: see ``SimilarityPyramid.ms_ssim``.
    """
    check_pair(prediction, target, mask)
    scales = count_scales(target.shape) if num_scales is None else num_scales
    value = SimilarityPyramid(prediction, target, data_range, scales).ms_ssim(mask)
    if value is None:
        raise MrcontrastError(
            f"Expected a mask that {scales} scales keep, got one whose voxels all lie at the end "
            f"of an odd axis of {target.shape}. Take fewer scales."
        )
    return value


def count_scales(shape: tuple[int, ...]) -> int:
    """Return how many scales an image allows: its shortest axis, halved, still holds the window.

    Raises:
        MrcontrastError: Not even the first scale holds the window.

    Example:
        >>> count_scales((64, 80, 64)), count_scales((182, 218, 182))
        (3, 5)
    """
    check_extent(shape)
    return sum(min(shape) >> scale >= WINDOW for scale in range(len(SCALE_WEIGHTS)))


def scale_weights(num_scales: int) -> tuple[float, ...]:
    """Return the exponents of the scales: the first of Wang et al. 2003, fewer than five to sum 1.

    Example:
        >>> [round(weight, 4) for weight in scale_weights(2)]
        [0.1356, 0.8644]
    """
    chosen = SCALE_WEIGHTS[:num_scales]
    total = sum(chosen) if num_scales < len(SCALE_WEIGHTS) else 1.0
    return tuple(weight / total for weight in chosen)


def halve(image: np.ndarray) -> np.ndarray:
    """Average blocks of 2 voxels along each axis of an image (*S); an odd last voxel is dropped.

    Example:
        >>> halve(np.array([[1.0, 3.0, 9.0], [5.0, 7.0, 9.0]]))
        array([[4.]])
    """
    for axis, length in enumerate(image.shape):
        pairs = np.moveaxis(image, axis, 0)[: length // 2 * 2]
        image = np.moveaxis((pairs[::2] + pairs[1::2]) / 2, 0, axis)
    return image
