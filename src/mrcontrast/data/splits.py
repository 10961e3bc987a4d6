"""Who is trained on, validated on and tested on: by subject, repeatable, never on two sides."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from mrcontrast.errors import MrcontrastError, UsageError

SPLITS = ("train", "val", "test")
Sites = Mapping[str, str]
NOWHERE: Sites = MappingProxyType({})


@dataclass(frozen=True)
class RandomSplit:
    """A seeded split; sizes are fractions that sum to 1, or counts that sum to n.

    One of them may be None: the rest, of 1 beside fractions and of n beside counts. Train and test
    get at least one subject; ``val`` may be 0, and in a small data set round to no subject.
    """

    train: float | None
    val: float | None
    test: float | None
    seed: int  # of the shuffle, >= 0

    def assign(
        self, names: Sequence[str], dropped: Collection[str] = (), sites: Sites = NOWHERE
    ) -> dict[str, str]:
        """Give each subject that is left one side, whatever the order of the names.

        MrcontrastError: fewer than two subjects, or a duplicate; UsageError: several sizes are
        None, they are fractions and counts, or they do not fit the number of subjects.
        """
        sizes = {side: getattr(self, side) for side in SPLITS}
        known = {side: float(size) for side, size in sizes.items() if size is not None}
        whole = 1 if _are_fractions(known) else len(names)
        rest = whole - sum(known.values())
        if len(known) < 2 or (len(known) == 2 and rest <= 1e-6):
            raise UsageError(
                f"Expected at most one size that is null, with 1 or more subjects left for it, got "
                f"{sizes} for {len(names)} subjects (split). Change the sizes."
            )
        _check_names(names)
        counts = _counts({side: known.get(side, rest) for side in SPLITS}, len(names))
        shuffled = np.random.default_rng(self.seed).permutation(sorted(names)).tolist()
        sides = [side for side in SPLITS for _ in range(counts[side])]
        return dict(sorted(zip(shuffled, sides, strict=True)))


@dataclass(frozen=True)
class FixedSplit:
    """A split by name; every subject stands in one list, and val may be empty."""

    train: Sequence[str]
    val: Sequence[str]
    test: Sequence[str]

    def assign(
        self, names: Sequence[str], dropped: Collection[str] = (), sites: Sites = NOWHERE
    ) -> dict[str, str]:
        """Split the subjects by their lists, in which dropped ones do not count.

        MrcontrastError: fewer than two subjects, a duplicate, a subject on two sides or none, or no
        subject in train or test.
        """
        _check_names(names)
        left = {side: [n for n in getattr(self, side) if n not in dropped] for side in SPLITS}
        sides = Counter(name for listed in left.values() for name in listed)
        faults = {
            "on two sides": sorted(name for name, n in sides.items() if n > 1),
            "without a split": sorted(set(names) - set(sides)),
            "listed but absent": sorted(set(sides) - set(names)),
        }
        for fault, who in faults.items():
            if who:
                raise MrcontrastError(
                    f"Expected each subject in one split, got {', '.join(who)} {fault}. "
                    "Correct the fixed split."
                )
        if not left["train"] or not left["test"]:
            raise MrcontrastError(
                "Expected at least one subject in train and in test, got none in one of them. "
                "Correct the fixed split."
            )
        return {name: side for side, listed in left.items() for name in listed}


def _are_fractions(sizes: Mapping[str, float]) -> bool:
    """Return whether sizes are shares of 1, not counts; UsageError if they are some of each."""
    broken = [size for size in sizes.values() if not size.is_integer()]
    if broken and any(size > 1 for size in sizes.values()):
        raise UsageError(
            f"Expected fractions or counts, got some of each: {dict(sizes)} (split). "
            "Change the sizes."
        )
    return bool(broken)


def _check_names(names: Sequence[str]) -> None:
    """Refuse duplicates and fewer than two subjects."""
    if repeated := sorted(name for name, n in Counter(names).items() if n > 1):
        raise MrcontrastError(
            f"Expected each subject once, got several of {', '.join(repeated)}. Rename or remove."
        )
    if len(names) < 2:
        raise MrcontrastError(
            f"Expected at least 2 subjects (train and test), got {len(names)} "
            f"({', '.join(names) or 'none'}). Add subjects."
        )


def _counts(sizes: Mapping[str, float], n: int) -> dict[str, int]:
    """Turn fractions (largest remainder) or counts into whole numbers that sum to ``n``."""
    total = sum(sizes.values())
    if min(sizes.values()) < 0 or (abs(total - 1) > 1e-6 and total != n):
        raise UsageError(
            f"Expected fractions that sum to 1 or counts that sum to {n}, got {dict(sizes)} "
            "(split). Change the sizes."
        )
    shares = {side: size * n / total for side, size in sizes.items()}
    counts = {side: int(share + 1e-9) for side, share in shares.items()}
    by_remainder = sorted(SPLITS, key=lambda side: counts[side] - shares[side])
    for side in by_remainder[: n - sum(counts.values())]:
        counts[side] += 1
    for side in ("train", "test"):  # a small data set loses its val first, then shrinks train
        if counts[side] == 0:
            giver = "val" if counts["val"] else max(counts, key=lambda key: counts[key])
            counts[giver] -= 1
            counts[side] += 1
    return counts
