import pytest

from mrcontrast.data.splits import FixedSplit, RandomSplit, split_subjects
from mrcontrast.errors import MrcontrastError, UsageError

FRACTIONS = {"train": 0.7, "val": 0.1, "test": 0.2}


def names(n: int) -> list[str]:
    return [f"sub-{i:02d}" for i in range(n)]


def sizes(sides: dict[str, str]) -> tuple[int, int, int]:
    found = list(sides.values())
    return found.count("train"), found.count("val"), found.count("test")


@pytest.mark.parametrize(
    ("n", "expected"),
    [(2, (1, 0, 1)), (3, (2, 0, 1)), (10, (7, 1, 2)), (24, (17, 2, 5)), (100, (70, 10, 20))],
)
def test_fractions_by_hand(n: int, expected: tuple[int, int, int]) -> None:
    assert sizes(split_subjects(names(n), FRACTIONS, seed=0)) == expected


def test_counts() -> None:
    counts = {"train": 3, "val": 1, "test": 2}
    assert sizes(split_subjects(names(6), counts, seed=0)) == (3, 1, 2)
    with pytest.raises(UsageError, match="counts that sum to 7"):
        split_subjects(names(7), counts, seed=0)


def test_same_seed_same_split_whatever_the_order() -> None:
    first = split_subjects(names(20), FRACTIONS, seed=3)
    assert split_subjects(names(20)[::-1], FRACTIONS, seed=3) == first
    assert split_subjects(names(20), FRACTIONS, seed=4) != first
    assert sorted(first) == names(20)


@pytest.mark.parametrize("n", range(2, 9))
def test_train_and_test_are_never_empty(n: int) -> None:
    greedy = {"train": 0.0, "val": 1.0, "test": 0.0}
    train, _, test = sizes(split_subjects(names(n), greedy, seed=0))
    assert train >= 1
    assert test >= 1


@pytest.mark.parametrize("n", [0, 1])
def test_fewer_than_two_are_refused(n: int) -> None:
    with pytest.raises(MrcontrastError, match=f"at least 2 subjects .* got {n}"):
        split_subjects(names(n), FRACTIONS, seed=0)


def test_duplicates_are_refused() -> None:
    with pytest.raises(MrcontrastError, match="several of sub-01"):
        split_subjects(["sub-01", "sub-02", "sub-01"], FRACTIONS, seed=0)


def test_sizes_that_do_not_make_sense() -> None:
    with pytest.raises(UsageError, match="sum to 1"):
        split_subjects(names(10), {"train": 0.5, "test": 0.2}, seed=0)
    with pytest.raises(UsageError, match="holdout"):
        split_subjects(names(10), {"train": 0.5, "holdout": 0.5}, seed=0)


def test_fixed_split() -> None:
    split = FixedSplit(train=["sub-00", "sub-02"], val=[], test=["sub-01"])
    expected = {"sub-00": "train", "sub-02": "train", "sub-01": "test"}
    assert split.assign(names(3)) == expected
    assert split.assign(["sub-00", "sub-01"], dropped={"sub-02"})["sub-01"] == "test"


@pytest.mark.parametrize(
    ("lists", "message"),
    [
        ({"train": ["sub-00", "sub-01"], "test": ["sub-01", "sub-02"]}, "sub-01 on two sides"),
        ({"train": ["sub-00", "sub-00"], "test": ["sub-01", "sub-02"]}, "sub-00 on two sides"),
        ({"train": ["sub-00"], "test": ["sub-01"]}, "sub-02 without a split"),
        ({"train": ["sub-00", "sub-09"], "test": ["sub-01", "sub-02"]}, "sub-09 listed but absent"),
        ({"train": names(3), "test": []}, "at least one subject in train and in test"),
    ],
)
def test_faults_of_a_fixed_split(lists: dict[str, list[str]], message: str) -> None:
    with pytest.raises(MrcontrastError, match=message):
        FixedSplit(lists["train"], [], lists["test"]).assign(names(3))


def test_random_split_is_what_split_subjects_gives() -> None:
    split = RandomSplit(0.7, 0.1, 0.2, seed=5)
    assert split.assign(names(9)) == split_subjects(names(9), FRACTIONS, 5)
