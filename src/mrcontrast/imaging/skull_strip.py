"""Skull stripping by deepbet, whose wheel contains the weights."""

import warnings
from functools import lru_cache
from typing import Any

import nibabel as nib
import numpy as np

from mrcontrast.errors import MrcontrastError
from mrcontrast.imaging.itk import load_extra
from mrcontrast.storage.volume import Volume

EMPTY_BOX = "sizes should be greater than 0"  # torch's message for a brain without extent


def strip_skull(volume: Volume) -> np.ndarray:
    """Return the mask of the brain with ventricles and outer CSF, (X, Y, Z), bool.

    deepbet was trained on T1w images of healthy adults, of any orientation and spacing.

    Raises:
        MrcontrastError: No brain is found, or deepbet is not installed.
        RuntimeError: deepbet failed, such as for lack of memory.

    Source: Fisch et al. 2024, Computers in Biology and Medicine 179:108845, arXiv 2308.07003.
    """
    image = nib.Nifti1Image(np.asarray(volume.data, np.float32), volume.affine)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torch.jit, about its own future
            _, mask, _ = _network().run(image, threshold=0.5, n_dilate=0)
    except (AssertionError, ValueError, IndexError) as error:
        raise _nothing_found() from error
    except RuntimeError as error:
        if EMPTY_BOX not in str(error):  # such as out of memory
            raise
        raise _nothing_found() from error
    brain = np.asarray(mask.dataobj) > 0
    if not brain.any():
        raise _nothing_found()
    return brain


@lru_cache(maxsize=1)
def _network() -> Any:  # noqa: ANN401 - a class of an optional package
    """Load the two networks once for each process."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return load_extra("deepbet.bet").BrainExtraction(no_gpu=True)


def _nothing_found() -> MrcontrastError:
    return MrcontrastError(
        "Expected a head to strip, got a volume in which deepbet finds no brain. "
        "Check the volume or give a brain mask."
    )
