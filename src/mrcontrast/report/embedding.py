"""Volumes as text in a page: NIfTI in few bits, compressed, base64."""

import base64
import gzip
from dataclasses import dataclass

import nibabel as nib
import numpy as np

from mrcontrast.storage.volume import Volume

FINEST_SHARE = 1 / 125  # of the window: a coarser step than this takes 16 bits


@dataclass(frozen=True)
class Embedded:
    """One volume as a page holds it.

    Attributes:
        text: Base64 of a gzipped NIfTI file whose header scales the whole numbers back.
        bits: 8 or 16 a voxel.
        step: Distance of neighbouring grey levels, in the units of the volume.
    """

    text: str
    bits: int
    step: float

    @property
    def megabytes(self) -> float:
        """Size in the page, in MB (10^6 bytes)."""
        return len(self.text) / 1e6


def embed(volume: Volume, width: float) -> Embedded:
    """Return a volume for a page; all its values are kept, each to half a step.

    Smallest to largest value are spread over the whole numbers of 8 bits. Where some voxels lie so
    far out that this would leave fewer than 125 steps in the window, 16 bits are used.

    Args:
        volume: (X, Y, Z), finite.
        width: Of the window that the volume is shown in, in its units; > 0.
    """
    extent = float(np.ptp(volume.data))
    bits = 8 if extent / 255 <= FINEST_SHARE * width else 16
    image = nib.Nifti1Image(np.asarray(volume.data, np.float32), volume.affine)
    image.set_data_dtype(np.uint8 if bits == 8 else np.int16)
    image.header.set_xyzt_units("mm")
    packed = gzip.compress(image.to_bytes(), compresslevel=6, mtime=0)
    return Embedded(base64.b64encode(packed).decode("ascii"), bits, extent / (2**bits - 1))
