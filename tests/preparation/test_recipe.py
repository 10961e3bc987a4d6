from collections.abc import Callable
from pathlib import Path

import pytest

from mrcontrast.errors import MrcontrastError, UsageError
from mrcontrast.preparation.bids import BidsPairs
from mrcontrast.preparation.recipe import Recipe
from mrcontrast.preparation.subject import Dropped, Entry, Subject

MakeRecipe = Callable[..., Recipe]


class Failing:
    """A pair that raises what it is given."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def load(self) -> Subject:
        raise self.error


def entry_of(error: Exception) -> Entry:
    return Entry("sub-01", None, "here", "nowhere", Failing(error))


def test_a_data_fault_drops_the_session_with_step_and_reason(
    bids: Path, make_recipe: MakeRecipe
) -> None:
    recipe = make_recipe(BidsPairs(str(bids)))
    result = recipe.apply(entry_of(MrcontrastError("Expected a, got b (c).")))
    assert result == Dropped("sub-01", None, "Failing", "Expected a, got b (c).")


def test_a_fault_of_an_operator_names_it(bids: Path, make_recipe: MakeRecipe) -> None:
    def refuse(subject: Subject) -> Subject:
        raise MrcontrastError("too bright")

    recipe = make_recipe(BidsPairs(str(bids)))
    recipe.operators.insert(1, refuse)
    result = recipe.apply(recipe.index()[0][0])
    assert isinstance(result, Dropped)
    assert (result.operator, result.reason) == ("function", "too bright")


@pytest.mark.parametrize("error", [UsageError("bad config"), RuntimeError("a bug")])
def test_what_is_no_fault_of_the_session_is_not_swallowed(
    bids: Path, make_recipe: MakeRecipe, error: Exception
) -> None:
    with pytest.raises(type(error), match=str(error)):
        make_recipe(BidsPairs(str(bids))).apply(entry_of(error))


def test_operators_run_in_order(bids: Path, make_recipe: MakeRecipe) -> None:
    recipe = make_recipe(BidsPairs(str(bids)))
    names = [type(operator).__name__ for operator in recipe.operators]
    assert names == ["BrainMask", "ToGrid", "Normalise", "MeasureVolumes"]


def test_an_empty_source_is_named(tmp_path: Path, make_recipe: MakeRecipe) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(MrcontrastError, match=str(tmp_path / "empty")):
        make_recipe(BidsPairs(str(tmp_path / "empty"))).index()
    with pytest.raises(UsageError, match="at least one source"):
        make_recipe()


def test_one_name_in_two_data_sets_is_refused(
    tmp_path: Path,
    bids: Path,
    write_pair,
    make_recipe: MakeRecipe,
) -> None:
    write_pair(tmp_path / "other", "sub-02", "ses-9")
    sources = BidsPairs(str(bids)), BidsPairs(str(tmp_path / "other"))
    with pytest.raises(MrcontrastError, match=r"sub-02 twice \(.*bids.*other"):
        make_recipe(*sources).index()


def test_the_same_data_set_twice_is_refused(bids: Path, make_recipe: MakeRecipe) -> None:
    with pytest.raises(MrcontrastError, match="sub-01 twice"):
        make_recipe(BidsPairs(str(bids)), BidsPairs(str(bids))).index()
