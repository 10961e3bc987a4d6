"""Contrast of lesions to the white matter around them."""

import numpy as np
from scipy import ndimage

RING_MM = (2.0, 8.0)  # outside partial volume, within the same bias field
MIN_RING_VOXELS = 10


def surrounding_ring(
    lesions: np.ndarray, white_matter: np.ndarray, spacing_mm: tuple[float, ...]
) -> np.ndarray:
    """Return white matter (*S) more than 2 and at most 8 mm from the nearest lesion, (*S) bool."""
    if not lesions.any():
        return np.zeros_like(lesions)
    distance = ndimage.distance_transform_edt(~lesions, sampling=spacing_mm)
    near, far = RING_MM
    return white_matter & (distance > near) & (distance <= far)


def lesion_contrast(image: np.ndarray, lesions: np.ndarray, ring: np.ndarray) -> float:
    """Return the mean over lesions (*S) minus the mean over their ring (*S), in the image's units.

    NaN without a lesion or with fewer than ten voxels in the ring.
    """
    if not lesions.any() or int(ring.sum()) < MIN_RING_VOXELS:
        return float("nan")
    return float(image[lesions].mean(dtype=np.float64) - image[ring].mean(dtype=np.float64))
