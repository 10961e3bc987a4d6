"""Splits by site, in folds, by lists that stand in files, and none at all."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mrcontrast.data.splits import NOWHERE, SPLITS, FixedSplit, Sites
from mrcontrast.errors import MrcontrastError, UsageError


@dataclass(frozen=True)
class SiteSplit:
    """Names of sites on one side each: what a model does on a scanner that it has not seen."""

    train: Sequence[str]
    val: Sequence[str]
    test: Sequence[str]

    def assign(
        self, names: Sequence[str], dropped: Collection[str] = (), sites: Sites = NOWHERE
    ) -> dict[str, str]:
        """Give each subject the side of its site.

        UsageError: a site stands in two lists; MrcontrastError: a subject's site stands in none, or
        train or test has no subject.
        """
        listed = {side: list(getattr(self, side)) for side in SPLITS}
        side_of = {site: side for side, part in listed.items() for site in part}
        if len(side_of) < sum(map(len, listed.values())):
            raise UsageError(f"Expected each site in one list, got {listed} (split). Correct it.")
        if strange := sorted({sites[name] for name in names} - set(side_of)):
            raise MrcontrastError(
                f"Expected the site of each subject in a list, got {', '.join(strange)} (split). "
                "Add it to train, val or test."
            )
        sides = {name: side_of[sites[name]] for name in names}
        _need_both(sides)
        return sides


@dataclass(frozen=True)
class FoldSplit:
    """One fold of a cross-validation: each subject is tested in exactly one of them."""

    folds: int  # how many, >= 2
    fold: int  # which one, 0 to folds - 1
    val: float = 0.0  # share of the subjects outside the fold to validate on, in [0, 1)
    seed: int = 0  # of the shuffle, >= 0; the same for all folds

    def __post_init__(self) -> None:
        if self.folds < 2 or not 0 <= self.fold < self.folds or not 0 <= self.val < 1:
            raise UsageError(
                f"Expected folds >= 2, fold below it and 0 <= val < 1, got {self.folds}, "
                f"{self.fold} and {self.val} (split). Change them."
            )

    def assign(
        self, names: Sequence[str], dropped: Collection[str] = (), sites: Sites = NOWHERE
    ) -> dict[str, str]:
        """Split the subjects, at least one a fold; the folds' sizes differ by one at most."""
        if len(names) < self.folds:
            raise MrcontrastError(
                f"Expected at least {self.folds} subjects, one a fold, got {len(names)}. "
                "Lower recipe.split.folds."
            )
        shuffled = np.random.default_rng(self.seed).permutation(sorted(names)).tolist()
        sides = dict.fromkeys(shuffled[self.fold :: self.folds], "test")
        others = [name for name in shuffled if name not in sides]
        val = int(self.val * len(others) + 0.5)
        sides |= dict.fromkeys(others[:val], "val") | dict.fromkeys(others[val:], "train")
        _need_both(sides)
        return dict(sorted(sides.items()))


@dataclass(frozen=True)
class ListedSplit:
    """A split by text files, one subject a line, as published splits are; val may be None."""

    train: str
    val: str | None
    test: str

    def assign(
        self, names: Sequence[str], dropped: Collection[str] = (), sites: Sites = NOWHERE
    ) -> dict[str, str]:
        """Split the subjects by the lists; names that were not found do not count.

        UsageError: a file is not there; MrcontrastError: a subject stands in no list or in several.
        """
        present: dict[str, list[str]] = {side: [] for side in SPLITS}
        for side in SPLITS:
            if (path := getattr(self, side)) is None:
                continue
            if not Path(path).is_file():
                raise UsageError(
                    f"Expected a list of subjects, got no file ({path}). Correct split."
                )
            listed = map(str.strip, Path(path).read_text(encoding="utf-8").splitlines())
            present[side] = [name for name in listed if name in set(names)]
        return FixedSplit(**present).assign(names)


@dataclass(frozen=True)
class TestOnly:
    """Every subject is tested: a data set to judge models that were trained elsewhere."""

    __test__ = False  # of pytest

    def assign(
        self, names: Sequence[str], dropped: Collection[str] = (), sites: Sites = NOWHERE
    ) -> dict[str, str]:
        """Give each subject the side "test"; MrcontrastError if there is none."""
        if not names:
            raise MrcontrastError("Expected at least one subject, got none (split). Add subjects.")
        return dict.fromkeys(sorted(names), "test")


def _need_both(sides: dict[str, str]) -> None:
    """Refuse a split without training or test subjects."""
    found = sorted(set(sides.values()))
    if not {"train", "test"} <= set(found):
        raise MrcontrastError(
            f"Expected at least one subject in train and in test, got {found} "
            "(split). Change recipe.split."
        )
