from pathlib import Path

import pytest

from mrcontrast.data.further_splits import FoldSplit, ListedSplit, SiteSplit, TestOnly
from mrcontrast.data.splits import RandomSplit
from mrcontrast.errors import MrcontrastError, UsageError

NAMES = [f"sub-{i:02d}" for i in range(11)]
SITES = {name: "abc"[i % 3] for i, name in enumerate(NAMES)}


def test_each_subject_is_tested_in_one_fold() -> None:
    tested: list[str] = []
    for fold in range(4):
        sides = FoldSplit(4, fold, val=0.25, seed=3).assign(NAMES)
        tested += [name for name, side in sides.items() if side == "test"]
        assert list(sides) == NAMES
        assert sum(side == "val" for side in sides.values()) == 2
    assert sorted(tested) == NAMES


def test_folds_do_not_depend_on_the_order() -> None:
    assert FoldSplit(3, 1).assign(NAMES) == FoldSplit(3, 1).assign(NAMES[::-1])


def test_a_site_stands_on_one_side() -> None:
    sides = SiteSplit(["a"], ["b"], ["c"]).assign(NAMES, (), SITES)
    assert {(SITES[name], side) for name, side in sides.items()} == {
        ("a", "train"),
        ("b", "val"),
        ("c", "test"),
    }
    with pytest.raises(MrcontrastError, match="got c"):
        SiteSplit(["a"], [], ["b"]).assign(NAMES, (), SITES)
    with pytest.raises(UsageError, match="in one list"):
        SiteSplit(["a"], ["a"], ["b"]).assign(NAMES, (), SITES)
    with pytest.raises(MrcontrastError, match="in train and in test"):
        SiteSplit(["a", "b", "c"], [], ["d"]).assign(NAMES, (), SITES)


def test_lists_in_files(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("\n".join([*NAMES[:8], "sub-not-here", ""]))
    (tmp_path / "test.txt").write_text("\n".join(NAMES[8:]))
    split = ListedSplit(str(tmp_path / "train.txt"), None, str(tmp_path / "test.txt"))
    sides = split.assign(NAMES)
    assert [sides[name] for name in NAMES] == ["train"] * 8 + ["test"] * 3
    with pytest.raises(MrcontrastError, match="sub-99 without a split"):
        split.assign([*NAMES, "sub-99"])
    with pytest.raises(UsageError, match="no file"):
        ListedSplit(str(tmp_path / "none.txt"), None, str(tmp_path / "test.txt")).assign(NAMES)


def test_one_count_may_be_the_rest() -> None:
    sides = list(RandomSplit(6, 2, None, seed=0).assign(NAMES).values())
    assert [sides.count(side) for side in ("train", "val", "test")] == [6, 2, 3]
    with pytest.raises(UsageError, match="left for it"):
        RandomSplit(9, 2, None, seed=0).assign(NAMES)
    with pytest.raises(UsageError, match="at most one"):
        RandomSplit(9, None, None, seed=0).assign(NAMES)


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ((0.7, 0.1, None), [70, 10, 20]),
        ((0.7, 0, None), [70, 0, 30]),
        ((None, 0.25, 0.25), [50, 25, 25]),
        ((1, 0, None), [1, 0, 99]),
        ((70, 0, None), [70, 0, 30]),
    ],
)
def test_one_fraction_may_be_the_rest(
    sizes: tuple[float | None, float | None, float | None], expected: list[int]
) -> None:
    sides = list(RandomSplit(*sizes, seed=0).assign([f"sub-{i}" for i in range(100)]).values())
    assert [sides.count(side) for side in ("train", "val", "test")] == expected


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ((0.7, 10, None), "some of each"),
        ((70.5, 10, None), "some of each"),
        ((0.7, 0.3, None), "left for it"),
        ((0.7, 0.6, None), "left for it"),
    ],
)
def test_fractions_and_counts_do_not_mix(sizes: tuple[float, float, None], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        RandomSplit(*sizes, seed=0).assign([f"sub-{i}" for i in range(100)])


@pytest.mark.parametrize("options", [(1, 0), (3, 3), (3, -1), (3, 0, 1.0)])
def test_folds_that_are_none(options: tuple) -> None:
    with pytest.raises(UsageError, match="folds >= 2"):
        FoldSplit(*options)


def test_more_folds_than_subjects() -> None:
    with pytest.raises(MrcontrastError, match="at least 12"):
        FoldSplit(12, 0).assign(NAMES)


def test_a_data_set_to_test_only() -> None:
    assert set(TestOnly().assign(NAMES[:1]).values()) == {"test"}
    with pytest.raises(MrcontrastError, match="at least one subject"):
        TestOnly().assign([])
