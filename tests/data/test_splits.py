import pytest

from mrcontrast.data.splits import FixedSplit, RandomSplit
from mrcontrast.errors import MrcontrastError, UsageError

FRACTIONS = RandomSplit(0.7, 0.1, 0.2, seed=0)


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
    assert sizes(FRACTIONS.assign(names(n))) == expected


def test_counts() -> None:
    counts = RandomSplit(3, 1, 2, seed=0)
    assert sizes(counts.assign(names(6))) == (3, 1, 2)
    with pytest.raises(UsageError, match="counts that sum to 7"):
        counts.assign(names(7))


def test_same_seed_same_split_whatever_the_order() -> None:
    first = RandomSplit(0.7, 0.1, 0.2, seed=3).assign(names(20))
    assert RandomSplit(0.7, 0.1, 0.2, seed=3).assign(names(20)[::-1]) == first
    assert RandomSplit(0.7, 0.1, 0.2, seed=4).assign(names(20)) != first
    assert sorted(first) == names(20)


@pytest.mark.parametrize("n", range(2, 9))
def test_train_and_test_are_never_empty(n: int) -> None:
    train, _, test = sizes(RandomSplit(0.0, 1.0, 0.0, seed=0).assign(names(n)))
    assert train >= 1
    assert test >= 1


@pytest.mark.parametrize("n", [0, 1])
def test_fewer_than_two_are_refused(n: int) -> None:
    with pytest.raises(MrcontrastError, match=f"at least 2 subjects .* got {n}"):
        FRACTIONS.assign(names(n))


def test_duplicates_are_refused() -> None:
    with pytest.raises(MrcontrastError, match="several of sub-01"):
        FRACTIONS.assign(["sub-01", "sub-02", "sub-01"])


def test_sizes_that_do_not_make_sense() -> None:
    with pytest.raises(UsageError, match="sum to 1"):
        RandomSplit(0.5, 0.0, 0.2, seed=0).assign(names(10))


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
