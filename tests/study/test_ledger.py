"""A study's steps are done once, and again only when something they depend on has changed."""

import hashlib
import json
import os
import shutil

import pytest

from mrcontrast.errors import MrcontrastError
from mrcontrast.storage.files import write_text
from mrcontrast.study.changes import outlook
from mrcontrast.study.ledger import Ledger, Step
from mrcontrast.study.records import MARK


def make_steps(folder, log, settings=("a", "b", "c"), fail=()):
    def work(name, setting):
        def run():
            log.append(name)
            (folder / name).mkdir(exist_ok=True)
            if name in fail:
                raise RuntimeError(name)
            (folder / name / "result.txt").write_text(f"{name} {setting}")

        return run

    inputs = {"one": (), "two": ("one",), "other": ()}
    return [
        Step(name, name.title(), folder / name, setting, work(name, setting), inputs[name])
        for name, setting in zip(inputs, settings, strict=True)
    ]


def run_all(folder, log, **options):
    ledger = Ledger(folder / "steps")
    for step in make_steps(folder, log, **options):
        if not ledger.is_finished(step):
            ledger.run(step)


def test_a_second_start_does_nothing(tmp_path):
    log = []
    run_all(tmp_path, log)
    run_all(tmp_path, log)
    assert log == ["one", "two", "other"]


def test_a_change_reruns_what_depends_on_it_and_nothing_else(tmp_path):
    log = []
    run_all(tmp_path, log)
    run_all(tmp_path, log, settings=("changed", "b", "c"))
    assert log[3:] == ["one", "two"]


def text_of(folder, name):
    return (folder / name / "result.txt").read_text()


def test_an_out_of_date_output_moves_aside_whole(tmp_path):
    run_all(tmp_path, [])
    (tmp_path / "one" / "notes.txt").write_text("mine")
    run_all(tmp_path, [], settings=("changed", "b", "c"))
    assert text_of(tmp_path, "one") == "one changed"
    assert not (tmp_path / "one" / "notes.txt").exists()
    (earlier,) = (tmp_path / "earlier" / "one").iterdir()
    assert (earlier / "notes.txt").read_text() == "mine"
    assert (earlier / "result.txt").read_text() == "one a"


def test_going_back_and_forth_costs_nothing(tmp_path):
    log = []
    changed = ("changed", "b", "c")
    run_all(tmp_path, log)
    run_all(tmp_path, log, settings=changed)
    assert log[3:] == ["one", "two"]
    for settings in (("a", "b", "c"), changed, ("a", "b", "c")):
        run_all(tmp_path, log, settings=settings)
        assert text_of(tmp_path, "one") == f"one {settings[0]}"
    assert len(log) == 5
    assert len(list((tmp_path / "earlier").glob("*/*"))) == 2  # of one and of two


def test_an_earlier_result_is_verified_before_it_is_used_again(tmp_path):
    def step(setting, verify=lambda: None):
        work = make_steps(tmp_path, log, (setting, "b", "c"))[0].run
        return Step("one", "One", tmp_path / "one", setting, work, verify=verify)

    def damaged():
        raise MrcontrastError("damaged")

    log = []
    for setting in ("a", "changed"):
        ledger = Ledger(tmp_path / "steps")
        assert not ledger.is_finished(step(setting))
        ledger.run(step(setting))
    ledger = Ledger(tmp_path / "steps")
    again = step("a", damaged)
    assert not ledger.is_finished(again)
    ledger.run(again)
    assert log == ["one", "one", "one"]
    assert len(list((tmp_path / "earlier" / "one").iterdir())) == 2


def test_an_interrupted_step_is_found_again_too(tmp_path):
    log = []
    with pytest.raises(RuntimeError, match="one"):
        run_all(tmp_path, log, fail=("one",))
    write_text(tmp_path / "one" / "half.ckpt", "half")
    run_all(tmp_path, log, settings=("changed", "b", "c"))
    assert not (tmp_path / "one" / "half.ckpt").exists()
    run_all(tmp_path, log)
    assert (tmp_path / "one" / "half.ckpt").exists()


def move_and_die(monkeypatch, after):
    """Let the next move be the last thing that the process does, or what it does not do."""

    def move(source, target):
        if after:
            target.parent.mkdir(parents=True, exist_ok=True)
            source.rename(target)
        raise KeyboardInterrupt

    monkeypatch.setattr("mrcontrast.study.ledger.move", move)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("back", [False, True])
