"""From tissue to a raw image: signal equation, blur, bias field, thick slices, Rician noise."""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter
from torch import Tensor

from mrcontrast.phantom.fields import draw_smooth_field, upsample
from mrcontrast.phantom.physics import Sequence, sensitivity
from mrcontrast.phantom.protocol import Receiver
from mrcontrast.phantom.tissue import TISSUES, Relaxation

SOLID = np.array([tissue != "csf" for tissue in TISSUES])
FWHM_PER_SIGMA = float(np.sqrt(8 * np.log(2)))


def blur(signal: np.ndarray, fwhm_voxels: float) -> np.ndarray:
    """Smooth (X, Y, Z) by a Gaussian of that full width at half maximum, in voxels; 0: not at all.

    The sign of the signal is kept until here, so that a voxel between inverted and upright
    magnetisation loses signal as it does in the scanner.
    """
    if fwhm_voxels == 0:
        return signal
    return gaussian_filter(signal, fwhm_voxels / FWHM_PER_SIGMA)


def draw_bias_field(
    rng: np.random.Generator, shape: tuple[int, int, int], amplitude: float, smoothing_mm: float
) -> np.ndarray:
    """Draw a smooth gain, (X, Y, Z), float32; its log has standard deviation ``amplitude``."""
    log_gain = upsample(draw_smooth_field(rng, smoothing_mm), shape)[0]
    return np.exp(amplitude * log_gain.numpy())


def add_rician_noise(rng: np.random.Generator, signal: np.ndarray, sigma: float) -> np.ndarray:
    """Return the magnitude of ``signal`` plus complex Gaussian noise.

    Args:
        rng: Source of the noise.
        signal: Signed signal, any shape, float32.
        sigma: Standard deviation of the noise in each of the two channels, unit of the signal.

    Source:
        Gudbjartsson and Patz 1995, MRM 34:910.
    """
    real = signal + sigma * rng.standard_normal(signal.shape, dtype=np.float32)
    imaginary = sigma * rng.standard_normal(signal.shape, dtype=np.float32)
    return np.hypot(real, imaginary)


@dataclass(frozen=True)
class AxialSlices:
    """Axial slices as thick as the voxels or thicker, one beside the other without a gap.

    Attributes:
        count: Voxels along z.
        spacing_mm: Their size (mm).
        thickness_mm: Thickness of a slice (mm).
    """

    count: int
    spacing_mm: float
    thickness_mm: float

    def average(self, signal: np.ndarray) -> np.ndarray:
        """Average (X, Y, count) into (X, Y, slices); a voxel on a border counts for both."""
        if self.thickness_mm <= self.spacing_mm:
            return signal
        edges = np.arange(self.count + 1) * self.spacing_mm
        starts = np.arange(0, edges[-1] - 1e-6, self.thickness_mm)[:, None]
        ends = np.minimum(edges[1:], starts + self.thickness_mm)
        overlap = np.clip(ends - np.maximum(edges[:-1], starts), 0, None)
        profiles = overlap / overlap.sum(axis=1, keepdims=True)  # (slices, count)
        return signal @ profiles.T.astype(signal.dtype)

    def interpolate(self, slices: np.ndarray) -> np.ndarray:
        """Interpolate (X, Y, slices) linearly between their centres to (X, Y, count)."""
        if self.thickness_mm <= self.spacing_mm:
            return slices
        centres_mm = (np.arange(self.count) + 0.5) * self.spacing_mm
        last = slices.shape[2] - 1
        place = np.clip(centres_mm / self.thickness_mm - 0.5, 0, last)
        below = np.floor(place).astype(int)
        above = np.minimum(below + 1, last)
        share = (place - below).astype(slices.dtype)
        return slices[..., below] * (1 - share) + slices[..., above] * share


def true_signal(
    sequence: Sequence, relaxation: Relaxation, fractions: np.ndarray, texture: Tensor
) -> np.ndarray:
    """Return the signed signal of each voxel, without any artefact.

    A voxel's signal is the sum over its tissues by their shares (partial volume). Within solid
    tissue T1 and T2 vary by ``texture``, to first order.

    Args:
        sequence: MPRAGE or FLAIR.
        relaxation: Properties of the tissues.
        fractions: Share of each tissue, (5, X, Y, Z), float32.
        texture: Deviation of log T1 and of log T2, (2, X, Y, Z).

    Returns:
        (X, Y, Z), float32; 1 is all of water's magnetisation.
    """
    weights = np.stack([sequence.signal(relaxation), *(sensitivity(sequence, relaxation) * SOLID)])
    mean, by_t1, by_t2 = np.tensordot(weights.astype(np.float32), fractions, axes=1)
    log_t1, log_t2 = texture.numpy()
    return mean + by_t1 * log_t1 + by_t2 * log_t2


def acquire(
    rng: np.random.Generator,
    signal: np.ndarray,
    wm_signal: float,
    receiver: Receiver,
    slices: AxialSlices,
) -> np.ndarray:
    """Return the magnitude image in raw units: blur, slices, bias field, Rician noise, gain.

    Args:
        rng: Source of bias and noise.
        signal: True signal, (X, Y, Z), float32.
        wm_signal: True signal of white matter, to which the noise is set.
        receiver: Gain, noise, bias and blur.
        slices: Averaged into before the noise, and interpolated back from after it.
    """
    acquired = slices.average(blur(signal, receiver.blur_mm / slices.spacing_mm))
    x, y, z = acquired.shape
    bias = draw_bias_field(rng, (x, y, z), receiver.bias_amplitude, receiver.bias_scale_mm)
    noisy = add_rician_noise(rng, acquired * bias, abs(wm_signal) / receiver.snr)
    return receiver.gain * slices.interpolate(noisy)
