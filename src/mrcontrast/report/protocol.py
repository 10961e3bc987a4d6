"""How an evaluation is done: what a paper would have to say about it."""

from dataclasses import dataclass
from typing import Literal

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
    """

    intensity_range: RangeChoice = None
    reference_normaliser: str | None = None
    num_workers: int = 0
