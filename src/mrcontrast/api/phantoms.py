"""Phantoms as nibabel images."""

from collections.abc import Sequence
from dataclasses import dataclass

import nibabel as nib
import numpy as np

from mrcontrast.phantom import PhantomConfig, make_subject
from mrcontrast.storage.volume import to_image

FINEST_TISSUE_MM = 1.0  # voxels on which the tissue of a phantom is drawn


@dataclass(frozen=True)
class Phantom:
    """A synthetic subject with its ground truth; all images are on one grid.

    Attributes:
        images: By contrast, in scanner units, 0 outside the brain.
        labels: 0 background, 1 CSF, 2 GM, 3 WM, 4 lesion.
        brain_mask: The brain, uint8.
        lesion_mask: The lesions, uint8.
    """

    images: dict[str, nib.Nifti1Image]
    labels: nib.Nifti1Image
    brain_mask: nib.Nifti1Image
    lesion_mask: nib.Nifti1Image


def make_phantom(
    seed: int = 0, contrasts: Sequence[str] = ("flair", "t1w"), spacing_mm: float = 2.0
) -> Phantom:
    """Make a phantom of MR images, as ``mrcontrast prepare recipe=phantom`` does.

    Each ``seed`` is another subject; contrasts are such as "flair", "t1w", "t2w", "pd"; voxels have
    a size of 12 mm over a whole number. Raises UsageError for what is not possible.

    >>> phantom = make_phantom(seed=1, contrasts=["flair", "t2w"], spacing_mm=12.0)
    >>> phantom.images["t2w"].shape == phantom.lesion_mask.shape
    True
    """
    tissue_mm = max(FINEST_TISSUE_MM, spacing_mm / 2)
    subject = make_subject(seed, PhantomConfig(spacing_mm, tissue_mm), contrasts)
    affine = next(iter(subject.images.values())).affine
    labels, brain, lesions = (
        to_image(part.astype(np.uint8), affine, None)
        for part in (subject.labels, subject.brain_mask, subject.lesion_mask)
    )
    images = {name: to_image(each.data, affine, None) for name, each in subject.images.items()}
    return Phantom(images, labels, brain, lesions)
