"""A study's steps are done once, and again only when something they depend on has changed."""

import hashlib
import json
import shutil

import pytest

from mrcontrast.steps import Ledger, Step


def make_steps(folder, log, settings=("a", "b", "c"), fail=()):
    def work(name):
        def run():
            log.append(name)
            (folder / name).mkdir(exist_ok=True)
            if name in fail:
                raise RuntimeError(name)

        return run

    inputs = {"one": (), "two": ("one",), "other": ()}
    return [
        Step(name, name.title(), folder / name, setting, work(name), inputs[name])
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


def test_an_out_of_date_output_is_removed_before_it_is_made_again(tmp_path):
    run_all(tmp_path, [])
    (tmp_path / "one" / "stale.txt").write_text("old")
    run_all(tmp_path, [], settings=("changed", "b", "c"))
    assert not (tmp_path / "one" / "stale.txt").exists()


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
    (tmp_path / "other").rmdir()
    run_all(tmp_path, log)
    assert log[3:] == ["other"]


def test_what_read_an_output_that_was_made_again_is_made_again(tmp_path):
    log = []
    run_all(tmp_path, log)
    shutil.rmtree(tmp_path / "one")
    run_all(tmp_path, log)
    assert log[3:] == ["one", "two"]
    run_all(tmp_path, log)
    assert log[5:] == []


def test_settings_that_went_away_and_came_back_count(tmp_path):
    log = []
    run_all(tmp_path, log)
    ledger = Ledger(tmp_path / "steps")
    changed, *_ = make_steps(tmp_path, log, settings=("changed", "b", "c"))
    assert not ledger.is_finished(changed)
    ledger.run(changed)
    run_all(tmp_path, log)
    assert log[3:] == ["one", "one", "two"]


def test_a_study_that_was_finished_before_there_were_stamps_stays_so(tmp_path):
    def old_hash(*facts):
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()

    one = old_hash("one", "a", [])
    hashes = {"one": one, "two": old_hash("two", "b", [one]), "other": old_hash("other", "c", [])}
    (tmp_path / "steps").mkdir()
    for name, found in hashes.items():
        (tmp_path / name).mkdir()
        entry = {"state": "finished", "hash": found, "seconds": 1.0, "settings": "any"}
        (tmp_path / "steps" / f"{name}.json").write_text(json.dumps(entry))
    log = []
    run_all(tmp_path, log)
    assert log == []
    run_all(tmp_path, log, settings=("a", "changed", "c"))
    assert log == ["two"]
