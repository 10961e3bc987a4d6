"""A finished training of a study whose YAML files have changed since is told of, and kept."""

from pathlib import Path

from omegaconf import OmegaConf

from mrcontrast.study.changes import changed_setting
from toy.runs import arguments, toy_run


def test_what_changed_is_told_with_both_values(tmp_path: Path) -> None:
    run = toy_run(tmp_path, "a", "stage=toy_autoencoder")
    overrides = arguments(tmp_path, "stage=toy_autoencoder")
    assert changed_setting(run, [*overrides, "name=b", "out=elsewhere"]) is None
    remark = changed_setting(run, [*overrides, "stage.lr=0.5"])
    assert remark is not None
    assert "stage.lr was 0.01 then and is 0.5 today" in remark
    assert str(run.path) in remark


def test_keys_that_came_later_and_configs_that_cannot_be_told_pass(tmp_path: Path) -> None:
    run = toy_run(tmp_path, "a", "stage=toy_autoencoder")
    overrides = arguments(tmp_path, "stage=toy_autoencoder")
    older = run.config
    del older.stage["lr"]
    OmegaConf.save(older, run.config_path)
    assert changed_setting(run, [*overrides, "stage.lr=0.5"]) is None
    assert changed_setting(run, [*overrides, "stage=no_such_stage"]) is None
