from collections.abc import Callable
from pathlib import Path

import pytest

from mrcontrast.errors import MrcontrastError, UsageError
from mrcontrast.preparation.bids import BidsPairs
from mrcontrast.preparation.operators import CheckHeader, Require
from mrcontrast.preparation.recipe import Recipe
from mrcontrast.preparation.session import BROKEN, Dropped, Entry
from mrcontrast.preparation.subject import Subject

MakeRecipe = Callable[..., Recipe]


class Failing:
    """A pair that raises what it is given."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def load(self) -> Subject:
        raise self.error

    @property
    def files(self) -> dict[str, Path]:
        return {}

    def identity(self) -> str:
        return str(self.error)


def entry_of(error: Exception) -> Entry:
    return Entry("sub-01", None, "here", "nowhere", Failing(error))


def test_a_data_fault_drops_the_session_with_step_and_reason(
    bids: Path, make_recipe: MakeRecipe
) -> None:
    recipe = make_recipe(BidsPairs(str(bids)))
    result = recipe.apply(entry_of(MrcontrastError("Expected a, got b (c).")))
    assert result == Dropped("sub-01", None, "Failing", "Expected a, got b (c). (nowhere)")


def test_a_fault_of_an_operator_names_it(bids: Path, make_recipe: MakeRecipe) -> None:
    def refuse(subject: Subject) -> Subject:
        raise MrcontrastError("too bright")

    recipe = make_recipe(BidsPairs(str(bids)))
    recipe.operators.insert(1, refuse)
    result = recipe.apply(recipe.index()[0][0])
    assert isinstance(result, Dropped)
    flair = bids / "sub-01" / "anat" / "sub-01_FLAIR.nii.gz"
    assert (result.operator, result.reason) == ("function", f"too bright ({flair})")


def test_a_fault_of_the_recipe_is_not_swallowed(bids: Path, make_recipe: MakeRecipe) -> None:
    with pytest.raises(UsageError, match="bad config"):
        make_recipe(BidsPairs(str(bids))).apply(entry_of(UsageError("bad config")))


def test_a_bug_breaks_one_session_and_is_named(bids: Path, make_recipe: MakeRecipe) -> None:
    result = make_recipe(BidsPairs(str(bids))).apply(entry_of(RuntimeError("a bug")))
    assert isinstance(result, Dropped)
    assert (result.kind, result.operator) == (BROKEN, "Failing")
    assert "RuntimeError: a bug" in result.reason
    assert "test_recipe.py, line" in result.reason


def test_a_number_that_decides_is_kept(bids: Path, make_recipe: MakeRecipe) -> None:
    recipe = make_recipe(BidsPairs(str(bids)))
    recipe.operators.insert(4, Require("brain_ml", least=1e6))
    result = recipe.apply(recipe.index()[0][0])
    assert isinstance(result, Dropped)
    assert (result.operator, result.measure, result.threshold) == (
        "Require",
        "brain_ml",
        ">= 1e+06",
    )
    assert 0 < result.value < 1e6


def test_a_list_that_does_not_normalise_is_a_fault_of_the_recipe(
    bids: Path, make_recipe: MakeRecipe
) -> None:
    recipe = make_recipe(BidsPairs(str(bids)))
    del recipe.operators[2]
    with pytest.raises(UsageError, match="Put Normalise"):
        recipe.apply(recipe.index()[0][0])


def test_steps_that_look_at_files_come_first(bids: Path, make_recipe: MakeRecipe) -> None:
    recipe = make_recipe(BidsPairs(str(bids)))
    late = [*recipe.operators, CheckHeader()]
    with pytest.raises(UsageError, match="CheckHeader after others"):
        Recipe(recipe.sources, late, recipe.grid, recipe.normalisers, recipe.split)


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
