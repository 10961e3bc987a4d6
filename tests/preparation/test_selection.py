from mrcontrast.preparation.selection import Select
from mrcontrast.preparation.subject import LEFT_OUT, Entry
from toy.sources import ToyPair


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
