"""The scan of one subject: field strength, tissue properties, sequences, image quality."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from mrcontrast.phantom.config import ScannerRanges, SequenceRanges, between
from mrcontrast.phantom.physics import Flair, Mprage, null_ti_ms
from mrcontrast.phantom.tissue import Relaxation, draw_relaxation

MPRAGE_TRAIN_LENGTH = 176
GAIN = (500.0, 2000.0)


@dataclass(frozen=True)
class Receiver:
    """What turns a true signal into raw units of the scanner.

    Attributes:
        gain: Raw units for a signal of 1.
        snr: White matter's signal over the standard deviation of the noise.
        bias_amplitude: Standard deviation of the log of the bias field.
        bias_scale_mm: Smoothness of the bias field (mm).
        blur_mm: Full width at half maximum of the point spread (mm).
    """

    gain: float
    snr: float
    bias_amplitude: float
    bias_scale_mm: float
    blur_mm: float = 0.0


@dataclass(frozen=True)
class ScanProtocol:
    """How one subject is scanned.

    Attributes:
        field_strength_t: 1.5 or 3.0 (T).
        relaxation: T1, T2 and proton density of the tissues.
        mprage: Sequence of the T1w volume.
        flair: Sequence of the FLAIR volume.
        t1w_receiver: Image quality of the T1w volume.
        flair_receiver: Image quality of the FLAIR volume.
        flair_slice_thickness_mm: Thickness of its axial slices (mm); None for a 3D FLAIR.
    """

    field_strength_t: float
    relaxation: Relaxation
    mprage: Mprage
    flair: Flair
    t1w_receiver: Receiver
    flair_receiver: Receiver
    flair_slice_thickness_mm: float | None

    def tags(self) -> dict[str, float]:
        """Return the drawn numbers by name, with their units."""
        thickness_mm = self.flair_slice_thickness_mm
        return {
            "field_strength_t": self.field_strength_t,
            "t1w_tr_ms": self.mprage.tr_ms,
            "t1w_ti_ms": self.mprage.ti_ms,
            "t1w_flip_deg": self.mprage.flip_deg,
            "t1w_snr": self.t1w_receiver.snr,
            "t1w_blur_mm": self.t1w_receiver.blur_mm,
            "flair_tr_ms": self.flair.tr_ms,
            "flair_te_ms": self.flair.te_ms,
            "flair_ti_ms": self.flair.ti_ms,
            "flair_snr": self.flair_receiver.snr,
            "flair_blur_mm": self.flair_receiver.blur_mm,
            **({} if thickness_mm is None else {"flair_slice_thickness_mm": thickness_mm}),
        }


def draw_protocol(rng: np.random.Generator, ranges: ScannerRanges) -> ScanProtocol:
    """Draw the protocol of one subject."""
    field_strength_t = float(rng.choice(np.asarray(ranges.field_strengths_t, dtype=float)))
    protocol = ScanProtocol(
        field_strength_t=field_strength_t,
        relaxation=draw_relaxation(rng, field_strength_t, ranges.tissue_spread),
        mprage=draw_mprage(rng, ranges.sequences),
        flair=draw_flair(rng, ranges.sequences),
        t1w_receiver=draw_receiver(rng, ranges),
        flair_receiver=draw_receiver(rng, ranges),
        flair_slice_thickness_mm=None,
    )
    t1w_blur, flair_blur, thickness = rng.random(3)  # last, so that they leave the rest as it is
    return replace(
        protocol,
        t1w_receiver=replace(protocol.t1w_receiver, blur_mm=between(ranges.blur_mm, t1w_blur)),
        flair_receiver=replace(
            protocol.flair_receiver, blur_mm=between(ranges.blur_mm, flair_blur)
        ),
        flair_slice_thickness_mm=slice_thickness(ranges.flair_slice_thickness_mm, thickness),
    )


def slice_thickness(limits: Sequence[float] | float | None, place: float) -> float | None:
    """Return the thickness (mm) at ``place``, 0 to 1, of a range; one for all is itself.

    >>> slice_thickness((1.0, 5.0), 0.5), slice_thickness(3.0, 0.5), slice_thickness(None, 0.5)
    (3.0, 3.0, None)
    """
    if limits is None or isinstance(limits, (int, float)):
        return limits
    return between(limits, place)


def draw_mprage(rng: np.random.Generator, ranges: SequenceRanges) -> Mprage:
    """Draw an MPRAGE."""
    return Mprage(
        tr_ms=between(ranges.mprage_tr_ms, rng.random()),
        ti_ms=between(ranges.mprage_ti_ms, rng.random()),
        flip_deg=between(ranges.mprage_flip_deg, rng.random()),
        echo_spacing_ms=between(ranges.mprage_echo_spacing_ms, rng.random()),
        train_length=MPRAGE_TRAIN_LENGTH,
    )


def draw_flair(rng: np.random.Generator, ranges: SequenceRanges) -> Flair:
    """Draw a FLAIR that nulls a CSF near, not equal, to the subject's own."""
    tr_ms = between(ranges.flair_tr_ms, rng.random())
    ti_ms = null_ti_ms(between(ranges.flair_nulled_t1_ms, rng.random()), tr_ms)
    return Flair(tr_ms=tr_ms, te_ms=between(ranges.flair_te_ms, rng.random()), ti_ms=ti_ms)


def draw_receiver(rng: np.random.Generator, ranges: ScannerRanges) -> Receiver:
    """Draw gain, noise and bias of one volume."""
    return Receiver(
        gain=between(GAIN, rng.random()),
        snr=between(ranges.snr, rng.random()),
        bias_amplitude=between(ranges.bias_amplitude, rng.random()),
        bias_scale_mm=ranges.bias_scale_mm,
    )
