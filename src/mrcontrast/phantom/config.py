"""Ranges that phantom subjects are drawn from, with the unit in each name.

A range is two numbers, (lowest, highest), drawn from uniformly; lists from YAML are fine.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from numbers import Real
from types import NoneType

from mrcontrast.errors import UsageError


def check_ranges(config: object, names: Sequence[str]) -> None:
    """Raise UsageError unless each named field is (lowest, highest)."""
    for name in names:
        value = getattr(config, name)
        numbers = not isinstance(value, str) and all(isinstance(limit, Real) for limit in value)
        if not (numbers and len(value) == 2 and value[0] <= value[1]):
            raise UsageError(
                f"Expected {name} to be [lowest, highest], got {value} "
                f"({type(config).__name__}). Correct the config."
            )


def check_thickness(config: object, name: str) -> None:
    """Raise UsageError unless a field of ``config`` is None, a number or (lowest, highest)."""
    if not isinstance(getattr(config, name), (Real, NoneType)):
        check_ranges(config, [name])


def between(limits: Sequence[float], place: float) -> float:
    """Return the value at ``place``, 0 to 1, between lowest and highest.

    >>> between((2.0, 4.0), 0.25)
    2.5
    """
    return limits[0] + place * (limits[1] - limits[0])


@dataclass(frozen=True)
class AnatomyRanges:
    """Shape of the brain.

    Attributes:
        size_scale: Size of the brain against the template, each axis drawn on its own.
        rotation_deg: Rotation about each axis (degrees).
        deformation_mm: Standard deviation of the displacement (mm), one for each scale.
        deformation_scale_mm: Smoothness of the displacement (mm), one for each scale.
        ventricle_growth_mm: Outward shift of the ventricles' walls (mm), negative to shrink them;
            rises with atrophy.
        sulcal_csf: Log odds added to CSF against cortex; rises with atrophy.
        boundary_noise: Standard deviation of fine random log odds that reshape each boundary.
        cortex_softness: Temperature of the template's probabilities: 1 as they are, 0 binary.
    """

    size_scale: Sequence[float] = (0.94, 1.06)
    rotation_deg: Sequence[float] = (-4.0, 4.0)
    deformation_mm: Sequence[float] = (3.2, 1.6)
    deformation_scale_mm: Sequence[float] = (22.0, 8.0)
    ventricle_growth_mm: Sequence[float] = (-1.0, 4.0)
    sulcal_csf: Sequence[float] = (-0.3, 1.2)
    boundary_noise: float = 0.6
    cortex_softness: float = 0.35

    def __post_init__(self) -> None:
        check_ranges(self, ["size_scale", "rotation_deg", "ventricle_growth_mm", "sulcal_csf"])
        if len(self.deformation_mm) != len(self.deformation_scale_mm):
            raise UsageError(
                "Expected as many deformation_mm as deformation_scale_mm, got "
                f"{len(self.deformation_mm)} and {len(self.deformation_scale_mm)} "
                "(AnatomyRanges). Give one of each for every scale."
            )


@dataclass(frozen=True)
class LesionRanges:
    """White-matter lesions.

    Attributes:
        count: How many lesions; rises with atrophy.
        diameter_mm: Mean diameter of a lesion (mm), small ones more often than large ones.
        periventricular_fraction: Share at the ventricles, in [0, 1]; the rest is
            deep white matter.
    """

    count: Sequence[int] = (0, 30)
    diameter_mm: Sequence[float] = (2.0, 12.0)
    periventricular_fraction: float = 0.6

    def __post_init__(self) -> None:
        check_ranges(self, ["count", "diameter_mm"])


@dataclass(frozen=True)
class SpinEchoRanges:
    """Settings of one turbo spin echo: TR, effective TE, and the thickness of axial slices.

    The thickness is a range or one for all; None is a 3D scan.
    """

    tr_ms: Sequence[float]
    te_ms: Sequence[float]
    slice_thickness_mm: Sequence[float] | float | None = None

    def __post_init__(self) -> None:
        check_ranges(self, ["tr_ms", "te_ms"])
        check_thickness(self, "slice_thickness_mm")


SPIN_ECHO = {
    "t2w": SpinEchoRanges((3000.0, 6000.0), (85.0, 105.0)),
    "pd": SpinEchoRanges((3000.0, 6000.0), (8.0, 15.0)),
}


@dataclass(frozen=True)
class SequenceRanges:
    """Settings of MPRAGE (T1w), FLAIR, and a turbo spin echo for every other contrast.

    Attributes:
        mprage_tr_ms: From inversion to inversion (ms).
        mprage_ti_ms: From inversion to the middle of the train (ms).
        mprage_flip_deg: Flip angle of each excitation (degrees).
        mprage_echo_spacing_ms: From excitation to excitation (ms).
        flair_tr_ms: From inversion to inversion (ms).
        flair_te_ms: Effective echo time (ms).
        flair_nulled_t1_ms: T1 of the CSF that the inversion time nulls (ms); the subject's own
            differs, so that CSF keeps some signal.
        spin_echo: Turbo spin echoes by contrast; a further contrast needs an entry here.

    Source: MPRAGE: Jack et al. 2008, JMRI 27:685 (ADNI), ranges round its TR, TI and flip angle,
    echo spacing of our own. FLAIR: Aalten et al. 2014, BMC Neurology 14:254, box 2, but TE from 90
    ms. T2w and PDw: echo times of Jack et al. 2008, and also longer TR, alike at 1.5 and 3 T.
    """

    mprage_tr_ms: Sequence[float] = (2200.0, 2500.0)
    mprage_ti_ms: Sequence[float] = (900.0, 1000.0)
    mprage_flip_deg: Sequence[float] = (8.0, 9.0)
    mprage_echo_spacing_ms: Sequence[float] = (6.5, 8.0)
    flair_tr_ms: Sequence[float] = (8000.0, 11000.0)
    flair_te_ms: Sequence[float] = (90.0, 130.0)
    flair_nulled_t1_ms: Sequence[float] = (3900.0, 4450.0)
    spin_echo: Mapping[str, SpinEchoRanges] = field(default_factory=SPIN_ECHO.copy)

    def __post_init__(self) -> None:
        check_ranges(self, [part.name for part in fields(self) if part.name != "spin_echo"])


@dataclass(frozen=True)
class ScannerRanges:
    """Scanner and its artefacts.

    Attributes:
        field_strengths_t: Field strengths to choose from (T); 1.5 and 3.0 are known.
        sequences: Settings of the sequences.
        tissue_spread: Width of the ranges of T1, T2 and proton density against the published ones,
            about their middles; above 1 tissues may change order.
        snr: White matter's signal over the standard deviation of the noise.
        bias_amplitude: Standard deviation of the log of the bias field.
        bias_scale_mm: Smoothness of the bias field (mm).
        texture: Standard deviation of the log of T1 and of T2 within a tissue.
        blur_mm: Width (mm, full width at half maximum) of the point spread beyond the voxel, of
            each contrast its own.
        flair_slice_thickness_mm: Thickness of the axial FLAIR slices (mm), drawn from a range or
            one for all; None for a 3D FLAIR.
    """

    field_strengths_t: Sequence[float] = (1.5, 3.0)
    sequences: SequenceRanges = field(default_factory=SequenceRanges)
    tissue_spread: float = 1.0
    snr: Sequence[float] = (30.0, 60.0)
    bias_amplitude: Sequence[float] = (0.05, 0.15)
    bias_scale_mm: float = 50.0
    texture: float = 0.03
    blur_mm: Sequence[float] = (0.0, 0.0)
    flair_slice_thickness_mm: Sequence[float] | float | None = None

    def __post_init__(self) -> None:
        check_ranges(self, ["snr", "bias_amplitude", "blur_mm"])
        check_thickness(self, "flair_slice_thickness_mm")
        if self.tissue_spread < 0 or min(self.blur_mm) < 0:
            raise UsageError(
                f"Expected tissue_spread and blur_mm >= 0, got {self.tissue_spread} and "
                f"{self.blur_mm} (ScannerRanges). Correct the config."
            )


@dataclass(frozen=True)
class PhantomConfig:
    """All ranges, and the voxels.

    Attributes:
        spacing_mm: Size of the cubic voxels (mm), 12 mm over a whole number.
        anatomy_spacing_mm: Largest voxel (mm) on which tissue is drawn before it is averaged to
            ``spacing_mm``; 2.0 is four times faster than 1.0, and smoother.
    """

    spacing_mm: float = 2.0
    anatomy_spacing_mm: float = 1.0
    anatomy: AnatomyRanges = field(default_factory=AnatomyRanges)
    lesions: LesionRanges = field(default_factory=LesionRanges)
    scanner: ScannerRanges = field(default_factory=ScannerRanges)

    def __post_init__(self) -> None:
        for name in ("spacing_mm", "anatomy_spacing_mm"):
            if getattr(self, name) <= 0:
                raise UsageError(
                    f"Expected {name} > 0, got {getattr(self, name)} (PhantomConfig). "
                    "Correct the config."
                )
