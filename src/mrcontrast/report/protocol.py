"""How an evaluation is done: what a paper would have to say about it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

RangeChoice = tuple[float, float] | Literal["reference"] | None


@dataclass(frozen=True)
class Protocol:
    """The choices of one evaluation.

    Attributes:
        intensity_range: (low, high), or "reference" for each reference's own percentiles; None
            takes (0, 1) if all references lie in it.
        reference_normaliser: Name of what brings raw references to [0, 1] in their masks, such as
            "percentile-0.5-99.5"; 0 outside. None takes them as they are stored.
        num_workers: Processes; 0 works in this one.
        features: A node of ``configs/features`` as plain values, or None for no measure that looks
            through a feature network; see ``mrcontrast.evaluate.read_features``.
        dims: 3 compares volumes; 2 each axial slice, of which a subject's figure is the mean.
    """

    intensity_range: RangeChoice = None
    reference_normaliser: str | None = None
    num_workers: int = 0
    features: Mapping[str, Any] | None = None
    dims: int = 3
