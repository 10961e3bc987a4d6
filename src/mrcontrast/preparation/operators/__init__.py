"""Steps on one session, each a small class; a recipe lists them in order."""

from mrcontrast.preparation.operators.checks import CheckAlignment, CheckHeader, Require
from mrcontrast.preparation.operators.geometry import (
    CropOrPad,
    CutBlock,
    Reorient,
    Resample,
    ToGrid,
)
from mrcontrast.preparation.operators.intensity import CorrectBias, Normalise
from mrcontrast.preparation.operators.masks import BrainMask, SkullStrip
from mrcontrast.preparation.operators.measures import (
    MeasureGeometry,
    MeasureQuality,
    MeasureVolumes,
)
from mrcontrast.preparation.operators.registration import Register, ToMni

__all__ = [
    "BrainMask",
    "CheckAlignment",
    "CheckHeader",
    "CorrectBias",
    "CropOrPad",
    "CutBlock",
    "MeasureGeometry",
    "MeasureQuality",
    "MeasureVolumes",
    "Normalise",
    "Register",
    "Reorient",
    "Require",
    "Resample",
    "SkullStrip",
    "ToGrid",
    "ToMni",
]
