"""A recipe: where sessions come from, what is done to each, and who stands on which side."""

from collections import defaultdict
from typing import Protocol

from mrcontrast.errors import MrcontrastError, UsageError
from mrcontrast.preparation.operators import MeasureVolumes, Normalise, ToGrid
from mrcontrast.preparation.subject import Dropped, Entry, Operator, Source, Subject
from mrcontrast.transforms.grid import ModelGrid
from mrcontrast.transforms.normalise import PercentileNormaliser


class Split(Protocol):
    """Decides who stands on which side."""

    def assign(self, names: list[str], dropped: set[str]) -> dict[str, str]:
        """Give each subject of ``names`` one of "train", "val" and "test"."""
        ...


class Recipe:
    """Sources -> operators, in order -> grid -> normalise -> measure, for each session.

    Args:
        sources: Where sessions come from; a subject comes from one of them only.
        operators: Steps on the raw grid, in order; one of them finds the brain mask.
        grid: The same for all subjects.
        normaliser_flair: Scales the FLAIR.
        normaliser_t1w: Scales the T1w.
        split: Who stands on which side.

    Raises:
        UsageError: There is no source.
    """

    def __init__(
        self,
        sources: list[Source],
        operators: list[Operator],
        grid: ModelGrid,
        normaliser_flair: PercentileNormaliser,
        normaliser_t1w: PercentileNormaliser,
        split: Split,
    ) -> None:
        if not sources:
            raise UsageError("Expected at least one source, got none (recipe). Add one.")
        self.sources = sources
        self.split = split
        self.operators: list[Operator] = [
            *operators,
            ToGrid(grid),
            Normalise(normaliser_flair, normaliser_t1w),
            MeasureVolumes(),
        ]

    @property
    def folders(self) -> list[str]:
        """Folders of raw data, which are never written to."""
        return [folder for source in self.sources for folder in source.folders]

    def index(self) -> tuple[list[Entry], list[Dropped]]:
        """Find all sessions.

        Raises:
            MrcontrastError: There is none, or a subject's name stands for several people.
        """
        entries: list[Entry] = []
        dropped: list[Dropped] = []
        for source in self.sources:
            found, refused = source.index()
            entries += found
            dropped += refused
        if not entries and not dropped:
            where = ", ".join(self.folders) or "sources"
            raise MrcontrastError(
                f"Expected pairs of FLAIR and T1w, got none ({where}). "
                "Check the folder and the names of its files."
            )
        check_unique(entries)
        return entries, dropped

    def apply(self, entry: Entry) -> Subject | Dropped:
        """Load one session and take it through all steps.

        Returns:
            The session, or why it is dropped and by which step.

        Raises:
            UsageError: The recipe itself is at fault, so every session would be.
        """
        step = type(entry.pair).__name__
        try:
            subject = entry.pair.load()
            for operator in self.operators:
                step = type(operator).__name__
                subject = operator(subject)
        except UsageError:
            raise
        except MrcontrastError as error:
            return Dropped(entry.subject, entry.session, step, str(error))
        return subject


def check_unique(entries: list[Entry]) -> None:
    """Refuse a session found twice and a subject found in two data sets.

    Raises:
        MrcontrastError: Both origins are named.
    """
    origins: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        for earlier in origins[entry.subject]:
            if earlier.session == entry.session or earlier.site != entry.site:
                raise MrcontrastError(
                    f"Expected each subject once, got {entry.subject} twice ({earlier.origin} "
                    f"and {entry.origin}). Rename one, or leave one out."
                )
        origins[entry.subject].append(entry)
