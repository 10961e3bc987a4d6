"""Masks of skull-stripped volumes."""

import numpy as np
import scipy

from mrcontrast.errors import MrcontrastError
from mrcontrast.storage.volume import Volume

LARGEST_BRAIN_FRACTION = 0.9  # a brain fills about half of its bounding box
LARGEST_BRAIN_ML = 2600.0  # brains have up to about 2000, phantoms more; heads from about 3000
STRIP = "Strip the skull first (translate: --strip-skull) or give a brain mask."


def mask_from_nonzero(volume: Volume, advice: str = STRIP) -> np.ndarray:
    """Return the largest non-zero component with its holes filled, (X, Y, Z), bool.

    MrcontrastError: all voxels are zero, or almost none; it ends with ``advice`` on the skull.
    """
    components, count = scipy.ndimage.label(volume.data != 0)
    if count == 0:
        raise MrcontrastError("Expected a brain, got only zeros. Check the volume.")
    sizes = sum(np.bincount(slab.ravel(), minlength=count + 1) for slab in components)
    largest = components == 1 + int(np.argmax(np.asarray(sizes)[1:]))
    del components
    mask = np.asarray(scipy.ndimage.binary_fill_holes(largest), bool)
    if (fraction := float(mask.mean())) > LARGEST_BRAIN_FRACTION:
        raise MrcontrastError(
            f"Expected a skull-stripped volume, got {fraction:.0%} of its voxels non-zero. {advice}"
        )
    return mask


def brain_from_nonzero(volume: Volume, advice: str = STRIP) -> np.ndarray:
    """Return ``mask_from_nonzero``; raise MrcontrastError if it exceeds 2600 ml, as heads do."""
    mask = mask_from_nonzero(volume, advice)
    found_ml = float(mask.sum() * abs(np.linalg.det(volume.affine[:3, :3])) / 1000)
    if found_ml > LARGEST_BRAIN_ML:
        raise MrcontrastError(
            f"Expected a skull-stripped volume, got {found_ml:.0f} ml that are not zero. {advice}"
        )
    return mask
