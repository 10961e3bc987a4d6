"""One phantom subject: MR volumes of the same tissue, with their ground truth."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy
from torch import Tensor

from mrcontrast.errors import UsageError
from mrcontrast.phantom.anatomy import LABELS, draw_anatomy
from mrcontrast.phantom.config import PhantomConfig
from mrcontrast.phantom.fields import draw_smooth_field, frame_affine, frame_shape, upsample
from mrcontrast.phantom.physics import TISSUES, Relaxation, sensitivity
from mrcontrast.phantom.physics import Sequence as PulseSequence
from mrcontrast.phantom.protocol import Receiver, draw_protocol, draw_spin_echo
from mrcontrast.storage.volume import Volume

WM = TISSUES.index("wm")
TEXTURE_MM = 5.0
SOLID = np.array([tissue != "csf" for tissue in TISSUES])
FWHM_PER_SIGMA = float(np.sqrt(8 * np.log(2)))


@dataclass(frozen=True)
class PhantomSubject:
    """A subject with all contrasts on one grid, aligned, RAS, skull-stripped.

    Attributes:
        images: Volumes by contrast, (X, Y, Z), float32, raw units of the scanner, >= 0; 0 outside
            the brain. Each contrast has a unit of its own.
        labels: (X, Y, Z), uint8: 0 background, 1 CSF, 2 GM, 3 WM, 4 lesion.
        brain_mask: (X, Y, Z), bool.
        lesion_mask: (X, Y, Z), bool; where ``labels`` is 4.
        tags: Drawn values, such as "field_strength_t", "flair_te_ms", "lesion_count".
    """

    images: dict[str, Volume]
    labels: np.ndarray
    brain_mask: np.ndarray
    lesion_mask: np.ndarray
    tags: dict[str, float]


def make_subject(
    seed: int, config: PhantomConfig | None = None, contrasts: Sequence[str] = ("flair", "t1w")
) -> PhantomSubject:
    """Make the subject of a seed, an integer >= 0: the same seed and config give the same voxels.

    Anatomy and fields are drawn in millimetres: another ``spacing_mm`` gives the same brain. Each
    contrast has random numbers of its own: further contrasts leave the others as they are.
    Contrasts are "flair", "t1w", and keys of ``config.scanner.sequences.spin_echo``.

    Raises:
        UsageError: The seed is negative, or the config does not fit.

    Example:
        >>> config = PhantomConfig(spacing_mm=6.0, anatomy_spacing_mm=6.0)
        >>> make_subject(3, config, ["t2w"]).images["t2w"].shape
        (30, 36, 32)
    """
    if seed < 0:
        raise UsageError(f"Expected a seed >= 0, got {seed} (phantom). Choose another seed.")
    config = config or PhantomConfig()
    scanner, shape = config.scanner, frame_shape(config.spacing_mm)
    streams = np.random.default_rng(seed).spawn(5)
    anatomy_rng, protocol_rng, texture_rng, t1w_rng, flair_rng = streams

    anatomy = draw_anatomy(
        anatomy_rng, config.anatomy, config.lesions, config.spacing_mm, config.anatomy_spacing_mm
    )
    protocol = draw_protocol(protocol_rng, scanner)
    scans, rngs = dict(protocol.scans), {"t1w": t1w_rng, "flair": flair_rng}
    for name in contrasts:
        if name not in scans:
            scan_rng, rngs[name] = np.random.default_rng([seed, *name.encode()]).spawn(2)
            scans[name] = draw_spin_echo(scan_rng, scanner, name)
    protocol = replace(protocol, scans={name: scans[name] for name in contrasts})
    labels = anatomy.labels
    brain_mask = labels != LABELS["background"]
    texture = upsample(draw_smooth_field(texture_rng, TEXTURE_MM, channels=2), shape)

    images = {}
    for name, scan in protocol.scans.items():
        signal = true_signal(
            scan.sequence, protocol.relaxation, anatomy.fractions, scanner.texture * texture
        )
        wm_signal = float(scan.sequence.signal(protocol.relaxation)[WM])
        thickness_mm = scan.slice_thickness_mm or config.spacing_mm
        slices = AxialSlices(shape[2], config.spacing_mm, thickness_mm)
        image = acquire(rngs[name], signal, wm_signal, scan.receiver, slices)
        images[name] = Volume(image * brain_mask, frame_affine(config.spacing_mm))
    return PhantomSubject(
        images=images,
        labels=labels,
        brain_mask=brain_mask,
        lesion_mask=labels == LABELS["lesion"],
        tags={**protocol.tags(), **anatomy.tags},
    )


def blur(signal: np.ndarray, fwhm_voxels: float) -> np.ndarray:
    """Smooth a signed signal (X, Y, Z) by a Gaussian of that full width at half maximum."""
    if fwhm_voxels == 0:
        return signal
    return scipy.ndimage.gaussian_filter(signal, fwhm_voxels / FWHM_PER_SIGMA)


def draw_bias_field(
    rng: np.random.Generator, shape: tuple[int, int, int], amplitude: float, smoothing_mm: float
) -> np.ndarray:
    """Draw a smooth gain, (X, Y, Z), float32; its log has standard deviation ``amplitude``."""
    log_gain = upsample(draw_smooth_field(rng, smoothing_mm), shape)[0]
    return np.exp(amplitude * log_gain.numpy())


def add_rician_noise(rng: np.random.Generator, signal: np.ndarray, sigma: float) -> np.ndarray:
    """Return the magnitude of a signal plus complex Gaussian noise of ``sigma`` in both channels.

    Source: Gudbjartsson and Patz 1995, MRM 34:910.
    """
    real = signal + sigma * rng.standard_normal(signal.shape, dtype=np.float32)
    imaginary = sigma * rng.standard_normal(signal.shape, dtype=np.float32)
    return np.hypot(real, imaginary)


@dataclass(frozen=True)
class AxialSlices:
    """Axial slices as thick as the voxels or thicker, side by side without a gap."""

    count: int  # voxels along z
    spacing_mm: float  # of the voxels
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
    sequence: PulseSequence, relaxation: Relaxation, fractions: np.ndarray, texture: Tensor
) -> np.ndarray:
    """Return the signed signal of each voxel without artefacts, (X, Y, Z), float32.

    ``fractions`` (5, X, Y, Z), float32, are shares of the tissues, whose signals add up (partial
    volume); ``texture`` (2, X, Y, Z) is the deviation of log T1 and of log T2 in solid tissue.
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

    Noise is relative to ``wm_signal``, the true signal of white matter.
    """
    acquired = slices.average(blur(signal, receiver.blur_mm / slices.spacing_mm))
    x, y, z = acquired.shape
    bias = draw_bias_field(rng, (x, y, z), receiver.bias_amplitude, receiver.bias_scale_mm)
    noisy = add_rician_noise(rng, acquired * bias, abs(wm_signal) / receiver.snr)
    return receiver.gain * slices.interpolate(noisy)
