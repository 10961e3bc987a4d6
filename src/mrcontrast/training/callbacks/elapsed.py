"""Measure the time of a training, its parts before a stop included."""

import time
from typing import Any

from lightning import Callback


class Elapsed(Callback):
    """Count seconds from now on, and those of earlier parts that a checkpoint tells of."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.before = 0.0

    def seconds(self) -> float:
        """Return the seconds of all parts."""
        return self.before + time.monotonic() - self.began

    def state_dict(self) -> dict[str, Any]:
        """Return the seconds so far."""
        return {"seconds": self.seconds()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from there; the time of loading counts too."""
        self.before = state_dict["seconds"]
