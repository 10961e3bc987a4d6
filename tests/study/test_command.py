"""The chain as a whole: its plan, and (slow) that it runs, is reused and re-runs what changed."""

import json
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from mrcontrast.config.build import compose
from mrcontrast.errors import UsageError
from mrcontrast.study.command import plan, study


def settings(tmp_path, *overrides):
    return compose("study", ["study=smoke", f"paths.outputs={tmp_path}", *overrides])


def test_steps_come_in_order_and_name_what_they_read(tmp_path):
    steps = {step.name: step for step in plan(settings(tmp_path).study, tmp_path)}
    assert next(iter(steps)) == "data"
    assert steps["latent_diffusion"].inputs == ("data", "autoencoder")
    assert steps["controlnet"].inputs == ("data", "latent_diffusion")
    assert steps["predict-controlnet"].inputs == ("data", "controlnet")
    assert "predict-lookup" in steps["evaluation"].inputs
    assert "evaluation" in steps["report"].inputs


def test_a_model_that_is_not_trained_is_refused(tmp_path):
    config = settings(tmp_path, "study.predict.lookup.model=nothing")
    with pytest.raises(UsageError, match=r"got nothing \(study.predict.lookup\)"):
        plan(config.study, tmp_path)


@pytest.mark.parametrize("node", ["train.autoencoder.override", "predict.lookup.sample"])
def test_a_key_that_nothing_reads_is_refused(tmp_path, node):
    config = settings(tmp_path, f"+study.{node}=2")
    with pytest.raises(UsageError, match=rf"got {node.split('.')[-1]} \(study.{node[:5]}"):
        plan(config.study, tmp_path)


def test_a_study_can_do_without_mlflow(tmp_path, monkeypatch):
    trained = []
    monkeypatch.setattr("mrcontrast.commands.train.train", trained.append)
    config = settings(tmp_path, "study.common=['logger=none']")
    steps = {step.name: step for step in plan(config.study, tmp_path)}
    steps["autoencoder"].run()
    assert trained[0].name == "smoke/autoencoder"
    assert trained[0].logger._target_ == "mrcontrast.tracking.no_tracker.NoTracker"


@pytest.mark.parametrize("devices", ["2", "auto", "-1", "[0,1]"])
def test_a_training_in_several_processes_is_refused(tmp_path, devices):
    config = settings(tmp_path, f"study.common=['trainer.devices={devices}']")
    with pytest.raises(UsageError, match=r"Expected trainer.devices=1 in a study"):
        plan(config.study, tmp_path)


def test_a_group_that_sets_several_processes_is_refused(tmp_path, monkeypatch):
    config = settings(tmp_path, "study.common=['logger=none','trainer.devices=[0]']")
    steps = {step.name: step for step in plan(config.study, tmp_path)}
    several = OmegaConf.create({"trainer": {"devices": [0, 1]}})
    monkeypatch.setattr("mrcontrast.study.steps.compose", lambda *_: several)
    with pytest.raises(UsageError, match=r"got \[0, 1\] \(study.train.autoencoder\)"):
        steps["autoencoder"].run()


def finished(folder: Path) -> dict[str, float]:
    return {path.stem: path.stat().st_mtime for path in (folder / "steps").glob("*.json")}


@pytest.mark.slow
def test_the_chain_runs_once_and_a_change_reruns_only_what_depends_on_it(tmp_path, capsys):
    folder = tmp_path / "study" / "smoke"
    assert study(settings(tmp_path)) == 0
    summary = json.loads((folder / "evaluation" / "summary.json").read_text())
    assert set(summary["methods"]) == {"lookup", "autoencoder", "controlnet"}
    for method in summary["methods"].values():
        assert method["brain"]["psnr"]["n"] == 1
        assert method["brain"]["psnr"]["mean"] > 5
    assert (folder / "figures" / "comparison.png").stat().st_size > 10_000
    assert (folder / "report" / "report.html").stat().st_size > 2_000_000  # with its viewer
    first = finished(folder)

    assert study(settings(tmp_path)) == 0
    assert finished(folder) == first
    assert capsys.readouterr().out.count("reused") == len(first)

    assert study(settings(tmp_path, "study.predict.controlnet.samples=3")) == 0
    changed = {name for name, time in finished(folder).items() if time != first[name]}
    assert changed == {"predict-controlnet", "evaluation", "figures", "report"}
