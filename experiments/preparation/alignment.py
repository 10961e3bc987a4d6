"""Test that the alignment check flags misaligned pairs, and no others.

python -m experiments.preparation.alignment /path/to/shared/data
python -m experiments.preparation.alignment --phantoms 8
python -m experiments.preparation.alignment --overlaid /path/to/bids --part 0/4
"""

import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path

import numpy as np
from experiments.preparation.motions import rigid_matrix
from experiments.preparation.scans import Brain, brains, in_mni, raw_sessions

from mrcontrast.errors import MrcontrastError
from mrcontrast.imaging.alignment import check_alignment
from mrcontrast.phantom import PhantomConfig, make_subject
from mrcontrast.phantom.config import ScannerRanges
from mrcontrast.preparation.bids import BidsPairs
from mrcontrast.storage.volume import Volume

SHIFTS_MM, ROTATIONS_DEG = (1.0, 2.0, 4.0, 8.0), (2.0, 5.0, 10.0)
TRUE, OTHER = "true pair", "other subject's T1w"
HARD = ScannerRanges(
    flair_slice_thickness_mm=(2.0, 6.0), snr=(10.0, 30.0), bias_amplitude=(0.05, 0.3)
)
REFUSED = 99.0  # suspicion of a pair that cannot be compared


@dataclass(frozen=True)
class Case:
    """One check: the change of a pair and the result."""

    kind: str
    name: str
    displacement_mm: float
    residual_mm: float
    suspicion: float


def check(kind: str, pair: Brain, t1w: Volume) -> Case:
    """Check one pair, as it is or changed."""
    try:
        found = check_alignment(pair.flair, t1w, pair.brain)
    except MrcontrastError:
        return Case(kind, pair.name, np.nan, np.nan, REFUSED)
    numbers = (found.displacement_mm, found.residual_mm, found.suspicion)
    return Case(kind, pair.name, *numbers)


def moved(pair: Brain, size: float, unit: str, rng: np.random.Generator) -> Case:
    """Check a pair whose T1w is shifted ("mm") or rotated ("deg") in a random direction."""
    inside = np.argwhere(pair.brain).mean(axis=0)
    centre = (pair.flair.affine @ [*inside, 1.0])[:3]
    direction = rng.standard_normal(3)
    vector = size * direction / np.linalg.norm(direction)
    parts = (np.zeros(3), vector) if unit == "mm" else (vector, np.zeros(3))
    t1w = Volume(pair.t1w.data, rigid_matrix(*parts, centre) @ pair.t1w.affine)
    return check(f"{size:g} {unit}", pair, t1w)


def cases(pairs: list[Brain]) -> Iterator[Case]:
    """Yield checks of every pair, its moved copies, and every FLAIR with another's T1w."""
    rng = np.random.default_rng(0)
    for pair in pairs:
        yield check(TRUE, pair, pair.t1w)
        for unit, sizes in (("mm", SHIFTS_MM), ("deg", ROTATIONS_DEG)):
            yield from (moved(pair, size, unit, rng) for size in sizes)
    for one, other in permutations(pairs, 2):
        if one.name.split("_")[0] != other.name.split("_")[0]:
            yield check(OTHER, one, other.t1w)


def overlaid_cases(root: Path, part: str) -> Iterator[Case]:
    """Yield checks of pairs that overlay exactly; every tenth also moved and swapped.

    Args:
        root: BIDS tree in which each FLAIR was simulated on its T1w.
        part: "i/n": every n-th pair from the i-th on.
    """
    first, step = map(int, part.split("/"))
    rng = np.random.default_rng(first)
    previous: Brain | None = None
    for number, entry in enumerate(BidsPairs(str(root)).index()[0][first::step]):
        subject = entry.pair.load()
        brain = subject.brain_mask
        assert brain is not None
        pair = Brain(entry.name, *subject.images.values(), brain)
        yield check(TRUE, pair, pair.t1w)
        if number % 10 == 0:
            yield moved(pair, 4.0, "mm", rng)
            yield moved(pair, 5.0, "deg", rng)
            if previous is not None and previous.name.split("_")[0] != entry.subject:
                yield check(OTHER, pair, previous.t1w)
        previous = pair


def phantoms(count: int) -> list[Brain]:
    """Make phantoms with noise, bias fields and slices of 2 to 6 mm."""
    config = PhantomConfig(2.0, anatomy_spacing_mm=2.0, scanner=HARD)
    subjects = [make_subject(seed, config) for seed in range(count)]
    return [
        Brain(f"phantom-{seed}", *subject.images.values(), subject.brain_mask)
        for seed, subject in enumerate(subjects)
    ]


def spread(values: list[float]) -> str:
    """Format median and extremes."""
    return f"{np.nanmedian(values):.2f} ({np.nanmin(values):.2f}-{np.nanmax(values):.2f})"


def print_kinds(found: list[Case]) -> None:
    """Print one row per kind of change."""
    print("\n| pairs | n | displacement (mm) | residual (mm) | flagged |")
    print("|---|---:|---|---|---:|")
    for kind in dict.fromkeys(case.kind for case in found):
        of = [case for case in found if case.kind == kind]
        displacement = spread([case.displacement_mm for case in of])
        residual = spread([case.residual_mm for case in of])
        flagged = sum(case.suspicion > 1 for case in of)
        print(f"| {kind} | {len(of)} | {displacement} | {residual} | {flagged} of {len(of)} |")


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("--phantoms", type=int, default=0)
    parser.add_argument("--overlaid", type=Path, help="BIDS tree of pairs that overlay exactly")
    parser.add_argument("--part", default="0/1", help="i/n: every n-th pair from the i-th on")
    args = parser.parse_args()
    pairs = phantoms(args.phantoms)
    if args.data is not None:
        pairs += [*brains(args.data), *(in_mni(raw) for raw in raw_sessions(args.data))]
    every = cases(pairs)
    if args.overlaid is not None:
        every = overlaid_cases(args.overlaid, args.part)
    found = []
    for case in every:
        found.append(case)
        print(case, file=sys.stderr, flush=True)
    print_kinds(found)


if __name__ == "__main__":
    main()
