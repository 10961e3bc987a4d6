"""Signal equations: MPRAGE (T1w), T2-FLAIR, and turbo spin echo (T2w, PDw and others)."""

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from mrcontrast.phantom.tissue import Relaxation


class Sequence(Protocol):
    """A pulse sequence: tissue properties in, signal out."""

    def signal(self, tissue: Relaxation) -> np.ndarray:
        """Return the signed signal of each tissue; 1 is all of water's magnetisation."""
        ...


@dataclass(frozen=True)
class Mprage:
    """Inversion, a pause, a train of small excitations, a pause; repeated.

    Attributes:
        tr_ms: From inversion to inversion (ms).
        ti_ms: From inversion to the middle of the train (ms), where contrast is set.
        flip_deg: Flip angle of each excitation (degrees).
        echo_spacing_ms: From excitation to excitation (ms).
        train_length: Number of excitations in a train.
        inversion_efficiency: Share of the magnetisation that the inversion turns over.
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

        Source:
            Deichmann et al. 2000, NeuroImage 12:112; written as affine maps of the longitudinal
            magnetisation, of which the steady state is the fixed point.
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
    """Inversion, a pause that nulls CSF, a turbo spin echo.

    Attributes:
        tr_ms: From inversion to inversion (ms).
        te_ms: Effective echo time (ms).
        ti_ms: From inversion to excitation (ms).
    """

    tr_ms: float
    te_ms: float
    ti_ms: float

    def signal(self, tissue: Relaxation) -> np.ndarray:
        """Return the signed signal.

        Source:
            Hajnal et al. 1992, JCAT 16:841; Bernstein et al. 2004, Handbook of MRI Pulse
            Sequences, section 14.2. The echo train is taken to be short against TR.
        """
        t1_ms = tissue.t1_ms
        longitudinal = 1 - 2 * np.exp(-self.ti_ms / t1_ms) + np.exp(-self.tr_ms / t1_ms)
        return tissue.proton_density * longitudinal * np.exp(-self.te_ms / tissue.t2_ms)


@dataclass(frozen=True)
class SpinEcho:
    """A turbo spin echo.

    Attributes:
        tr_ms: From excitation to excitation (ms).
        te_ms: Effective echo time (ms).
    """

    tr_ms: float
    te_ms: float

    def signal(self, tissue: Relaxation) -> np.ndarray:
        """Return the signal.

        Source:
            Bernstein et al. 2004, Handbook of MRI Pulse Sequences, sections 14.3 and 16.4. The echo
            train is taken to be short against TR; magnetisation transfer is left out.
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
