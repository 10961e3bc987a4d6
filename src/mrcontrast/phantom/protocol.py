"""Scans of one subject: field strength, tissue properties, sequences, image quality."""

from collections.abc import Mapping
from collections.abc import Sequence as Many
from dataclasses import dataclass, replace

import numpy as np

from mrcontrast.errors import UsageError
from mrcontrast.phantom.config import ScannerRanges, SequenceRanges, between
from mrcontrast.phantom.physics import (
    Flair,
    Mprage,
    Relaxation,
    Sequence,
    SpinEcho,
    draw_relaxation,
    null_ti_ms,
)

MPRAGE_TRAIN_LENGTH = 176
GAIN = (500.0, 2000.0)
TAGGED = ("tr_ms", "te_ms", "ti_ms", "flip_deg")  # settings of a sequence that become tags


@dataclass(frozen=True)
class Receiver:
    """Conversion of the true signal to raw units of the scanner."""

    gain: float  # raw units for a signal of 1
    snr: float  # white matter's signal over the standard deviation of the noise
    bias_amplitude: float  # standard deviation of the log of the bias field
    bias_scale_mm: float  # its smoothness
    blur_mm: float = 0.0  # full width at half maximum of the point spread


@dataclass(frozen=True)
class Scan:
    """Acquisition of one contrast; a 3D scan has no slice thickness."""

    sequence: Sequence
    receiver: Receiver
    slice_thickness_mm: float | None = None


@dataclass(frozen=True)
class ScanProtocol:
    """Acquisition of one subject, with a scan by contrast."""

    field_strength_t: float
    relaxation: Relaxation
    scans: Mapping[str, Scan]

    def tags(self) -> dict[str, float]:
        """Return the drawn values by name, with their units."""
        tags = {"field_strength_t": self.field_strength_t}
        for name, scan in self.scans.items():
            settings = vars(scan.sequence)
            tags |= {f"{name}_{key}": settings[key] for key in TAGGED if key in settings}
            tags |= {f"{name}_snr": scan.receiver.snr, f"{name}_blur_mm": scan.receiver.blur_mm}
            if scan.slice_thickness_mm is not None:
                tags[f"{name}_slice_thickness_mm"] = scan.slice_thickness_mm
        return tags


def draw_protocol(rng: np.random.Generator, ranges: ScannerRanges) -> ScanProtocol:
    """Draw field strength, tissue, and the scans of T1w and FLAIR."""
    field_strength_t = float(rng.choice(np.asarray(ranges.field_strengths_t, dtype=float)))
    relaxation = draw_relaxation(rng, field_strength_t, ranges.tissue_spread)
    mprage, flair = draw_mprage(rng, ranges.sequences), draw_flair(rng, ranges.sequences)
    t1w_receiver, flair_receiver = draw_receiver(rng, ranges), draw_receiver(rng, ranges)
    t1w_blur, flair_blur, thickness = rng.random(3)  # last: the draws above do not depend on them
    scans = {
        "t1w": Scan(mprage, replace(t1w_receiver, blur_mm=between(ranges.blur_mm, t1w_blur))),
        "flair": Scan(
            flair,
            replace(flair_receiver, blur_mm=between(ranges.blur_mm, flair_blur)),
            slice_thickness(ranges.flair_slice_thickness_mm, thickness),
        ),
    }
    return ScanProtocol(field_strength_t, relaxation, scans)


def draw_spin_echo(rng: np.random.Generator, ranges: ScannerRanges, contrast: str) -> Scan:
    """Draw the scan of another contrast, or raise UsageError if the config has no such contrast."""
    if contrast not in ranges.sequences.spin_echo:
        known = ", ".join(("t1w", "flair", *ranges.sequences.spin_echo))
        raise UsageError(
            f"Expected a contrast among {known}, got {contrast} (phantom). Add its TR and TE to "
            "scanner.sequences.spin_echo."
        )
    limits = ranges.sequences.spin_echo[contrast]
    sequence = SpinEcho(between(limits.tr_ms, rng.random()), between(limits.te_ms, rng.random()))
    receiver = draw_receiver(rng, ranges)
    blur, thickness = rng.random(2)
    receiver = replace(receiver, blur_mm=between(ranges.blur_mm, blur))
    return Scan(sequence, receiver, slice_thickness(limits.slice_thickness_mm, thickness))


def slice_thickness(limits: Many[float] | float | None, place: float) -> float | None:
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