def test_a_kill_while_outputs_move_loses_nothing(tmp_path, monkeypatch, after, back):
    log = []
    changed = ("changed", "b", "c")
    run_all(tmp_path, log)
    if back:
        run_all(tmp_path, log, settings=changed)
    with monkeypatch.context() as patch:
        move_and_die(patch, after)
        with pytest.raises(KeyboardInterrupt):
            run_all(tmp_path, log, settings=("a", "b", "c") if back else changed)
    run_all(tmp_path, log, settings=changed)
    run_all(tmp_path, log)
    assert log == ["one", "two", "other", "one", "two"]
    assert text_of(tmp_path, "one") == "one a"


@pytest.mark.parametrize("name", ["one", "two", "other"])
def test_a_folder_that_the_ledger_has_not_made_is_refused(tmp_path, name):
    write_text(tmp_path / name / "raw" / "scan.txt", "raw")
    log = []
    with pytest.raises(MrcontrastError, match=f"has not made .*{name}"):
        outlook(Ledger(tmp_path / "steps"), make_steps(tmp_path, log))
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.*")] == [
        f"{name}/raw/scan.txt"
    ]
    with pytest.raises(MrcontrastError, match="has not made"):
        run_all(tmp_path, log)
    assert (tmp_path / name / "raw" / "scan.txt").read_text() == "raw"
    assert name not in log


@pytest.mark.parametrize("state", ["finished", "started"])
@pytest.mark.parametrize("settings", [("a", "b", "c"), ("changed", "b", "c")])
def test_a_ledger_copied_from_elsewhere_gives_no_right_to_a_folder(tmp_path, state, settings):
    there, here = tmp_path / "there", tmp_path / "here"
    log = []
    if state == "finished":
        run_all(there, log)
    else:
        with pytest.raises(RuntimeError):
            run_all(there, log, fail=("one",))
    shutil.copytree(there / "steps", here / "steps")
    write_text(here / "one" / "raw.txt", "raw")
    with pytest.raises(MrcontrastError, match="has not made"):
        outlook(Ledger(here / "steps"), make_steps(here, log, settings=settings))
    with pytest.raises(MrcontrastError, match="has not made"):
        run_all(here, log, settings=settings)
    assert [path.name for path in (here / "one").iterdir()] == ["raw.txt"]


def test_a_study_may_be_moved_and_copied(tmp_path):
    log = []
    run_all(tmp_path / "a", log)
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    (tmp_path / "a").rename(tmp_path / "c")
    for name in ("b", "c"):
        run_all(tmp_path / name, log)
        assert len(log) == 3
        run_all(tmp_path / name, log, settings=("changed", "b", "c"))
        del log[3:]


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "{}", '{"state": "finished"}', '{"state": 1, "hash": "a"}', "ÿ"]
)
def test_a_record_that_cannot_be_read_is_named(tmp_path, text):
    log = []
    run_all(tmp_path, log)
    (tmp_path / "steps" / "one.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(
        MrcontrastError, match=r"Expected the record of a step, .*one\.json"
    ) as caught:
        outlook(Ledger(tmp_path / "steps"), make_steps(tmp_path, log))
    assert "\n" not in str(caught.value)
    assert text_of(tmp_path, "one") == "one a"


def test_the_outlook_says_first_what_is_done_again_and_why(tmp_path):
    log = []
    run_all(tmp_path, log)
    assert outlook(Ledger(tmp_path / "steps"), make_steps(tmp_path, log)) == []
    changed = make_steps(tmp_path, log, settings=("changed", "b", "c"))
    first, second = outlook(Ledger(tmp_path / "steps"), changed)
    assert first.startswith("One: done again because its setting was a and is changed; ")
    assert "earlier/one/" in first
    assert second.startswith("Two: done again because one is, unless that comes out as before; ")
    assert log == ["one", "two", "other"]
    run_all(tmp_path, log, settings=("changed", "b", "c"))
    first, second = outlook(Ledger(tmp_path / "steps"), make_steps(tmp_path, log))
    assert first.startswith("One: goes back to the earlier result in ")
    assert second.startswith("Two: goes back to the earlier result in ")
    first_start = outlook(Ledger(tmp_path / "new" / "steps"), make_steps(tmp_path / "new", log))
    assert first_start == []


def test_a_deleted_file_is_made_again_and_what_reads_the_same_result_is_kept(tmp_path):
    log = []
    run_all(tmp_path, log)
    (tmp_path / "one" / "notes.txt").write_text("mine")
    (tmp_path / "one" / "result.txt").unlink()
    first, second = outlook(Ledger(tmp_path / "steps"), make_steps(tmp_path, log))
    assert first == "One: goes on in its folder because result.txt is gone"
    assert second.startswith("Two: done again because one is, unless that comes out as before")
    run_all(tmp_path, log)
    assert log[3:] == ["one"]
    assert text_of(tmp_path, "one") == "one a"
    assert (tmp_path / "one" / "notes.txt").read_text() == "mine"


