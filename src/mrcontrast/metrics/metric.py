"""A metric as an object: its name, its direction, its description and its function."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self, get_args

import numpy as np

from mrcontrast.errors import MrcontrastError
from mrcontrast.metrics.multiscale import SimilarityPyramid
from mrcontrast.metrics.voxelwise import check_pair

Per = Literal["region", "brain", "lesion"]
NAME = re.compile(r"[a-z][a-z0-9_.]*")
FACTS = ("title", "unit", "better", "digits", "per", "group", "in_tables")


@dataclass(frozen=True)
class Pair:
    """A synthetic and a real image over one region: the argument of a metric.

    Attributes:
        prediction: Synthetic image, (*S), in the units of the target; not clipped.
        target: Real image on the same grid, (*S).
        mask: Voxels of the region, (*S) bool, not empty; None for the whole image.
        intensity_range: Lower and upper end, in the units of the images.
        similarity: SSIM maps of the two images, shared by all regions.
    """

    prediction: np.ndarray
    target: np.ndarray
    mask: np.ndarray | None
    intensity_range: tuple[float, float]
    similarity: SimilarityPyramid

    def __post_init__(self) -> None:
        check_pair(self.prediction, self.target, self.mask)

    @property
    def data_range(self) -> float:
        """Width of the intensity range."""
        return self.intensity_range[1] - self.intensity_range[0]

    @property
    def voxels(self) -> tuple[np.ndarray, np.ndarray]:
        """Intensities of prediction and target in the region, (N,) each."""
        if self.mask is None:
            return self.prediction.ravel(), self.target.ravel()
        return self.prediction[self.mask], self.target[self.mask]


@dataclass(frozen=True)
class Metric:
    """One metric of an evaluation: tables, statistics and the report follow from it.

    Attributes:
        name: Key in results, such as "psnr"; lower case.
        title: Column heading.
        description: Definition, for readers who compute the same value elsewhere.
        function: From a ``Pair`` to a number, or None where there is no value. None for a metric
            that is only displayed.
        unit: Unit; empty for a pure number.
        better: "higher", "lower", the ideal value, or None for a metric that only describes.
        digits: Decimals in a table.
        per: "region" for one value a region, with ``--dims 2`` the mean over axial slices; "brain"
            or "lesion" for one value a volume, always in 3D, over that region.
        targets: Target contrasts that the metric holds for, such as ("t1w",); empty for all.
        group: Table of the report that it stands in.
        in_tables: Whether the short tables (summary.md, terminal) show it.
        details: Further facts of the definition for summary.json.

    Raises:
        MrcontrastError: A value is out of its range.

    Example:
        >>> Metric("psnr", "PSNR", "...", unit="dB", better="higher").heading
        'PSNR (dB) ↑'
    """

    name: str
    title: str
    description: str
    function: Callable[[Any], float | None] | None = None
    unit: str = ""
    better: Literal["higher", "lower"] | float | None = None
    digits: int = 3
    per: Per = "region"
    targets: tuple[str, ...] = ()
    group: str = ""
    in_tables: bool = True
    details: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        computed = self.function is not None  # a summary from elsewhere may have any names
        is_name = isinstance(self.name, str) and bool(not computed or NAME.fullmatch(self.name))
        is_number = isinstance(self.better, int | float) and not isinstance(self.better, bool)
        has_direction = is_number or self.better in ("higher", "lower", None)
        sorts = get_args(Per)
        rules = (
            ("name of lower-case letters, digits and _", self.name, is_name),
            ("better: higher, lower, a number or null", self.better, has_direction),
            (f"per: {', '.join(sorts)}", self.per, self.per in sorts),
            ("digits: 0 to 12", self.digits, self.digits in range(13)),
        )
        for wanted, value, fits in rules:
            if not fits:
                raise MrcontrastError(
                    f"Expected {wanted}, got {value} (metric {self.name}). Correct the metric."
                )

    @classmethod
    def from_facts(cls, name: str, facts: Mapping[str, Any]) -> Self:
        """Return a metric for display from its entry in summary.json."""
        known = {key: facts[key] for key in FACTS if key in facts}
        title = {"title": name.replace("_", " ")}
        return cls(name=name, description=str(facts.get("definition", "")), **title | known)

    @property
    def facts(self) -> dict[str, Any]:
        """The entry in summary.json."""
        shown = {key: getattr(self, key) for key in FACTS}
        return {**shown, "definition": self.description, **self.details}

    @property
    def heading(self) -> str:
        """Title and unit, with an arrow to the better side or to the ideal value."""
        heading = f"{self.title} ({self.unit})" if self.unit else self.title
        if self.better is None:
            return heading
        arrows = {"higher": "↑", "lower": "↓"}
        return f"{heading} {arrows.get(str(self.better)) or f'→ {self.better:g}'}"

    def __call__(self, pair: Pair) -> float | None:
        """Return the value of one pair, or None where there is none.

        Raises:
            MrcontrastError: The function returns something else.
        """
        assert self.function is not None
        value = self.function(pair)
        try:
            return None if value is None else float(value)
        except (TypeError, ValueError) as error:
            raise MrcontrastError(
                f"Expected a number from the metric {self.name}, got {type(value).__name__}. "
                "Return one number or None."
            ) from error

    def holds_for(self, target: str) -> bool:
        """Return whether the metric is defined for a target contrast, such as "t1w"."""
        return not self.targets or target in self.targets

    def badness(self, values: np.ndarray) -> np.ndarray:
        """Return numbers that are lower where ``values`` (N,) of this metric are better.

        >>> Metric("ratio", "Ratio", "...", better=1.0).badness(np.array([0.5, 1.25]))
        array([0.5 , 0.25])
        """
        if isinstance(self.better, int | float):
            return np.abs(values - self.better)
        return -values if self.better == "higher" else values
