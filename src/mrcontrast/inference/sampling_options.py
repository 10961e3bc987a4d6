"""How a model draws a volume: how often, from what noise, how precisely."""

import math
from dataclasses import dataclass

from mrcontrast.errors import UsageError

PRECISIONS = ("32-true", "bf16-mixed")  # by the names of Lightning


@dataclass(frozen=True)
class Draws:
    """Draws of a volume; a model without noise makes one image.

    Attributes:
        samples: Draws that are averaged, at least 1; the first has the noise of the seed.
        noise_turn: Slices over which the noise of a draw turns into other noise; 0 gives all
            slices the same; 2D only. The default was chosen in ``experiments/release``.
        temperature: Standard deviation of the noise that a draw starts from, at least 0; 1 as in
            training, below it draws lie nearer to each other and to what is most likely.
        precision: "32-true", or "bf16-mixed", which autocasts to bfloat16: faster where the
            hardware has units for it.

    Raises:
        UsageError: A number is out of range, or the precision is another.

    Source: A temperature below 1 is Kingma and Dhariwal 2018, "Glow", arXiv 1807.03039, section 6.
    """

    samples: int = 1
    noise_turn: int = 4
    temperature: float = 1.0
    precision: str = PRECISIONS[0]

    def __post_init__(self) -> None:
        if self.samples < 1:
            raise UsageError(f"Expected 1 or more samples, got {self.samples}.")
        if self.noise_turn < 0:
            raise UsageError(f"Expected 0 or more slices a turn of noise, got {self.noise_turn}.")
        if not 0 <= self.temperature < math.inf:
            raise UsageError(f"Expected a temperature of 0 or more, got {self.temperature:g}.")
        if self.precision not in PRECISIONS:
            known = " or ".join(PRECISIONS)
            raise UsageError(f"Expected {known} as precision, got {self.precision}. Choose one.")


ONE_DRAW = Draws()
