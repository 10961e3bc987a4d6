"""A recipe: sources of sessions, the operators on each, and the split."""

import traceback
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol

from mrcontrast.errors import MrcontrastError, UsageError, may_pass, one_line
from mrcontrast.preparation.duplicates import Deduplicate
from mrcontrast.preparation.operators.intensity import normaliser_of
from mrcontrast.preparation.operators.monai_transform import as_operator
from mrcontrast.preparation.outcome import Trail
from mrcontrast.preparation.pairs import escaped, with_content
from mrcontrast.preparation.selection import Select
from mrcontrast.preparation.session import BROKEN, FAULT, Dropped, Entry, Remark, Source
from mrcontrast.preparation.subject import Inspector, Operator, RefusedError, Subject
from mrcontrast.transforms.grid import ModelGrid
from mrcontrast.transforms.normalise import Normaliser, UnitNormaliser

SPACING_TOLERANCE_MM = 1e-3


class Split(Protocol):
    """Assigns sides of the split."""

    def assign(self, names: list[str], dropped: set[str], sites: dict[str, str]) -> dict[str, str]:
        """Return "train", "val" or "test" for each subject in ``names``."""
        ...


class Recipe:
    """Sources -> select -> operators, in order, for each session -> deduplicate -> split.

    Args:
        sources: Sources of sessions; a subject comes from one of them only.
        operators: All steps on one session, in order, those that inspect files first; MONAI's
            dictionary transforms are operators.
        grid: Grid of the data set: each session is on it in the end.
        normalisers: Normalisers of the data set, by contrast, "default" for all others.
        split: Sides of the split.
        select: Selects sessions by name before anything is read; None takes all.
        deduplicate: Compares the finished sessions with each other; None does not.
        seed: Seed of random operators.
    """

    def __init__(
        self,
        sources: list[Source],
        operators: list[Operator],
        grid: ModelGrid,
        normalisers: Mapping[str, Normaliser],
        split: Split,
        select: Select | None = None,
        deduplicate: Deduplicate | None = None,
        seed: int = 0,
    ) -> None:
        if not sources:
            raise UsageError("Expected at least one source, got none (recipe). Add one.")
        self.sources = sources
        self.operators = [as_operator(each, seed, place) for place, each in enumerate(operators)]
        self.grid = grid
        self.normalisers = normalisers
        self.split = split
        self.select = select
        self.deduplicate = deduplicate
        inspects = [isinstance(operator, Inspector) for operator in operators]
        if sorted(inspects, reverse=True) != inspects:
            late = type(operators[len(inspects) - 1 - inspects[::-1].index(True)]).__name__
            raise UsageError(
                f"Expected steps that inspect files to come first, got {late} after others "
                "(recipe.operators). Move it up."
            )

    @property
    def folders(self) -> list[str]:
        """Folders of raw data, which are never written to."""
        return [folder for source in self.sources for folder in source.folders]

    @property
    def identity(self) -> list[str]:
        """All steps with their arguments; equal lists give equal sessions."""
        looks = ["looks"] if self.compares_looks else []
        return [*(repr(operator) for operator in self.operators), *looks]

    @property
    def compares_looks(self) -> bool:
        """Whether the anatomy of each session must be kept in short."""
        return self.deduplicate is not None and self.deduplicate.same_person is not None

    def index(self) -> tuple[list[Entry], list[Dropped], list[Remark]]:
        """Return the sessions to prepare, those that cannot be, and remarks.

        MrcontrastError means that there is no session, or that a subject is found twice.
        """
        entries: list[Entry] = []
        dropped: list[Dropped] = []
        remarks: list[Remark] = []
        for source in self.sources:
            found, refused = source.index()
            entries += found
            dropped += refused
            remarks += [
                replace(remark, item=escaped(remark.item), text=escaped(remark.text))
                for remark in source.remarks
            ]
        if not entries and not dropped:
            wanted = "; ".join(source.wanted for source in self.sources)
            raise MrcontrastError(
                f"Expected sessions with images, got none ({wanted}). "
                "Check the folder and the names of its files."
            )
        if self.select is not None:
            entries, dropped = self.select.choose(entries, dropped)
        check_unique(entries)
        entries, without = with_content(entries)
        readable = [
            replace(
                item,
                subject=escaped(item.subject),
                session=item.session and escaped(item.session),
                reason=escaped(item.reason),
            )
            for item in [*dropped, *without]
        ]
        return entries, readable, remarks

    def apply(self, entry: Entry, trail: Trail | None = None) -> Subject | Dropped:
        """Load one session and apply all steps, or return the reason and the step that drops it.

        ``trail`` records the changes of each step. UsageError means that the recipe is at fault, so
        that every session would be.
        """
        trail = trail or Trail()
        step = type(entry.pair).__name__
        try:
            noted: dict[str, Any] = {}
            for operator in self.operators:
                if isinstance(operator, Inspector):
                    step = type(operator).__name__
                    noted |= operator.inspect(entry.pair.files)
            step = type(entry.pair).__name__
            subject = replace(entry.pair.load(), name=entry.name)
            subject.measures |= noted
            for name, volume in subject.images.items():
                steps_mm = [float(f"{step_mm:.4g}") for step_mm in volume.spacing_mm]
                subject.tags[f"{name}_spacing_mm"] = steps_mm
            trail(step, subject)
            for operator in self.operators:
                step = type(getattr(operator, "transform", operator)).__name__
                subject = operator(subject)
                trail(step, subject)
            step = type(self).__name__
            self._check_promises(subject)
        except UsageError:
            raise
        except MrcontrastError as error:
            return _dropped(entry, step, error)
        except Exception as error:  # one broken session must not end the run of the others
            return broken(entry, step, error)
        return subject

    def _check_promises(self, subject: Subject) -> None:
        """Refuse a session without the normalisers (UsageError) or the grid of the recipe."""
        names = {key: fitted.name for key, fitted in subject.normalisers.items()}
        maps = {key: name for key, name in names.items() if name == UnitNormaliser().name}
        others = subject.images.keys() - maps.keys()
        promised = maps | {key: normaliser_of(self.normalisers, key).name for key in others}
        if names != promised:
            raise UsageError(
                f"Expected intensities normalised by {promised}, got {names or 'raw ones'} "
                "(recipe). Put Normalise with recipe.normalisers into recipe.operators."
            )
        for volume in subject.images.values():
            spacing = max(abs(step - self.grid.spacing_mm) for step in volume.spacing_mm)
            if volume.shape != self.grid.shape or spacing > SPACING_TOLERANCE_MM:
                found = f"{volume.shape} of {volume.spacing_mm}"
                promised_grid = f"{self.grid.shape} of {self.grid.spacing_mm} mm"
                raise RefusedError(
                    f"Expected {promised_grid}, got {found}. Put ToGrid into recipe.operators, "
                    "or change recipe.grid.",
                    "grid",
                    found,
                    promised_grid,
                )


