from pathlib import Path

import pytest

from mrcontrast.errors import MrcontrastError, UsageError
from mrcontrast.preparation.output import check_out
from mrcontrast.preparation.publishing import staged

RECIPE = "recipe: one\n"


def earlier(out: Path) -> Path:
    (out / "sub-01").mkdir(parents=True)
    (out / "manifest.tsv").write_text("old")
    (out / "recipe.yaml").write_text(RECIPE)
    return out


def test_new_empty_and_same_are_accepted(tmp_path: Path) -> None:
    check_out(tmp_path / "new", RECIPE, [])
    check_out(tmp_path, RECIPE, [])
    check_out(earlier(tmp_path / "same"), RECIPE, [str(tmp_path / "raw")])


def test_other_content_and_another_recipe_are_refused(tmp_path: Path) -> None:
    out = earlier(tmp_path / "out")
    with pytest.raises(UsageError, match="another recipe"):
        check_out(out, "recipe: two\n", [])
    (out / "manifest.tsv").unlink()
    with pytest.raises(UsageError, match="other content"):
        check_out(out, RECIPE, [])


@pytest.mark.parametrize(
    ("out", "raw"), [("raw", "raw"), ("raw/derivatives/x", "raw"), ("a", "a/raw")]
)
def test_raw_data_are_never_written_to(tmp_path: Path, out: str, raw: str) -> None:
    with pytest.raises(UsageError, match="apart from the raw data"):
        check_out(tmp_path / out, RECIPE, [str(tmp_path / raw)])


def fail_half_way(out: Path) -> None:
    with staged(out) as stage:
        (stage / "manifest.tsv").write_text("half")
        raise RuntimeError("half way")


def test_a_failure_leaves_nothing_new_and_everything_old(tmp_path: Path) -> None:
    for out in (tmp_path / "new", earlier(tmp_path / "old")):
        with pytest.raises(RuntimeError, match="half way"):
            fail_half_way(out)
    assert [path.name for path in tmp_path.iterdir()] == ["old"]
    assert (tmp_path / "old" / "manifest.tsv").read_text() == "old"


def test_success_replaces_the_data_and_keeps_what_others_put_there(tmp_path: Path) -> None:
    out = earlier(tmp_path / "out")
    (out / "notes.txt").write_text("mine")
    with staged(out) as stage:
        (stage / "sub-02").mkdir()
        (stage / "manifest.tsv").write_text("new")
    assert (out / "manifest.tsv").read_text() == "new"
    assert (out / "notes.txt").read_text() == "mine"
    assert (out / "sub-02").is_dir()
    assert not (out / "sub-01").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_place_below_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(MrcontrastError, match="can be written to"):
        fail_half_way(tmp_path / "file" / "out")


def test_the_swap_lies_within_the_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rename, refused = Path.rename, []

    def second_run(path: Path, target: Path) -> Path:
        with pytest.raises(MrcontrastError, match="one run at a time"), staged(tmp_path / "out"):
            pass
        refused.append(path.name)
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", second_run)
    earlier(tmp_path / "out")
    with staged(tmp_path / "out") as stage:
        (stage / "manifest.tsv").write_text("new")
    assert refused[:2] == ["out", ".out.partial"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