def test_a_step_that_does_not_see_what_is_gone_is_done_from_nothing(tmp_path):
    log = []

    def work():
        log.append(1)
        if not (tmp_path / "out" / "volume").exists():
            for name in ("volume", "deviation"):
                write_text(tmp_path / "out" / name, name)

    step = Step("out", "Out", tmp_path / "out", "a", work)
    for name in ("volume", "deviation"):
        ledger = Ledger(tmp_path / "steps")
        assert not ledger.is_finished(step)
        ledger.run(step)
        assert ledger.is_finished(step)
        stamp = ledger.stamps["out"]
        (tmp_path / "out" / name).unlink()
    ledger = Ledger(tmp_path / "steps")
    assert not ledger.is_finished(step)
    ledger.run(step)
    assert ledger.stamps["out"] == stamp
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"volume", "deviation", MARK}


@pytest.mark.parametrize(
    ("text", "keep_times"), [("two c", False), ("longer", True), ("two c", True)]
)
def test_a_changed_file_is_seen_and_kept(tmp_path, text, keep_times):
    log = []
    run_all(tmp_path, log)
    path = tmp_path / "two" / "result.txt"
    stat = path.stat()
    path.write_text(text)
    if keep_times:
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    (line,) = outlook(Ledger(tmp_path / "steps"), make_steps(tmp_path, log))
    assert line.startswith("Two: done again because result.txt has changed since; ")
    run_all(tmp_path, log)
    assert log[3:] == ["two"]
    (earlier,) = (tmp_path / "earlier" / "two").iterdir()
    assert (earlier / "result.txt").read_text() != "two b" == text_of(tmp_path, "two")


def test_files_of_others_and_new_times_change_nothing(tmp_path):
    log = []
    run_all(tmp_path, log)
    (tmp_path / "one" / "notes.txt").write_text("mine")
    os.utime(tmp_path / "one" / "result.txt")
    run_all(tmp_path, log)
    assert len(log) == 3


def test_a_step_whose_output_appears_whole_is_marked_at_its_end(tmp_path):
    def work():
        assert not (tmp_path / "data").exists()
        write_text(tmp_path / "data" / "table.tsv", "table")
        if kill:
            raise KeyboardInterrupt

    def step(setting):
        return Step("data", "Data", tmp_path / "data", setting, work, whole=True)

    kill = True
    ledger = Ledger(tmp_path / "steps")
    assert not ledger.is_finished(step("a"))
    with pytest.raises(KeyboardInterrupt):
        ledger.run(step("a"))
    assert not (tmp_path / "data" / MARK).exists()
    kill = False
    assert not ledger.is_finished(step("b"))
    ledger.run(step("b"))
    assert ledger.is_finished(step("b"))
    (earlier,) = (tmp_path / "earlier" / "data").iterdir()
    assert (earlier / "table.tsv").read_text() == "table"


def test_a_failed_step_runs_again_and_keeps_what_it_had(tmp_path):
    log = []
    with pytest.raises(RuntimeError, match="two"):
        run_all(tmp_path, log, fail=("two",))
    (tmp_path / "two" / "half.ckpt").write_text("half")
    run_all(tmp_path, log)
    assert log == ["one", "two", "two", "other"]
    assert (tmp_path / "two" / "half.ckpt").exists()


def test_a_removed_output_is_made_again(tmp_path):
    log = []
    run_all(tmp_path, log)
    shutil.rmtree(tmp_path / "other")
    run_all(tmp_path, log)
    assert log[3:] == ["other"]


def test_a_study_that_was_finished_before_there_were_stamps_stays_so(tmp_path):
    def old_hash(*facts):
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()

    one = old_hash("one", "a", [])
    hashes = {"one": one, "two": old_hash("two", "b", [one]), "other": old_hash("other", "c", [])}
    (tmp_path / "steps").mkdir()
    for name, found in hashes.items():
        write_text(tmp_path / name / "result.txt", "old")
        entry = {"state": "finished", "hash": found, "seconds": 1.0, "settings": "any"}
        (tmp_path / "steps" / f"{name}.json").write_text(json.dumps(entry))
    log = []
    run_all(tmp_path, log)
    assert log == []
    with pytest.raises(MrcontrastError, match="has not made"):  # no mark says that we have
        run_all(tmp_path, log, settings=("a", "changed", "c"))
    (tmp_path / "two").rename(tmp_path / "away")
    run_all(tmp_path, log, settings=("a", "changed", "c"))
    assert log == ["two"]