def check_unique(entries: list[Entry]) -> None:
    """Raise MrcontrastError for a session found twice or a subject found in two data sets."""
    origins: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        for earlier in origins[entry.subject]:
            if earlier.session == entry.session or earlier.site != entry.site:
                raise MrcontrastError(
                    f"Expected each subject once, got {entry.subject} twice ({earlier.origin} "
                    f"and {entry.origin}). Rename one, or leave one out."
                )
        origins[entry.subject].append(entry)


def _dropped(entry: Entry, step: str, error: MrcontrastError) -> Dropped:
    """Return the row of a session with a fault."""
    if isinstance(error, RefusedError):
        found = (error.measure, error.value, error.threshold)
        return Dropped(entry.subject, entry.session, step, str(error), *found)
    kind = BROKEN if may_pass(error.__cause__) else FAULT
    named = "/" in str(error) or entry.origin in str(error)
    reason = str(error) if named else f"{error} ({entry.origin})"
    return Dropped(entry.subject, entry.session, step, reason, kind=kind)


def broken(entry: Entry, step: str, error: Exception) -> Dropped:
    """Return the row of a session that broke an operator, with the line of code."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    message = one_line(error, most=300)
    reason = (
        f"Expected an operator that works, got {type(error).__name__}: {message} "
        f"({place.filename}, line {place.lineno}). Report it or leave {entry.name} out."
    )
    return Dropped(entry.subject, entry.session, step, reason, kind=BROKEN)
