"""One scan under two names, one person under two ids: found by comparing all sessions."""

import base64
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations

import numpy as np
import scipy

from mrcontrast.preparation.outcome import Outcome
from mrcontrast.preparation.session import Dropped, Remark
from mrcontrast.preparation.subject import Subject
from mrcontrast.storage.volume import Volume
from mrcontrast.transforms.grid import coarsen

LOOK_MM = 6.0
SMOOTH_VOXELS = 2.0
ROWS_AT_ONCE = 256
NAME = "Deduplicate"
SAME_SESSION = (
    "have the same voxels: {} and {} are taken for one person, and all sessions of both are on one "
    "side of the split. Give both one id, or correct the wrong file."
)
SAME_CONTRAST = (
    "have the same {} voxels: one person under two ids, or a wrong file. All sessions of both are "
    "on one side of the split. Correct it."
)
LOOK_ALIKE = (
    "look like one person under two ids (look_correlation {:.3g}). If they are, give both one id, "
    "or they may be on two sides of the split."
)


@dataclass(frozen=True)
class Compared:
    """All outcomes, those of doubles as dropped, remarks, and the person of each shared id."""

    outcomes: list[Outcome]
    remarks: list[Remark] = field(default_factory=list)
    person_of: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Deduplicate:
    """Drop sessions whose voxels another session has too; report anatomy that looks the same.

    The session whose name comes first stays. Two ids that share an image are one person, whose
    sessions are all on one side of the split. Looks are compared on the grid of the data set, so
    that a person is found again only after ``ToMni``.

    Attributes:
        same_person: Correlation of two looks, in (0, 1), from which different ids are reported;
            None compares voxels only.
    """

    same_person: float | None = None

    def compare(self, outcomes: Sequence[Outcome]) -> Compared:
        """Find doubles and people with several ids."""
        every = sorted(outcomes, key=lambda outcome: outcome.name)
        remarks, doubles, person_of = [], dict[str, Dropped](), dict[str, str]()
        for print_of in dict.fromkeys(name for outcome in every for name in outcome.prints):
            for first, second in _alike(every, print_of):
                subjects = _subject(first), _subject(second)
                others = subjects[0] != subjects[1]
                both_stay = first.record is not None and second.record is not None
                if first.prints == second.prints:
                    if others and print_of == next(iter(first.prints)):
                        _unite(person_of, *subjects)
                        text = SAME_SESSION.format(*subjects)
                        remarks.append(_one_person(first, second, text, "same_voxels"))
                    if both_stay:
                        doubles.setdefault(second.name, _double(first, second))
                elif others and both_stay:
                    _unite(person_of, *subjects)
                    text, measure = SAME_CONTRAST.format(print_of), f"same_{print_of}_voxels"
                    remarks.append(_one_person(first, second, text, measure))
        if self.same_person is not None:
            left = [o for o in every if o.record is not None and o.name not in doubles]
            remarks += _look_alikes(left, self.same_person)
        done = [
            replace(o, record=None, dropped=doubles[o.name]) if o.name in doubles else o
            for o in outcomes
        ]
        return Compared(done, remarks, person_of)


def _look_alikes(outcomes: list[Outcome], limit: float) -> list[Remark]:
    """Report sessions of different subjects whose anatomy correlates."""
    looks = [_unpacked(outcome.look) for outcome in outcomes]
    if len({len(look) for look in looks}) != 1:
        return []
    matrix, remarks = np.stack(looks), []
    for start in range(0, len(matrix), ROWS_AT_ONCE):
        alike = matrix[start : start + ROWS_AT_ONCE] @ matrix.T
        for row, column in np.argwhere(alike >= limit):
            a, b = outcomes[start + row], outcomes[column]
            if start + row < column and _subject(a) != _subject(b):
                value = float(alike[row, column])
                text = LOOK_ALIKE.format(value)
                remarks.append(_one_person(a, b, text, "look_correlation", value, f"< {limit:g}"))
    return remarks


def look_of(subject: Subject) -> str:
    """Return the individual anatomy in a finished session's last contrast, about 50 kB of text.

    The brain at 6 mm minus its own smooth part, as int8 in base64.
    """
    mask = subject.brain.astype(np.float32)
    last = list(subject.images.values())[-1]
    inside = coarsen(Volume(mask, last.affine), LOOK_MM).data
    image = coarsen(Volume(last.data * mask, last.affine), LOOK_MM).data
    smooth = scipy.ndimage.gaussian_filter(image, SMOOTH_VOXELS)
    weight = scipy.ndimage.gaussian_filter(inside, SMOOTH_VOXELS)
    fine = np.where(inside > 0.5, image - inside * smooth / np.maximum(weight, 1e-3), 0)
    scaled = np.round(127 * fine / max(float(np.abs(fine).max()), 1e-6)).astype(np.int8)
    return base64.b64encode(scaled.tobytes()).decode("ascii")


def _unpacked(look: str) -> np.ndarray:
    """Return a look as a vector of length 1, so that a product is a correlation."""
    values = np.frombuffer(base64.b64decode(look), np.int8).astype(np.float32)
    return values / max(float(np.linalg.norm(values)), 1e-6)


def _alike(outcomes: list[Outcome], print_of: str) -> list[tuple[Outcome, Outcome]]:
    """Return pairs of sessions with the same raw voxels of a contrast."""
    groups: dict[str, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        if print_of in outcome.prints:
            groups[outcome.prints[print_of]].append(outcome)
    return [pair for group in groups.values() for pair in combinations(group, 2)]


def _subject(outcome: Outcome) -> str:
    known = outcome.record or outcome.dropped
    assert known is not None
    return known.subject


def _unite(person_of: dict[str, str], one: str, other: str) -> None:
    """Record that two subjects, and all who are the same as either, are one person."""
    person, gone = person_of.setdefault(one, one), person_of.setdefault(other, other)
    for subject, known in person_of.items():
        if known == gone:
            person_of[subject] = person


def _double(first: Outcome, second: Outcome) -> Dropped:
    """Return the row of a session that exists twice."""
    assert second.record is not None
    persons = "" if _subject(first) == _subject(second) else ": one person under two ids"
    reason = f"Expected voxels of its own, got those of {first.name}{persons}. Remove one."
    who = (second.record.subject, second.record.session)
    return Dropped(*who, NAME, reason, "same_voxels_as", first.name, "none")


def _one_person(
    first: Outcome, second: Outcome, what: str, measure: str, value: float = 1.0, bound: str = "0"
) -> Remark:
    """Report two sessions of different ids that belong, or may belong, to one person."""
    text = f"{first.name} and {second.name} {what}"
    return Remark(f"{first.name} {second.name}", NAME, measure, value, bound, text)
