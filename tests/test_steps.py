"""A study's steps are done once, and again only when something they depend on has changed."""

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
