"""The scan of one subject: field strength, tissue properties, sequences, image quality."""

from dataclasses import dataclass

import numpy as np

from mrcontrast.phantom.config import ScannerRanges, between
from mrcontrast.phantom.physics import Flair, Mprage, null_ti_ms
from mrcontrast.phantom.tissue import Relaxation, draw_relaxation

# Each a range from lowest to highest
MPRAGE_TR_MS = (2200.0, 2500.0)
MPRAGE_TI_MS = (900.0, 1000.0)
MPRAGE_FLIP_DEG = (8.0, 9.0)
MPRAGE_ECHO_SPACING_MS = (6.5, 8.0)
MPRAGE_TRAIN_LENGTH = 176
FLAIR_TR_MS = (8000.0, 11000.0)
FLAIR_TE_MS = (90.0, 130.0)
NULLED_T1_MS = (3900.0, 4450.0)  # T1 of the CSF that the inversion time is set for
GAIN = (500.0, 2000.0)


@dataclass(frozen=True)
class Receiver:
    """What turns a true signal into raw units of the scanner.

    Attributes:
        gain: Raw units for a signal of 1.
        snr: White matter's signal over the standard deviation of the noise.
        bias_amplitude: Standard deviation of the log of the bias field.
        bias_scale_mm: Smoothness of the bias field (mm).
    """

    gain: float
    snr: float
    bias_amplitude: float
    bias_scale_mm: float


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
    """

    field_strength_t: float
    relaxation: Relaxation
    mprage: Mprage
    flair: Flair
    t1w_receiver: Receiver
    flair_receiver: Receiver

    def tags(self) -> dict[str, float]:
        """Return the drawn numbers by name, with their units."""
        return {
            "field_strength_t": self.field_strength_t,
            "t1w_tr_ms": self.mprage.tr_ms,
            "t1w_ti_ms": self.mprage.ti_ms,
            "t1w_flip_deg": self.mprage.flip_deg,
            "t1w_snr": self.t1w_receiver.snr,
            "flair_tr_ms": self.flair.tr_ms,
            "flair_te_ms": self.flair.te_ms,
            "flair_ti_ms": self.flair.ti_ms,
            "flair_snr": self.flair_receiver.snr,
        }


def draw_protocol(rng: np.random.Generator, ranges: ScannerRanges) -> ScanProtocol:
    """Draw the protocol of one subject."""
    field_strength_t = float(rng.choice(np.asarray(ranges.field_strengths_t, dtype=float)))
    return ScanProtocol(
        field_strength_t=field_strength_t,
        relaxation=draw_relaxation(rng, field_strength_t),
        mprage=draw_mprage(rng),
        flair=draw_flair(rng),
        t1w_receiver=draw_receiver(rng, ranges),
        flair_receiver=draw_receiver(rng, ranges),
    )


def draw_mprage(rng: np.random.Generator) -> Mprage:
    """Draw an MPRAGE as run at 1.5 and 3 T.

    Source:
        Jack et al. 2008, JMRI 27:685 (ADNI); ours are ranges round its TR, TI and flip angle,
        with an echo spacing and a train length of our own.
    """
    return Mprage(
        tr_ms=between(MPRAGE_TR_MS, rng.random()),
        ti_ms=between(MPRAGE_TI_MS, rng.random()),
        flip_deg=between(MPRAGE_FLIP_DEG, rng.random()),
        echo_spacing_ms=between(MPRAGE_ECHO_SPACING_MS, rng.random()),
        train_length=MPRAGE_TRAIN_LENGTH,
    )


def draw_flair(rng: np.random.Generator) -> Flair:
    """Draw a FLAIR that nulls a CSF near, not equal, to the subject's own.

    Source:
        Aalten et al. 2014, BMC Neurology 14:254, box 2: TR 8-12 s, TE 100-150 ms, TI 2.2-2.8 s;
        ours are within it but for the TE, which starts at 90 ms.
    """
    tr_ms = between(FLAIR_TR_MS, rng.random())
    ti_ms = null_ti_ms(between(NULLED_T1_MS, rng.random()), tr_ms)
    return Flair(tr_ms=tr_ms, te_ms=between(FLAIR_TE_MS, rng.random()), ti_ms=ti_ms)


def draw_receiver(rng: np.random.Generator, ranges: ScannerRanges) -> Receiver:
    """Draw gain, noise and bias of one volume."""
    return Receiver(
        gain=between(GAIN, rng.random()),
        snr=between(ranges.snr, rng.random()),
        bias_amplitude=between(ranges.bias_amplitude, rng.random()),
        bias_scale_mm=ranges.bias_scale_mm,
    )
