from dataclasses import replace

import pytest

from mrcontrast.errors import MrcontrastError
from mrcontrast.preparation.selection import Select
from mrcontrast.preparation.session import FAULT, LEFT_OUT, Dropped, Entry
from preparation_files import recipe_of
from toy.sources import ToyPair, ToySource


class Tagged(ToyPair):
    tags = {"sex": "F"}  # noqa: RUF012 - read only


ENTRIES = [
    Entry("sub-1", "ses-1", "Bonn", "here", Tagged(1)),
    Entry("sub-1", "ses-2", "Bonn", "here", ToyPair(1)),
    Entry("sub-2", None, "Ulm", "here", Tagged(2)),
    Entry("sub-10", None, "Ulm", "here", ToyPair(3)),
]


def names(**options: object) -> list[str]:
    return [entry.name for entry in Select(**options).choose(ENTRIES)[0]]


def test_by_name() -> None:
    assert names() == [entry.name for entry in ENTRIES]
    assert names(subjects=["sub-1*"]) == ["sub-1_ses-1", "sub-1_ses-2", "sub-10"]
    assert names(exclude=["sub-1_ses-2", "sub-2"]) == ["sub-1_ses-1", "sub-10"]
    assert names(sessions=["ses-*"]) == ["sub-1_ses-1", "sub-1_ses-2"]


def test_by_tag() -> None:
    assert names(where={"sex": ["F"]}) == ["sub-1_ses-1", "sub-2"]
    assert names(where={"site": ["Ulm"]}) == ["sub-2", "sub-10"]


def test_the_first_subjects_by_number() -> None:
    assert names(first=2) == ["sub-1_ses-1", "sub-1_ses-2", "sub-2"]


def test_what_is_left_out_is_named_and_no_fault() -> None:
    _, dropped = Select(subjects=["sub-2"]).choose(ENTRIES)
    assert [item.kind for item in dropped] == [LEFT_OUT] * 3
    assert "a subject like sub-2, got sub-10" in dropped[-1].reason


REFUSED = [Dropped(f"sub-{number}", None, "BidsPairs", "a fault") for number in (1, 3, 11)]


@pytest.mark.parametrize(
    ("options", "faults"),
    [
        ({}, ["sub-1", "sub-3", "sub-11"]),
        ({"exclude": ["sub-3"]}, ["sub-1", "sub-11"]),
        ({"subjects": ["sub-1*"]}, ["sub-1", "sub-11"]),
        ({"sessions": ["ses-1"]}, []),
        ({"first": 3}, ["sub-1", "sub-3"]),  # up to sub-10
        ({"first": 4}, ["sub-1", "sub-3", "sub-11"]),  # it might have been one of them
        ({"where": {"sex": ["F"]}}, ["sub-1", "sub-3", "sub-11"]),  # unknown
    ],
)
def test_who_is_not_wanted_has_no_fault(options: dict[str, object], faults: list[str]) -> None:
    kept, dropped = Select(**options).choose(ENTRIES, REFUSED)
    assert len(kept) + len(dropped) == len(ENTRIES) + len(REFUSED)
    assert [item.name for item in dropped if item.kind == FAULT] == faults


def test_one_of_two_origins_can_be_chosen() -> None:
    source = ToySource(("good", "good"))
    other = ToySource(("good",))
    object.__setattr__(
        other, "index", lambda: ([replace(source.index()[0][0], site="elsewhere")], [])
    )
    with pytest.raises(MrcontrastError, match="each subject once"):
        recipe_of(source, other).index()
    entries, dropped, _ = recipe_of(source, other, select=Select(where={"site": ["toys"]})).index()
    assert [entry.name for entry in entries] == ["sub-00", "sub-01"]
    assert [item.kind for item in dropped] == [LEFT_OUT]
