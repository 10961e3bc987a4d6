import pickle

import numpy as np
import pytest

from mrcontrast.errors import UsageError
from mrcontrast.phantom.config import PhantomConfig
from mrcontrast.preparation.phantoms import PhantomSubjects

COARSE = PhantomConfig(spacing_mm=6.0, anatomy_spacing_mm=6.0)


def test_subjects_are_named_by_their_seeds() -> None:
    entries, dropped = PhantomSubjects(3, 7, COARSE).index()
    assert [entry.name for entry in entries] == ["sub-0007", "sub-0008", "sub-0009"]
    assert dropped == []
    assert {entry.site for entry in entries} == {"phantom"}


def test_a_subject_does_not_depend_on_how_many_there_are() -> None:
    few, many = PhantomSubjects(1, 3, COARSE), PhantomSubjects(3, 2, COARSE)
    first = few.index()[0][0].pair.load()
    same = pickle.loads(pickle.dumps(many.index()[0][1])).pair.load()  # as a worker gets it
    np.testing.assert_array_equal(first.images["flair"].data, same.images["flair"].data)
    np.testing.assert_array_equal(first.labels, same.labels)
    assert first.tags == same.tags
    assert first.sources == {}  # drawn, not read
    other = many.index()[0][2].pair.load()
    assert not np.array_equal(first.images["flair"].data, other.images["flair"].data)


@pytest.mark.parametrize(("num_subjects", "first_seed"), [(0, 0), (1, -1)])
def test_faults(num_subjects: int, first_seed: int) -> None:
    with pytest.raises(UsageError, match="num_subjects >= 1"):
        PhantomSubjects(num_subjects, first_seed, COARSE)
