"""How volumes are drawn: what numbers pass."""

from typing import Any

import pytest

from mrcontrast.errors import UsageError
from mrcontrast.inference.sampling_options import Draws


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"samples": 0}, "1 or more samples, got 0"),
        ({"noise_turn": -1}, "0 or more slices a turn of noise, got -1"),
        ({"temperature": -0.1}, r"temperature of 0 or more, got -0\.1"),
        ({"temperature": float("nan")}, "temperature of 0 or more, got nan"),
        ({"temperature": float("inf")}, "temperature of 0 or more, got inf"),
        ({"precision": "16"}, "32-true or bf16-mixed as precision, got 16"),
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Draws(**options)


def test_bounds_pass() -> None:
    Draws(samples=1, noise_turn=0, temperature=0)
