"""From tissue to a raw image: signal equation, then what the scanner adds."""

import numpy as np
from torch import Tensor

from mrcontrast.phantom.artefacts import AxialSlices, add_rician_noise, blur, draw_bias_field
from mrcontrast.phantom.physics import Sequence, sensitivity
from mrcontrast.phantom.protocol import Receiver
from mrcontrast.phantom.tissue import TISSUES, Relaxation

SOLID = np.array([tissue != "csf" for tissue in TISSUES])


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
