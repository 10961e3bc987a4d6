"""Relaxation of the tissues, and signal equations: MPRAGE, T2-FLAIR and turbo spin echo."""

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from mrcontrast.errors import UsageError

TISSUES = ("csf", "cortex", "deep_gm", "wm", "lesion")  # of a voxel, in this order everywhere

# Tissue: T1 (ms), T2 (ms), proton density; (lowest, highest) of each.
RANGES = {
    1.5: {
        "csf": ((3800.0, 4400.0), (1700.0, 2300.0), (0.98, 1.00)),
        "cortex": ((1040.0, 1250.0), (90.0, 105.0), (0.80, 0.84)),
        "deep_gm": ((880.0, 1030.0), (78.0, 90.0), (0.75, 0.79)),
        "wm": ((600.0, 720.0), (66.0, 78.0), (0.68, 0.72)),
        "lesion": ((1000.0, 1400.0), (125.0, 190.0), (0.80, 0.88)),
    },
    3.0: {
        "csf": ((4000.0, 4500.0), (1500.0, 2100.0), (0.98, 1.00)),
        "cortex": ((1340.0, 1640.0), (90.0, 108.0), (0.80, 0.84)),
        "deep_gm": ((1120.0, 1320.0), (71.0, 85.0), (0.75, 0.79)),
        "wm": ((800.0, 950.0), (63.0, 75.0), (0.68, 0.72)),
        "lesion": ((1200.0, 1700.0), (120.0, 180.0), (0.80, 0.88)),
    },
}


@dataclass(frozen=True)
class Relaxation:
    """Times (ms) and proton density (against water) of `TISSUES`, in their order, each (5,)."""

    t1_ms: np.ndarray
    t2_ms: np.ndarray
    proton_density: np.ndarray


def draw_relaxation(
    rng: np.random.Generator, field_strength_t: float, spread: float = 1.0
) -> Relaxation:
    """Draw the properties of one subject's tissues at 1.5 or 3.0 T, else raise UsageError.

    Two thirds of a value's place in its range is common to all tissues of the subject (age,
    temperature, calibration), one third its own. ``spread`` scales the ranges about their middles.

    Source: T1 of WM and cortex: Wright et al. 2008, MAGMA 21:121; Wansapura et al. 1999, JMRI
    9:531. T2 of both: Stanisz et al. 2005, MRM 54:507 (excised tissue). CSF: Rooney et al. 2007,
    MRM 57:308 (T1); Spijkerman et al. 2018, MAGMA 31:415 (T2). Proton density: Oros-Peusquens et
    al. 2019, Front Neurol 10:1333. Lesions: Stevenson et al. 2000, J Neurol Sci 178:81. Ours are
    ranges near their means, so narrow that T1 and proton density keep the order CSF, cortex, deep
    GM, WM; deep GM is one tissue, between the striatum and the shorter thalamus and pallidum.
    """
    if field_strength_t not in RANGES:
        raise UsageError(
            f"Expected a field strength of {' or '.join(map(str, RANGES))} T, got "
            f"{field_strength_t} (ScannerRanges). Correct field_strengths_t."
        )
    limits = np.array([RANGES[field_strength_t][tissue] for tissue in TISSUES])  # (5, 3, 2)
    place = (2 * rng.random((1, 3)) + rng.random((len(TISSUES), 3))) / 3
    place = 0.5 + spread * (place - 0.5)
    values = limits[..., 0] + place * (limits[..., 1] - limits[..., 0])
    return Relaxation(*values.T)


class Sequence(Protocol):
    """A pulse sequence."""

    def signal(self, tissue: Relaxation) -> np.ndarray:
        """Return the signed signal of each tissue; 1 is all of water's magnetisation."""
        ...


