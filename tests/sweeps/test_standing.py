"""Which jobs a table ranks after a second start, and what a folder from elsewhere can do."""

import csv
import json
import shutil
from pathlib import Path

import pytest

from mrcontrast.cli import main
from mrcontrast.storage.files import write_json
from mrcontrast.sweeps.jobs import FAILED, RUNNING, Job, read_jobs
from mrcontrast.sweeps.run_job import WORK, composed
from toy.runs import CONFIGS


def pretend(job: Job) -> float:
    """Train in no time; the score is the value that is varied."""
    config = composed(job)
    (job.folder / "weights.safetensors").write_text(f"{config.seed}")
    job.steps = int(config.trainer.max_steps)
    return float(next(iter(job.varied.values()), 1.0))


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs run in forks, which inherit this."""
    monkeypatch.setitem(WORK, "train", pretend)


def start(root: Path, *overrides: str, configs: Path = CONFIGS) -> int:
    fixed = [
        f"hydra.searchpath=[file://{configs}]",
        "hydra/launcher=forks",
        f"paths.outputs={root}",
        "logger=none",
        "name=toy",
        "trainer.max_steps=4",
    ]
    return main(["train", "-m", *fixed, *overrides])


def table(root: Path) -> list[dict[str, str]]:
    with (root / "sweeps/toy/results.csv").open() as file:
        return list(csv.DictReader(file))


def standing(root: Path) -> dict[str, tuple[str, str]]:
    """Return rank and reason of each row of the table, in its order."""
    return {row["job"]: (row["rank"], row["not ranked"]) for row in table(root)}


def test_results_of_other_data_stand_below(tmp_path: Path, prepared_root: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(prepared_root, data)
    words = ["stage=lookup", "data=prepared", f"data.root={data}", "seed=1,2"]
    assert start(tmp_path, *words) == 0
    before = {path: path.read_bytes() for path in (tmp_path / "sweeps/toy").glob("seed_?/*")}
    table_of_before = (data / "manifest.tsv").read_text()
    (data / "manifest.tsv").write_text(table_of_before.replace("\tval\t", "\ttrain\t"))
    assert start(tmp_path, *words) == 0
    rows = standing(tmp_path)
    new, old = list(rows)[:2], list(rows)[2:]
    assert [rows[name] for name in new] == [("1", ""), ("2", "")]
    assert {name: rows[name] for name in old} == {
        "seed_1": ("", "other data"),
        "seed_2": ("", "other data"),
    }
    assert {path: path.read_bytes() for path in before} == before
    assert [row["steps"] for row in table(tmp_path)] == ["4"] * 4
    (data / "manifest.tsv").write_text(table_of_before)  # found again
    assert start(tmp_path, *words) == 0
    rows = standing(tmp_path)
    assert list(rows.values()) == [("1", ""), ("2", ""), *[("", "other data")] * 2]
    assert set(list(rows)[2:]) == set(new)
    assert [job.attempts for job in read_jobs(tmp_path / "sweeps/toy")] == [1] * 4


def test_results_of_an_older_config_stand_below(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    configs = tmp_path / "configs"
    shutil.copytree(CONFIGS, configs)
    words = ["stage=toy_autoencoder", "data=toy", "stage.lr=0.1,0.2"]
    assert start(tmp_path, *words, configs=configs) == 0
    stage = configs / "stage" / "toy_autoencoder.yaml"
    stage.write_text(stage.read_text().replace("kernel_size: 3", "kernel_size: 1"))
    for name, state in (("lr_0.1", FAILED), ("lr_0.2", RUNNING)):  # neither counts any more
        job = Job.read(tmp_path / "sweeps/toy" / name)
        job.state, job.error = state, "Expected a, got [/b]."
        job.save()
    assert start(tmp_path, *words, configs=configs) == 0
    rows = standing(tmp_path)
    assert list(rows.values()) == [("1", ""), ("2", ""), *[("", "other config")] * 2]
    assert list(rows)[2:] == ["lr_0.1", "lr_0.2"]
    capsys.readouterr()
    assert main(["sweep-table", str(tmp_path / "sweeps/toy")]) == 0
    assert "other config" in capsys.readouterr().out


def test_results_of_other_parents_stand_below(tmp_path: Path) -> None:
    parent = tmp_path / "parent"
    parent.mkdir()
    (parent / "config.yaml").touch()
    words = ["stage=toy_diffusion", "data=toy", f"autoencoder={parent}", "seed=1,2"]
    for weights in ("a", "b"):
        write_json(parent / "provenance.json", {"weights_sha256": weights})
        assert start(tmp_path, *words) == 0
    reasons = [("1", ""), ("2", ""), *[("", "other parents")] * 2]
    assert list(standing(tmp_path).values()) == reasons


def test_values_that_this_start_does_not_name_are_not_ranked(tmp_path: Path) -> None:
    words = ["stage=toy_autoencoder", "data=toy"]
    assert start(tmp_path, *words, "seed=1,2") == 0
    assert start(tmp_path, *words, "seed=3,4") == 0
    assert standing(tmp_path) == {
        "seed_3": ("1", ""),
        "seed_4": ("2", ""),
        "seed_1": ("", "other values"),
        "seed_2": ("", "other values"),
    }
    assert start(tmp_path, *words, "seed=1,2,3,4") == 0
    assert [row["rank"] for row in table(tmp_path)] == ["1", "2", "3", "4"]
    assert [job.attempts for job in read_jobs(tmp_path / "sweeps/toy")] == [1, 1, 1, 1]


def test_a_search_with_another_space_goes_on(tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    words = ["stage=toy_autoencoder", "data=toy", "hydra/sweeper=optuna"]
    random = "hydra.sweeper.sampler._target_=optuna.samplers.RandomSampler"
    first = [*words, random, "hydra.sweeper.n_trials=3", "stage.lr=interval(1.0,2.0)"]
    assert start(tmp_path, *first) == 0
    second = [*words, random, "hydra.sweeper.n_trials=2", "stage.lr=interval(5.0,6.0)"]
    assert start(tmp_path, *second) == 0
    rows = table(tmp_path)
    assert [row["not ranked"] for row in rows] == ["", ""] + ["other values"] * 3
    assert all(float(row["stage.lr"]) >= 5 for row in rows[:2])
    assert start(tmp_path, *first) == 0  # the three are found again
    assert [row["not ranked"] for row in table(tmp_path)] == [""] * 3 + ["other values"] * 2
    assert sum(job.attempts for job in read_jobs(tmp_path / "sweeps/toy")) == 5


def test_a_copied_job_is_ranked_once(tmp_path: Path) -> None:
    words = ["stage=toy_autoencoder", "data=toy", "seed=1,2"]
    assert start(tmp_path, *words) == 0
    folder = tmp_path / "sweeps/toy"
    shutil.copytree(folder / "seed_1", folder / "seed_9")
    assert main(["sweep-table", str(folder)]) == 0
    assert standing(tmp_path)["seed_9"] == ("", "of another sweep")
    assert start(tmp_path, *words) == 0
    assert standing(tmp_path)["seed_9"] == ("", "copy of another job")
    assert [row["rank"] for row in table(tmp_path)] == ["1", "2", ""]


def test_a_job_whose_data_change_before_it_begins_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def changed(job: Job) -> float:
        monkeypatch.setattr("mrcontrast.sweeps.identity.data_hashes", lambda plain: ["other"])
        return pretend(job)

    monkeypatch.setitem(WORK, "train", changed)
    assert start(tmp_path, "stage=toy_autoencoder", "data=toy", "seed=1") == 1
    assert "Expected the data of the sweep's start" in capsys.readouterr().out


def test_lost_weights_are_trained_again(tmp_path: Path) -> None:
    words = ["stage=toy_autoencoder", "data=toy", "seed=1,2"]
    assert start(tmp_path, *words) == 0
    (tmp_path / "sweeps/toy/seed_2/weights.safetensors").unlink()
    assert start(tmp_path, *words) == 0
    assert [job.attempts for job in read_jobs(tmp_path / "sweeps/toy")] == [1, 2]


def error_of(capsys: pytest.CaptureFixture[str]) -> str:
    text = capsys.readouterr().err
    assert text.count("\n") == 1
    return text


@pytest.mark.parametrize(
    "change",
    [
        "",
        '{"state": "fin',
        "[]",
        {"state": "done"},
        {"score": "high"},
        {"score": float("nan")},
        {"varied": {"seed": 1}},
        {"varied": ["seed"]},
        {"overrides": [{"seed": 1}]},
        {"command": "rm"},
        {"attempts": None},
        {"frob": 1},
    ],
)
def test_a_damaged_job_is_named_and_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: str | dict
) -> None:
    folder = tmp_path / "sweeps/toy"
    job = Job(folder / "seed_1", "train", ["seed=1"], {"seed": "1"}, {"config": "a"}, 1)
    job.folder.mkdir(parents=True)
    job.save()
    path = job.folder / "job.json"
    text = change if isinstance(change, str) else json.dumps(json.loads(path.read_text()) | change)
    path.write_text(text)
    assert main(["sweep-table", str(folder)]) == 1
    assert "seed_1/job.json). Restore the file, or move its folder" in error_of(capsys)
    assert path.read_text() == text


@pytest.mark.parametrize("text", ["", "[]", '{"sweep": [], "mlflow', '{"sweep": [1]}'])
def test_a_damaged_record_of_the_sweep_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    words = ["stage=toy_autoencoder", "data=toy", "seed=1"]
    (tmp_path / "sweeps/toy").mkdir(parents=True)
    (tmp_path / "sweeps/toy/sweep.json").write_text(text)
    assert start(tmp_path, *words) == 1
    assert "sweep.json). Restore it, or remove it" in error_of(capsys)


@pytest.mark.parametrize("name", ["seed_1", "seed_2/checkpoints", "events.csv", "seed_2/log.txt"])
def test_a_folder_from_elsewhere_leads_nowhere_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    outside = tmp_path / "mine"
    outside.mkdir()
    (outside / "notes.txt").write_text("mine")
    link = tmp_path / "sweeps/toy" / name
    link.parent.mkdir(parents=True)
    link.symlink_to(outside / "notes.txt" if link.suffix else outside)
    assert start(tmp_path, "stage=toy_autoencoder", "data=toy", "seed=1,2") == 1
    assert "Expected no link that leads out of the sweep" in error_of(capsys)
    assert [path.read_text() for path in outside.iterdir()] == ["mine"]


def test_a_job_from_elsewhere_does_not_say_what_is_composed(tmp_path: Path) -> None:
    words = ["stage=toy_autoencoder", "data=toy", "seed=1,2"]
    assert start(tmp_path, *words) == 0
    job = Job.read(tmp_path / "sweeps/toy/seed_1")
    job.state = FAILED
    job.overrides = ["stage=frob", "+x=${oc.env:HOME}", f"out={tmp_path}/out"]
    job.save()
    others = {"hydra.searchpath": "[pkg://frob]", "seed": "1 2", "+x": "${oc.env:FROB}"}
    for number, (key, value) in enumerate(others.items(), start=3):
        other = Job(job.folder.with_name(f"o_{number}"), "train", [], {key: value}, job.identity)
        other.identity = other.identity | {"config": str(number)}
        other.number = number
        other.folder.mkdir()
        other.save()
    assert start(tmp_path, *words) == 0
    assert Job.read(job.folder).overrides[-2] == f"out={job.folder}"
    assert not (tmp_path / "out").exists()
    assert [row["rank"] for row in table(tmp_path)] == ["1", "2", "", "", ""]
