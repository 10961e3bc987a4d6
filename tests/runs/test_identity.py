"""The part of a config that identifies a run."""

import pytest

from mrcontrast.runs.identity import first_difference


@pytest.mark.parametrize(
    ("ours", "theirs", "difference"),
    [
        ({"a": 1}, {"a": 1}, None),
        ({"a": 1}, {"a": 1.0}, ("a", 1, 1.0)),
        ({"a": {"b": 1}}, {"a": {}}, ("a.b", 1, None)),
        ({"a": {}}, {"a": {"b": 1}}, ("a.b", None, 1)),
        ({"a": [1, 2]}, {"a": [1]}, ("a.1", 2, None)),
        ({"a": {"b": 1}}, {"a": 3}, ("a", {"b": 1}, 3)),
    ],
)
def test_first_difference_names_the_key(ours: dict, theirs: dict, difference: tuple) -> None:
    assert first_difference(ours, theirs) == difference
