"""4-G-R-SSIM: similarity of the edges of two images."""

import numpy as np
from skimage.filters import sobel

from mrcontrast.metrics.structural import RADIUS, check_extent, smooth
from mrcontrast.metrics.voxelwise import check_pair

EDGE, SMOOTH = 0.12, 0.06  # of the largest gradient of the reference
FLAT = 1e-9  # a variance below this share of the largest one counts as none


def four_component_gradient_structure(prediction: np.ndarray, target: np.ndarray) -> float:
    """Return 4-G-R-SSIM of two images, in [-1, 1]; 1 for images with the same edges.

    The structure term of SSIM on gradient magnitudes, averaged over edges that both images have,
    edges that one of them has, texture, and smooth regions, then over these four with equal
    weights. Intensities and contrast do not count.

    Args:
        prediction: Image, (*S), two or three axes.
        target: Image on the same grid, (*S); its gradients set the thresholds, so the order counts.

    Raises:
        MrcontrastError: The shapes differ, or an axis is shorter than the window.

    Source: Li & Bovik 2010, Signal Processing: Image Communication 25(7), section 3 (the four
    components, thresholds 0.12 and 0.06); Chen et al. 2006, ICIP (gradients instead of the image);
    Rouse & Hemami 2008, SPIE 6806 (structure alone, 1 where both are flat, 0 where one is);
    together as 4-G-r* in Renieblas et al. 2017, J. Med. Imaging 4(3). Ours takes Sobel along
    two or three axes, SSIM's Gaussian window, and leaves an absent component out of the mean. The
    code of Pinaya et al. 2022 is not published, so digits need not agree with it.
    """
    check_pair(prediction, target, None)
    check_extent(target.shape)
    ours, theirs = gradient_size(prediction), gradient_size(target)
    structure = _inside(structure_map(ours, theirs))
    parts = (_inside(part) for part in partition(ours, theirs))
    return float(np.mean([structure[part].mean() for part in parts if part.any()]))


def gradient_size(image: np.ndarray) -> np.ndarray:
    """Return the root mean square of the Sobel gradients along all axes of an image (*S)."""
    return np.asarray(sobel(image.astype(np.float64)))


def structure_map(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the local correlation of two images (*S), in [-1, 1]; see Rouse & Hemami."""
    means = smooth(first), smooth(second)
    spreads = [
        np.maximum(smooth(image**2) - mean**2, 0.0)
        for image, mean in zip((first, second), means, strict=True)
    ]
    covariance = smooth(first * second) - means[0] * means[1]
    flat = [spread <= FLAT * max(spread.max(), 1e-300) for spread in spreads]
    size = np.sqrt(np.where(flat[0] | flat[1], 1.0, spreads[0] * spreads[1]))
    correlation = np.clip(covariance / size, -1.0, 1.0)
    return np.where(flat[0] | flat[1], (flat[0] & flat[1]).astype(np.float64), correlation)


def partition(ours: np.ndarray, theirs: np.ndarray) -> list[np.ndarray]:
    """Return the voxels of kept edges, changed edges, texture and smooth regions, (*S) bool.

    >>> theirs = np.array([[1.0, 1.0, 0.1, 0.0]])
    >>> ours = np.array([[1.0, 0.0, 0.0, 0.0]])
    >>> [part.astype(int).tolist() for part in partition(ours, theirs)]
    [[[1, 0, 0, 0]], [[0, 1, 0, 0]], [[0, 0, 1, 0]], [[0, 0, 0, 1]]]
    """
    edge, low = EDGE * theirs.max(), SMOOTH * theirs.max()
    here, there = ours > edge, theirs > edge
    neither = ~here & ~there
    return [here & there, here ^ there, neither & (theirs >= low), neither & (theirs < low)]


def _inside(image: np.ndarray) -> np.ndarray:
    """Return an image without the margin where windows leave it."""
    return image[(slice(RADIUS, -RADIUS),) * image.ndim]
