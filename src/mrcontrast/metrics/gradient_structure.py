"""4-G-R-SSIM: how alike the edges of two images are, told apart by what becomes of them."""

import numpy as np
from scipy import ndimage

from mrcontrast.metrics.structural import RADIUS, SIGMA_VOXELS, check_extent
from mrcontrast.metrics.voxelwise import check_pair

EDGE, SMOOTH = 0.12, 0.06  # of the largest gradient of the reference
FLAT = 1e-9  # a variance below this part of the largest one counts as none


def four_component_gradient_structure(prediction: np.ndarray, target: np.ndarray) -> float:
    """Return 4-G-R-SSIM of two images, in [-1, 1]; 1 for images with the same edges.

    The structure term of SSIM on maps of the gradient's size, averaged over the edges that both
    images have, over those that one of them has, over texture and over smooth regions, and over
    these four with equal weights. Intensities themselves do not count, nor does the contrast.

    Args:
        prediction: Image, (*S), two or three axes.
        target: Image on the same grid, (*S), whose gradients set the thresholds: exchanging the
            two changes the value.

    Raises:
        MrcontrastError: The shapes differ, or an axis is shorter than the window.

    Source: Li & Bovik 2010, Signal Processing: Image Communication 25(7), section 3 (the four
    components, thresholds 0.12 and 0.06); Chen et al. 2006, ICIP (gradients in the place of the
    image); Rouse & Hemami 2008, SPIE 6806 (structure alone, 1 where both are flat, 0 where one
    is); together as 4-G-r* in Renieblas et al. 2017, J. Med. Imaging 4(3). Ours takes Sobel along
    two or three axes, SSIM's Gaussian window, and leaves a component that is absent out of the
    mean. Nobody published the code behind Pinaya et al. 2022, so digits need not agree with it.
    """
    check_pair(prediction, target, None)
    check_extent(target.shape)
    ours, theirs = gradient_size(prediction), gradient_size(target)
    structure = structure_map(ours, theirs)
    means = [
        _inner_mean(structure, part) for part in partition(ours, theirs) if _inside(part).any()
    ]
    return float(np.mean(means))


def gradient_size(image: np.ndarray) -> np.ndarray:
    """Return the length of the Sobel gradient of an image (*S), in float64."""
    values = image.astype(np.float64)
    slopes = (ndimage.sobel(values, axis=axis) for axis in range(values.ndim))
    return np.sqrt(sum(slope**2 for slope in slopes))


def structure_map(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the local correlation of two images (*S), in [-1, 1]; see Rouse & Hemami."""
    spreads = [_variance(image) for image in (first, second)]
    covariance = _smooth(first * second) - _smooth(first) * _smooth(second)
    flat = [spread <= FLAT * max(spread.max(), 1e-300) for spread in spreads]
    size = np.sqrt(np.where(flat[0] | flat[1], 1.0, spreads[0] * spreads[1]))
    correlation = np.clip(covariance / size, -1.0, 1.0)
    return np.where(flat[0] | flat[1], (flat[0] & flat[1]).astype(np.float64), correlation)


def partition(ours: np.ndarray, theirs: np.ndarray) -> list[np.ndarray]:
    """Return where edges are kept, changed, where texture is and where it is smooth, (*S) bool.

    >>> theirs = np.array([[1.0, 1.0, 0.1, 0.0]])
    >>> ours = np.array([[1.0, 0.0, 0.0, 0.0]])
    >>> [part.astype(int).tolist() for part in partition(ours, theirs)]
    [[[1, 0, 0, 0]], [[0, 1, 0, 0]], [[0, 0, 1, 0]], [[0, 0, 0, 1]]]
    """
    edge, smooth = EDGE * theirs.max(), SMOOTH * theirs.max()
    here, there = ours > edge, theirs > edge
    neither = ~here & ~there
    return [here & there, here ^ there, neither & (theirs >= smooth), neither & (theirs < smooth)]


def _smooth(image: np.ndarray) -> np.ndarray:
    return ndimage.gaussian_filter(image, SIGMA_VOXELS, radius=RADIUS)


def _variance(image: np.ndarray) -> np.ndarray:
    return np.maximum(_smooth(image**2) - _smooth(image) ** 2, 0.0)


def _inside(part: np.ndarray) -> np.ndarray:
    return part[(slice(RADIUS, -RADIUS),) * part.ndim]


def _inner_mean(image: np.ndarray, part: np.ndarray) -> float:
    """Return the mean of a map over a part of the image, without the strip at its edges."""
    return float(_inside(image)[_inside(part)].mean())
