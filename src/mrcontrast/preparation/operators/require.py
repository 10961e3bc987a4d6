"""The filter: a session stays if a number that was measured lies within bounds."""

from dataclasses import dataclass

from mrcontrast.errors import UsageError
from mrcontrast.preparation.subject import RefusedError, Subject


@dataclass(frozen=True)
class Require:
    """Drop sessions whose measure lies outside bounds.

    Attributes:
        measure: Name of what an operator before has measured, such as "flair_snr".
        least: Lowest value that stays; None: no bound.
        most: Highest value that stays; None: no bound.

    Raises:
        UsageError: There is no bound.
    """

    measure: str
    least: float | None = None
    most: float | None = None

    def __post_init__(self) -> None:
        if self.least is None and self.most is None:
            raise UsageError(
                f"Expected a bound, got none (Require {self.measure}). Give least or most."
            )

    def __call__(self, subject: Subject) -> Subject:
        """Return the session as it is.

        Raises:
            RefusedError: The measure lies outside the bounds.
            UsageError: Nothing of that name has been measured.
        """
        if self.measure not in subject.measures:
            known = ", ".join(sorted(subject.measures)) or "nothing"
            raise UsageError(
                f"Expected a measure among {known}, got {self.measure} (Require). "
                "Measure it with an operator before."
            )
        value = float(subject.measures[self.measure])
        if self.least is not None and not value >= self.least:
            raise self._refusal(value, f">= {self.least:g}")
        if self.most is not None and not value <= self.most:
            raise self._refusal(value, f"<= {self.most:g}")
        return subject

    def _refusal(self, value: float, threshold: str) -> RefusedError:
        text = f"Expected {self.measure} {threshold}, got {value:.4g}. Look at the scan."
        return RefusedError(text, self.measure, value, threshold)
