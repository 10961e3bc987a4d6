"""Sweeps over studies: what ranks them, and where their runs belong."""

import json
import os
from pathlib import Path

import pytest
from omegaconf import DictConfig

from mrcontrast.cli import main
from mrcontrast.config.build import compose
from mrcontrast.errors import MrcontrastError
from mrcontrast.sweeps.jobs import monitor_of, read_jobs, score_of
from toy.runs import CONFIGS, mlflow_runs, with_mlflow


def write_summary(folder: Path, psnr: float) -> None:
    brain = {"psnr": {"mean": psnr}}
    summary = {"methods": {"lookup": {"brain": {}}, "controlnet": {"brain": brain}}}
    (folder / "evaluation").mkdir(parents=True, exist_ok=True)
    (folder / "evaluation" / "summary.json").write_text(json.dumps(summary))


def fake_study(config: DictConfig) -> int:
    write_summary(Path(config.out), 20.0 + config.study.figure.subjects)
    (Path(config.out) / "parent.txt").write_text(os.environ["MRCONTRAST_PARENT_RUN"])
    (Path(config.out) / "report").mkdir()
    (Path(config.out) / "report" / "report.html").write_text("<html>")
    return 0


def test_a_study_is_ranked_by_its_last_method(tmp_path: Path) -> None:
    config = compose("study", ["study=demo", f"out={tmp_path}"])
    assert monitor_of("study", config) == ("controlnet/brain/psnr", "max")  # not the shuffled one
    write_summary(tmp_path, 21.5)
    assert score_of(config) == 21.5
    other = compose("study", ["study=demo", f"out={tmp_path}", "objective.method=lookup"])
    with pytest.raises(MrcontrastError, match="Expected lookup/brain/psnr"):
        score_of(other)


def test_studies_are_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mrcontrast.study.command.study", fake_study)
    with_mlflow(tmp_path)
    overrides = [
        f"hydra.searchpath=[file://{CONFIGS}]",
        "hydra/launcher=forks",
        f"paths.outputs={tmp_path}",
        "study=smoke",
        "study.figure.subjects=1,3",
    ]
    assert main(["study", "-m", *overrides]) == 0
    jobs = read_jobs(tmp_path / "sweeps/smoke")
    assert [(job.name, job.score) for job in jobs] == [("subjects_1", 21.0), ("subjects_3", 23.0)]
    runs = {run.info.run_id: run for run in mlflow_runs(tmp_path)}
    assert len(runs) == 3
    parents = {(job.folder / "parent.txt").read_text() for job in jobs}
    assert len(parents) == 2
    for run_id in parents:
        assert runs[run_id].data.tags["mlflow.parentRunId"] in runs
        assert runs[run_id].data.metrics["best_score"] in (21.0, 23.0)
        assert runs[run_id].info.status == "FINISHED"
