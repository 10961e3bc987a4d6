"""N4 bias correction: divide out the smooth gain of the receiver coil."""

import math
from dataclasses import dataclass

import numpy as np

from mrcontrast.errors import MrcontrastError
from mrcontrast.imaging.itk import load_itk, to_array, to_image
from mrcontrast.storage.volume import Volume


@dataclass(frozen=True)
class BiasCorrection:
    """Result of N4.

    Attributes:
        image: The volume divided by ``field``, (X, Y, Z), on its own grid.
        field: Gain of each voxel, (X, Y, Z), > 0, with geometric mean 1 in the mask.
        strength: Standard deviation of the log gain in the mask; 0 without bias.
    """

    image: Volume
    field: np.ndarray
    strength: float


def correct_bias(
    volume: Volume,
    mask: np.ndarray,
    working_spacing_mm: float = 4.0,
    iterations: tuple[int, ...] = (50, 50, 30, 20),
    tolerance: float = 1e-3,
) -> BiasCorrection:
    """Correct the shading of a volume; voxels at or below 0 are not used for the estimate.

    Args:
        volume: Raw intensities.
        mask: (X, Y, Z), bool, brain or head, for the estimate.
        working_spacing_mm: Axes with finer voxels are shrunk to this spacing or the next above.
        iterations: Maximum at each level, coarse to fine; the control points double.
        tolerance: A level ends when the gain changes by less than this.

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
    n4.SetMaximumNumberOfIterations(list(iterations))
    n4.SetConvergenceThreshold(tolerance)
    small_mask = itk.Cast(itk.Shrink(region, shrink), itk.sitkUInt8)
    n4.Execute(itk.Shrink(image, shrink), small_mask)
    log_field = to_array(n4.GetLogBiasFieldAsImage(image))
    log_field -= log_field[inside].mean()
    field = np.exp(log_field)
    corrected = Volume(np.asarray(volume.data / field, np.float32), volume.affine)
    return BiasCorrection(corrected, field, float(log_field[inside].std()))
