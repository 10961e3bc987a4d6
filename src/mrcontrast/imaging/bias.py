"""N4 bias correction: divide out the smooth gain of the receiver coil."""

import math

import numpy as np

from mrcontrast.errors import MrcontrastError
from mrcontrast.imaging.itk import load_itk, to_array, to_image
from mrcontrast.storage.volume import Volume

ITERATIONS = [50, 50, 30, 20]  # at most, at each level, coarse to fine; the control points double
TOLERANCE = 1e-3  # a level ends when the gain changes by less than this


def correct_bias(
    volume: Volume, mask: np.ndarray, working_spacing_mm: float = 4.0
) -> tuple[Volume, float]:
    """Correct the shading of a volume; voxels at or below 0 are not used for the estimate.

    Args:
        volume: Raw intensities.
        mask: (X, Y, Z), bool, brain or head, for the estimate.
        working_spacing_mm: Axes with finer voxels are shrunk to this spacing or the next above.

    Returns:
        The volume over the gain, whose geometric mean in the mask is 1, and the standard deviation
        of the log gain in the mask.

    Raises:
        MrcontrastError: No voxel in the mask is above 0, the affine is sheared, or SimpleITK is
            not installed.

    Source: Tustison et al. 2010, IEEE TMI 29(6):1310; SimpleITK's filter, one thread.
    """
    itk = load_itk()
    inside = np.asarray(mask, bool) & (volume.data > 0)
    if not inside.any():
        raise MrcontrastError(
            "Expected positive voxels in the mask, got none (N4). Check the mask."
        )
    image = to_image(volume)
    region = to_image(Volume(inside.astype(np.float32), volume.affine))
    shrink = [math.ceil(working_spacing_mm / step) for step in volume.spacing_mm]
    shrink = [min(factor, max(1, n // 8)) for factor, n in zip(shrink, volume.shape, strict=True)]
    n4 = itk.N4BiasFieldCorrectionImageFilter()
    n4.SetNumberOfThreads(1)
    n4.SetMaximumNumberOfIterations(ITERATIONS)
    n4.SetConvergenceThreshold(TOLERANCE)
    small_mask = itk.Cast(itk.Shrink(region, shrink), itk.sitkUInt8)
    n4.Execute(itk.Shrink(image, shrink), small_mask)
    log_field = to_array(n4.GetLogBiasFieldAsImage(image))
    log_field -= log_field[inside].mean()
    corrected = np.asarray(volume.data / np.exp(log_field), np.float32)
    return Volume(corrected, volume.affine), float(log_field[inside].std())
