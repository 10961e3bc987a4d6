import shutil
from contextlib import suppress
from pathlib import Path

import pytest

from mrcontrast.errors import MrcontrastError, UsageError
from mrcontrast.preparation.output import check_content, find_out
from mrcontrast.preparation.publishing import staged

RECIPE = "recipe: one\n"


def earlier(out: Path) -> Path:
    (out / "sub-01").mkdir(parents=True)
    (out / "manifest.tsv").write_text("old")
    (out / "recipe.yaml").write_text(RECIPE)
    return out


SPLIT = "split:\n  seed: {}\n"


def test_new_empty_and_same_are_accepted(tmp_path: Path) -> None:
    check_content(tmp_path / "new", RECIPE)
    check_content(tmp_path, RECIPE)
    check_content(earlier(tmp_path / "same"), RECIPE)


def test_other_content_and_another_recipe_are_refused_another_split_is_not(tmp_path: Path) -> None:
    out = earlier(tmp_path / "out")
    (out / "recipe.yaml").write_text(RECIPE + SPLIT.format(0))
    check_content(out, RECIPE + SPLIT.format(1))
    with pytest.raises(UsageError, match="another recipe"):
        check_content(out, "recipe: two\n" + SPLIT.format(0))
    (out / "manifest.tsv").unlink()
    with pytest.raises(UsageError, match="other content"):
        check_content(out, RECIPE)


@pytest.mark.parametrize(
    ("out", "raw"),
    [("raw", "raw"), ("raw/x", "raw"), ("a", "a/raw"), ("b/../raw/x", "raw"), ("link/x", "raw")],
)
def test_raw_data_are_never_written_to(tmp_path: Path, out: str, raw: str) -> None:
    (tmp_path / raw).mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / raw)
    with pytest.raises(UsageError, match="apart from the raw data"):
        find_out(str(tmp_path / out), [str(tmp_path / raw)])


@pytest.mark.parametrize(
    ("out", "said"),
    [
        ("", "an empty name"),
        (" ", "an empty name"),
        (".", "the current folder"),
        ("..", "one above it"),
        ("/", "one above it"),
        ("/proc", "a mount point"),
        ("here/file", "got a file"),
    ],
)
def test_places_that_no_data_set_may_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, out: str, said: str
) -> None:
    (tmp_path / "here" / "cwd").mkdir(parents=True)
    (tmp_path / "here" / "file").write_text("mine")
    monkeypatch.chdir(tmp_path / "here" / "cwd")
    with pytest.raises(UsageError, match=said):
        find_out(out.replace("here", str(tmp_path / "here")), [])
    assert (tmp_path / "here" / "file").read_text() == "mine"


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


def finished(out: Path, text: str, subject: str) -> Path:
    """Make a data set of one subject, with files of others unless it is still unfinished."""
    anat = out / subject / "anat"
    anat.mkdir(parents=True)
    (anat / f"{subject}_FLAIR.nii.gz").write_text(text)
    (out / "sub-01" / "anat").mkdir(parents=True, exist_ok=True)
    (out / "sub-01" / "anat" / "mine.txt").write_text(f"of {text}")
    if not out.name.endswith(".partial"):
        (out / "notes").mkdir()
        (out / "notes" / "a.txt").write_text(f"of {text}")
    (out / "sessions").mkdir()
    (out / "sessions" / f"{subject}.json").write_text("{}")
    flair = f"{subject}/anat/{subject}_FLAIR.nii.gz"
    (out / "manifest.tsv").write_text(f"subject\tflair\tsha256_flair\n{subject}\t{flair}\t0\n")
    (out / "recipe.yaml").write_text(RECIPE)
    return out


@pytest.mark.parametrize("stopped_at", range(1, 14))
def test_a_swap_that_stops_anywhere_is_mended_at_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stopped_at: int
) -> None:
    out = finished(tmp_path / "out", "old", "sub-01")
    calls = []

    def stopping(name: str) -> None:
        real = getattr(Path, name)

        def act(path: Path, *args: object, **options: object) -> object:
            if path.suffix == ".lock":
                return real(path, *args, **options)
            calls.append(name)
            if len(calls) >= stopped_at:
                raise OSError("killed")
            return real(path, *args, **options)

        patch.setattr(Path, name, act)

    with monkeypatch.context() as patch, suppress(MrcontrastError), staged(out) as stage:
        finished(stage, "new", "sub-02")
        for name in ("rename", "unlink", "rmdir"):
            stopping(name)
    with staged(out) as stage:
        if not (stage / "manifest.tsv").exists():
            finished(stage, "new", "sub-02")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    texts = {str(p.relative_to(out)): p.read_text() for p in out.rglob("*") if p.is_file()}
    assert texts["sub-02/anat/sub-02_FLAIR.nii.gz"] == "new"
    assert "sub-01/anat/sub-01_FLAIR.nii.gz" not in texts
    assert texts["sub-01/anat/mine.txt"] == "of new"
    assert texts["sub-01/anat/earlier-mine.txt"] == "of old"
    assert texts["notes/a.txt"] == "of old"


def test_an_earlier_version_s_leftover_is_taken_up(tmp_path: Path) -> None:
    finished(tmp_path / ".out.replaced-4711", "old", "sub-01")
    out = finished(tmp_path / "out", "new", "sub-02")
    with staged(out) as stage:
        shutil.copytree(out, stage, dirs_exist_ok=True, ignore=shutil.ignore_patterns("notes"))
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert (out / "sub-01" / "anat" / "earlier-mine.txt").read_text() == "of old"
    assert not (out / "sub-01" / "anat" / "sub-01_FLAIR.nii.gz").exists()


def test_files_of_others_in_the_folder_for_unfinished_work_are_not_removed(tmp_path: Path) -> None:
    (tmp_path / ".out.partial").mkdir()
    (tmp_path / ".out.partial" / "thesis.txt").write_text("mine")
    with pytest.raises(UsageError, match=r"thesis\.txt"):
        fail_half_way(tmp_path / "out")
    assert (tmp_path / ".out.partial" / "thesis.txt").read_text() == "mine"
