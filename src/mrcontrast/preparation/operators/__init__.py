"""Steps on one session, each a small class; a recipe lists them in order."""

from mrcontrast.preparation.operators.alignment import CheckAlignment
from mrcontrast.preparation.operators.bias import CorrectBias
from mrcontrast.preparation.operators.geometry import CropOrPad, CutBlock, Reorient, Resample
from mrcontrast.preparation.operators.grid import ToGrid
from mrcontrast.preparation.operators.headers import CheckHeader
from mrcontrast.preparation.operators.masks import BrainMask, SkullStrip, brain_of
from mrcontrast.preparation.operators.measures import (
    MeasureGeometry,
    MeasureQuality,
    MeasureVolumes,
)
from mrcontrast.preparation.operators.normalise import Normalise
from mrcontrast.preparation.operators.registration import Register, ToMni
from mrcontrast.preparation.operators.require import Require

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
    "brain_of",
]
