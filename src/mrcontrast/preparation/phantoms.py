"""Phantom subjects as a source: drawn from seeds, nothing is read."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mrcontrast.errors import UsageError
from mrcontrast.phantom.config import PhantomConfig
from mrcontrast.phantom.subject import make_subject
from mrcontrast.preparation.subject import Dropped, Entry, Remark, Subject


@dataclass(frozen=True)
class PhantomPair:
    """One phantom subject that is still to be drawn.

    Attributes:
        seed: Same seed, same voxels.
        config: Ranges to draw from.
    """

    seed: int
    config: PhantomConfig

    def load(self) -> Subject:
        """Draw anatomy and scans."""
        drawn = make_subject(self.seed, self.config)
        return Subject(
            flair=drawn.flair,
            t1w=drawn.t1w,
            brain_mask=drawn.brain_mask,
            lesion_mask=drawn.lesion_mask,
            labels=drawn.labels,
            tags=dict(drawn.tags),
        )

    @property
    def files(self) -> dict[str, Path]:
        """Nothing is read."""
        return {}

    def identity(self) -> dict[str, Any]:
        """Return seed and ranges."""
        return {"seed": self.seed, "config": asdict(self.config)}


class PhantomSubjects:
    """As many phantom subjects as wanted; more of them leave the first ones as they are.

    Args:
        num_subjects: How many, >= 1.
        first_seed: Seed of the first; the others follow.
        config: Ranges to draw from.
        site: Name in the manifest.
    """

    remarks: Sequence[Remark] = ()

    def __init__(
        self, num_subjects: int, first_seed: int, config: PhantomConfig, site: str = "phantom"
    ) -> None:
        if num_subjects < 1 or first_seed < 0:
            raise UsageError(
                f"Expected num_subjects >= 1 and first_seed >= 0, got {num_subjects} and "
                f"{first_seed} (phantom). Change them."
            )
        self.seeds = range(first_seed, first_seed + num_subjects)
        self.config = config
        self.site = site

    @property
    def folders(self) -> list[str]:
        """No raw data."""
        return []

    @property
    def wanted(self) -> str:
        """What is drawn, in words."""
        return f"{len(self.seeds)} phantoms"

    def index(self) -> tuple[list[Entry], list[Dropped]]:
        """Name the subjects by their seeds."""
        return [
            Entry(
                f"sub-{seed:04d}", None, self.site, f"seed {seed}", PhantomPair(seed, self.config)
            )
            for seed in self.seeds
        ], []
