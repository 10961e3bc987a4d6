"""Phantom subjects as a source: drawn from seeds, nothing is read."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mrcontrast.errors import UsageError
from mrcontrast.phantom.config import PhantomConfig
from mrcontrast.phantom.subject import make_subject
from mrcontrast.preparation.session import Dropped, Entry, Remark
from mrcontrast.preparation.subject import PAIR, Subject, check_contrasts


@dataclass(frozen=True)
class PhantomPair:
    """One phantom subject that is still to be drawn; the same seed gives the same voxels."""

    seed: int
    config: PhantomConfig
    contrasts: tuple[str, ...] = PAIR

    def load(self) -> Subject:
        """Draw anatomy and scans."""
        drawn = make_subject(self.seed, self.config, self.contrasts)
        return Subject(
            drawn.images, drawn.brain_mask, drawn.lesion_mask, drawn.labels, tags=dict(drawn.tags)
        )

    @property
    def files(self) -> dict[str, Path]:
        """Nothing is read."""
        return {}

    def identity(self) -> dict[str, Any]:
        """Return all arguments."""
        return asdict(self)


class PhantomSubjects:
    """A number of phantom subjects; more of them leave the first ones as they are.

    Args:
        num_subjects: Number of subjects, >= 1.
        first_seed: Seed of the first; the others follow.
        config: Ranges to draw from.
        site: Name in the manifest.
        contrasts: Contrasts to draw, the reference first: "flair", "t1w", and keys of
            ``config.scanner.sequences.spin_echo``.
    """

    remarks: Sequence[Remark] = ()

    def __init__(
        self,
        num_subjects: int,
        first_seed: int,
        config: PhantomConfig,
        site: str = "phantom",
        contrasts: Sequence[str] = PAIR,
    ) -> None:
        if num_subjects < 1 or first_seed < 0:
            raise UsageError(
                f"Expected num_subjects >= 1 and first_seed >= 0, got {num_subjects} and "
                f"{first_seed} (phantom). Change them."
            )
        self.seeds = range(first_seed, first_seed + num_subjects)
        self.folders: list[str] = []
        self.wanted = f"{num_subjects} phantoms"
        self.config = config
        self.site = site
        self.contrasts = check_contrasts(contrasts)

    def index(self) -> tuple[list[Entry], list[Dropped]]:
        """Name the subjects by their seeds."""
        pairs = [PhantomPair(seed, self.config, self.contrasts) for seed in self.seeds]
        return [
            Entry(f"sub-{pair.seed:04d}", None, self.site, f"seed {pair.seed}", pair)
            for pair in pairs
        ], []