@dataclass(frozen=True)
class Mprage:
    """Inversion, a pause, a train of small excitations, a pause; repeated.

    ``tr_ms`` is from inversion to inversion, ``ti_ms`` to the middle of the train.
    """

    tr_ms: float
    ti_ms: float
    flip_deg: float
    echo_spacing_ms: float
    train_length: int
    inversion_efficiency: float = 0.96

    def signal(self, tissue: Relaxation) -> np.ndarray:
        """Return the signed steady-state signal in the middle of the train.

        T2* decay is left out: over an echo time of 3 ms it is about the same for all tissues.

        Source: Deichmann et al. 2000, NeuroImage 12:112; written as affine maps of the
        longitudinal magnetisation, of which the steady state is the fixed point.
        """
        t1_ms = tissue.t1_ms
        before = self.train_length // 2
        first = self.ti_ms - before * self.echo_spacing_ms
        last = self.tr_ms - first - self.train_length * self.echo_spacing_ms
        inversion = (-self.inversion_efficiency * np.ones_like(t1_ms), np.zeros_like(t1_ms))
        to_middle = chain(inversion, recovery(first, t1_ms), self._excitations(before, t1_ms))
        rest = chain(self._excitations(self.train_length - before, t1_ms), recovery(last, t1_ms))
        factor, offset = chain(rest, to_middle)  # from the middle of a train to the next one
        middle = offset / (1 - factor)
        return tissue.proton_density * np.sin(np.deg2rad(self.flip_deg)) * middle

    def _excitations(self, count: int, t1_ms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        relax = np.exp(-self.echo_spacing_ms / t1_ms)
        keep = relax * np.cos(np.deg2rad(self.flip_deg))
        return keep**count, (1 - relax) * (1 - keep**count) / (1 - keep)


@dataclass(frozen=True)
class Flair:
    """Inversion, a pause that nulls CSF (``ti_ms``), a turbo spin echo."""

    tr_ms: float
    te_ms: float
    ti_ms: float

    def signal(self, tissue: Relaxation) -> np.ndarray:
        """Return the signed signal; the echo train is taken to be short against TR.

        Source: Hajnal et al. 1992, JCAT 16:841; Bernstein et al. 2004, Handbook of MRI Pulse
        Sequences, section 14.2.
        """
        t1_ms = tissue.t1_ms
        longitudinal = 1 - 2 * np.exp(-self.ti_ms / t1_ms) + np.exp(-self.tr_ms / t1_ms)
        return tissue.proton_density * longitudinal * np.exp(-self.te_ms / tissue.t2_ms)


@dataclass(frozen=True)
class SpinEcho:
    """A turbo spin echo."""

    tr_ms: float
    te_ms: float

    def signal(self, tissue: Relaxation) -> np.ndarray:
        """Return the signal, without magnetisation transfer; see `Flair.signal`.

        Source: Bernstein et al. 2004, sections 14.3 and 16.4.
        """
        longitudinal = 1 - np.exp(-self.tr_ms / tissue.t1_ms)
        return tissue.proton_density * longitudinal * np.exp(-self.te_ms / tissue.t2_ms)


def sensitivity(sequence: Sequence, tissue: Relaxation, step: float = 0.01) -> np.ndarray:
    """Return the change of signal for a change of log T1 and of log T2, (2, tissues)."""
    up, down = 1 + step, 1 - step
    t1 = [replace(tissue, t1_ms=tissue.t1_ms * factor) for factor in (up, down)]
    t2 = [replace(tissue, t2_ms=tissue.t2_ms * factor) for factor in (up, down)]
    return np.stack([(sequence.signal(a) - sequence.signal(b)) / (2 * step) for a, b in (t1, t2)])


def null_ti_ms(t1_ms: float, tr_ms: float) -> float:
    """Return the inversion time (ms) at which a tissue of T1 ``t1_ms`` gives no FLAIR signal.

    >>> round(null_ti_ms(4300.0, 9000.0))
    2481
    """
    return float(t1_ms * (np.log(2) - np.log1p(np.exp(-tr_ms / t1_ms))))


def recovery(duration_ms: float, t1_ms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return free recovery as an affine map (factor, offset) of the magnetisation."""
    factor = np.exp(-duration_ms / t1_ms)
    return factor, 1 - factor


def chain(*steps: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Compose affine maps (factor, offset), the first one first."""
    factor, offset = np.ones_like(steps[0][0]), np.zeros_like(steps[0][0])
    for step_factor, step_offset in steps:
        factor, offset = step_factor * factor, step_factor * offset + step_offset
    return factor, offset
