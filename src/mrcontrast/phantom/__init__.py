"""The embedded data set: subjects made from an average brain and the physics of MR."""

from mrcontrast.phantom.config import AnatomyRanges, LesionRanges, PhantomConfig, ScannerRanges
from mrcontrast.phantom.subject import PhantomSubject, make_subject

__all__ = [
    "AnatomyRanges",
    "LesionRanges",
    "PhantomConfig",
    "PhantomSubject",
    "ScannerRanges",
    "make_subject",
]
