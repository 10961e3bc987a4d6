"""Relaxation times and proton densities, drawn for each subject from published ranges."""

from dataclasses import dataclass

import numpy as np

from mrcontrast.errors import UsageError

TISSUES = ("csf", "cortex", "deep_gm", "wm", "lesion")
"""What a voxel can be made of, in this order everywhere."""

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
    """Properties of each of `TISSUES`, in their order.

    Attributes:
        t1_ms: (5,), float64, longitudinal relaxation time (ms).
        t2_ms: (5,), float64, transverse relaxation time (ms).
        proton_density: (5,), float64, against water.
    """

    t1_ms: np.ndarray
    t2_ms: np.ndarray
    proton_density: np.ndarray


def draw_relaxation(
    rng: np.random.Generator, field_strength_t: float, spread: float = 1.0
) -> Relaxation:
    """Draw the properties of one subject's tissues.

    Two thirds of a value's place in its range is common to all tissues of the subject (age,
    temperature, calibration), one third its own.

    Args:
        rng: Source of randomness.
        field_strength_t: 1.5 or 3.0 (T).
        spread: Width of the ranges against ours, about their middles.

    Raises:
        UsageError: No ranges are known at this field strength.

    Source:
        T1 of WM and cortex: Wright et al. 2008, MAGMA 21:121; Wansapura et al. 1999, JMRI 9:531.
        T2 of both: Stanisz et al. 2005, MRM 54:507 (excised tissue; its T1 is longer). CSF: Rooney
        et al. 2007, MRM 57:308 (T1); Spijkerman et al. 2018, MAGMA 31:415 (T2). Proton density:
        Oros-Peusquens et al. 2019, Front Neurol 10:1333. Lesions: Stevenson et al. 2000, J Neurol
        Sci 178:81. Ours are ranges near their means, so narrow that T1 and proton density keep the
        order CSF, cortex, deep GM, WM; deep GM is one tissue here, and lies between the striatum
        (Wright et al. 2008) and the shorter thalamus and pallidum.
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
