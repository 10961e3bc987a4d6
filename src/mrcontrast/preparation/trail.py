"""What each operator did to a session, in numbers: the rows of ``measures.tsv``."""

from dataclasses import dataclass

import numpy as np

from mrcontrast.preparation.subject import Subject

PERCENTILES = (1, 50, 99)
Value = str | float


@dataclass(frozen=True)
class Change:
    """One measure that an operator made or changed.

    Attributes:
        step: Place of the operator in the list; 0 is the load.
        operator: Its class.
        measure: What was measured.
        before: None where it was not known.
        after: None where it is not known any more.
    """

    step: int
    operator: str
    measure: str
    before: Value | None
    after: Value | None


class Trail:
    """Compares a session before and after each operator.

    Attributes:
        changes: What has changed so far, in order.
        last: The session after the last operator that succeeded, None before it is loaded.
    """

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self.last: Subject | None = None
        self._state: dict[str, Value] = {}
        self._known: dict[int, tuple[object, dict[str, Value]]] = {}
        self._step = 0

    def __call__(self, operator: str, subject: Subject) -> None:
        """Note what ``operator`` has made of the session."""
        state = self._measure(subject)
        for name in [*state, *(name for name in self._state if name not in state)]:
            before, after = self._state.get(name), state.get(name)
            if before != after:
                self.changes.append(Change(self._step, operator, name, before, after))
        self._state, self.last = state, subject
        self._step += 1

    def _measure(self, subject: Subject) -> dict[str, Value]:
        """Return what is known of a session now."""
        state: dict[str, Value] = {}
        for name, volume in subject.images.items():
            grid = {
                "shape": "x".join(map(str, volume.shape)),
                "spacing_mm": "x".join(f"{step:.4g}" for step in volume.spacing_mm),
                "orientation": volume.orientation,
                "origin_mm": ",".join(f"{place:.2f}" for place in volume.affine[:3, 3]),
            }
            state |= {f"{name}_{key}": value for key, value in grid.items()}
            state |= {f"{name}_{k}": v for k, v in self._intensities(volume.data).items()}
        for name in ("brain_mask", "lesion_mask"):
            mask = getattr(subject, name)
            if mask is not None:
                state[f"{name}_voxels"] = int(mask.sum())
        return state | subject.measures

    def _intensities(self, data: np.ndarray) -> dict[str, Value]:
        """Return extremes, mean and percentiles of an array; those of one seen before are kept."""
        known: tuple[object, dict[str, Value]] = self._known.get(id(data), (None, {}))
        if known[0] is not data:
            values = [data.min(), data.max(), data.mean(dtype=np.float64)]
            names = ["min", "max", "mean", *(f"p{share}" for share in PERCENTILES)]
            values += list(np.percentile(data[::2, ::2, ::2], PERCENTILES))
            pairs = zip(names, values, strict=True)
            known = (data, {name: float(f"{value:.6g}") for name, value in pairs})
            self._known = dict([*list(self._known.items())[-1:], (id(data), known)])
        return known[1]
