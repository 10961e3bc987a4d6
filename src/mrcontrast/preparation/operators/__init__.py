"""Steps on one session, each a small class; a recipe lists them in order."""

from mrcontrast.preparation.operators.checks import (
    CheckAlignment,
    CheckHeader,
    MeasureGeometry,
    MeasureQuality,
    MeasureVolumes,
    Require,
)
from mrcontrast.preparation.operators.derived import AsContrast, Edges
from mrcontrast.preparation.operators.geometry import CutBlock, ToGrid
from mrcontrast.preparation.operators.intensity import BrainMask, CorrectBias, Normalise, SkullStrip
from mrcontrast.preparation.operators.registration import Register, ToMni

__all__ = [
    "AsContrast",
    "BrainMask",
    "CheckAlignment",
    "CheckHeader",
    "CorrectBias",
    "CutBlock",
    "Edges",
    "MeasureGeometry",
    "MeasureQuality",
    "MeasureVolumes",
    "Normalise",
    "Register",
    "Require",
    "SkullStrip",
    "ToGrid",
    "ToMni",
]
