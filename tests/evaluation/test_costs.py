"""What a method costs: counted from its stage, kept in sidecars, told beside its figures."""

import json
from pathlib import Path

import pytest
import torch
from tests.stages.conftest import make_controlnet, make_regressor, make_stage, regressed

from mrcontrast.config.build import compose
from mrcontrast.evaluation.costs import add_costs, read_costs, training_minutes
from mrcontrast.evaluation.table import to_markdown
from mrcontrast.evaluation.terminal import to_rich
from mrcontrast.inference.translation import cost_of, count_parameters
from mrcontrast.storage.files import write_json
from mrcontrast.study.command import plan
from mrcontrast.study.runs import runs_of

BUDGET = {  # parts of each method's training time
    "unet": ["whole"],
    "pix2pix": ["whole"],
    "concat": ["autoencoder", "after_autoencoder"],
    "bridge": ["autoencoder", "after_autoencoder"],
    "controlnet": ["autoencoder", "base", "controlnet"],
    "residual": ["autoencoder", "regression", "residual"],
}


def size(*modules: torch.nn.Module) -> int:
    return sum(value.numel() for module in modules for value in module.parameters())


def test_parts_that_only_train_do_not_count() -> None:
    gan, plain = make_stage("pix2pix", 2), make_stage("unet_regression", 2)
    assert count_parameters(gan) == count_parameters(plain) == size(gan.regressor)
    adversarial = make_stage("adversarial", 2)
    assert count_parameters(adversarial) == size(adversarial.autoencoder)
    residual = make_stage("residual_diffusion", 3)
    parts = residual.codec, residual.denoiser, residual.condition.regressor
    assert count_parameters(residual) == size(*parts)


@pytest.mark.parametrize(
    ("name", "samples", "calls"),
    [
        ("unet_regression", 1, 1),
        ("autoencoder", 1, 1),
        ("controlnet", 4, 8),  # two steps a draw
        ("latent_bridge", 1, 2),
        ("residual_diffusion", 3, 8),  # two steps a draw, and its regression twice for all
    ],
)
def test_calls_of_all_draws_count(name: str, samples: int, calls: int) -> None:
    assert make_stage(name, 2).network_calls(samples) == calls


def test_a_regression_in_the_condition_counts() -> None:
    stage = make_controlnet(2, regressed(make_regressor(2)))
    assert stage.network_calls(4) == 9  # two steps a draw, and the regression once for all


def test_costs_on_a_cpu_say_that_memory_is_estimated() -> None:
    stage = make_stage("unet_regression", 2)
    cost = cost_of(stage, 1, torch.device("cpu"), 3 * 1024**3)
    assert cost["PeakMemoryGiB"] == 3
    assert cost["PeakMemoryFrom"] == "estimate"
    assert cost_of(stage, 1, torch.device("cpu"), None)["PeakMemoryGiB"] is None


def sidecar(folder: Path, name: str, seconds: float, **cost: float) -> None:
    write_json(folder / f"{name}.json", {"Seconds": seconds, "Cost": cost or None})


@pytest.fixture
def predictions(tmp_path: Path) -> Path:
    folder = tmp_path / "predictions"
    for name, seconds in (("a", 9.0), ("b", 2.0), ("c", 3.0)):
        sidecar(folder, name, seconds, Parameters=1234567, NetworkCalls=24, PeakMemoryGiB=0.5)
    return folder


def test_costs_are_read_from_sidecars_and_runs(predictions: Path, tmp_path: Path) -> None:
    for name, seconds in (("autoencoder", 60), ("unet", 90)):
        write_json(tmp_path / "runs" / name / "provenance.json", {"seconds": seconds})
    runs = [tmp_path / "runs" / "autoencoder", tmp_path / "runs" / "unet"]
    assert read_costs(predictions, runs) == {
        "parameters": 1234567,
        "network_calls": 24,
        "seconds_a_volume": 3.0,
        "peak_memory_gib": 0.5,
        "training_minutes": 2.5,
    }


def test_a_start_elsewhere_counts_and_an_unknown_one_is_unknown(tmp_path: Path) -> None:
    run = tmp_path / "exported"
    start = {"weights_sha256": "", "seconds": 120}
    write_json(run / "provenance.json", {"seconds": 60, "start_from": start})
    assert training_minutes([run]) == 3
    assert training_minutes([run, tmp_path / "not there"]) is None
    write_json(run / "provenance.json", {"seconds": 60, "start_from": start | {"seconds": None}})
    assert training_minutes([run]) is None


def test_all_that_a_released_model_was_built_on_counts(tmp_path: Path) -> None:
    plain = {"train": {"a": {}, "b": {"start_from": "a"}, "c": {"parents": {"autoencoder": "b"}}}}
    assert [run.name for run in runs_of("c", plain, tmp_path)] == ["c", "b", "a"]
    names = {run.name for run in runs_of("phantom-2d", plain, tmp_path)}
    assert names == {"controlnet", "latent_diffusion", "autoencoder", "unet"}


def test_what_older_sidecars_do_not_say_is_unknown(tmp_path: Path) -> None:
    sidecar(tmp_path / "old", "a", 2.0)
    costs = read_costs(tmp_path / "old", [])
    assert costs["seconds_a_volume"] == 2.0
    assert [name for name, value in costs.items() if value is None] == [
        "parameters",
        "network_calls",
        "peak_memory_gib",
        "training_minutes",
    ]


def figures() -> dict:
    known = {"mean": 20.0, "sd": 1.0, "ci95": [19.0, 21.0], "n": 4}
    return {region: dict.fromkeys(METRIC_NAMES, known) for region in ("brain", "image")}


METRIC_NAMES = ("mae", "rmse", "psnr", "ssim", "ms_ssim")


def test_costs_are_a_table_of_their_own_if_they_are_known(
    predictions: Path, tmp_path: Path
) -> None:
    summary = {
        "methods": {"ours": figures(), "theirs": figures()},
        "intensity_range": {"low": 0, "high": 1},
        "normalisation": "none",
        "inputs": {"masks": "given"},
        "missing": {},
        "subjects": ["sub-01", "sub-02"],
    }
    assert "Calls" not in to_markdown(summary)
    write_json(tmp_path / "out" / "summary.json", summary)
    found = add_costs(tmp_path / "out", {"ours": predictions}, {"ours": []})
    text = (tmp_path / "out" / "summary.md").read_text()
    costs = text.split("## Costs")[1]
    assert "| Method | Parameters | Calls | s a volume | Memory (GiB) | Training (min) |" in costs
    assert "| ours | 1,234,567 | 24 | 3.00 | 0.50 | n/a |" in costs
    assert "| theirs | n/a | n/a | n/a | n/a | n/a |" in costs
    assert "Calls: of the network" in costs
    assert json.loads((tmp_path / "out" / "summary.json").read_text()) == found
    brain_table, _, cost_table = (fitted.sheet for fitted in to_rich(found).renderables)
    assert len(brain_table.columns) == 2 + len(METRIC_NAMES)  # costs stand in a table of their own
    assert [row[2] for row in cost_table.rows] == ["24", "n/a"]


def seconds_of(budget: str) -> int:
    days, hours, minutes, seconds = map(int, budget.split(":"))
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds


def test_every_method_of_the_comparison_gets_the_same_time(tmp_path: Path) -> None:
    config = compose("study", ["study=compare", f"paths.outputs={tmp_path}"]).study
    budget = {name: seconds_of(text) for name, text in config.budget.items()}
    assert {sum(budget[part] for part in parts) for parts in BUDGET.values()} == {budget["whole"]}

    def time_of(model: str) -> int:
        node = config.train[model]
        own = [text for text in node.overrides if text.startswith("trainer.max_time=")]
        inherited = sum(time_of(parent) for parent in node.get("parents", {}).values())
        return inherited + sum(seconds_of(text.split("=")[1]) for text in own)

    assert {model: time_of(model) for model in BUDGET} == dict.fromkeys(BUDGET, budget["whole"])
    assert set(BUDGET) <= {node.model for node in config.predict.values()}


def test_only_a_study_that_asks_tells_costs(tmp_path: Path) -> None:
    def evaluation(name: str) -> dict:
        config = compose("study", [f"study={name}", f"paths.outputs={tmp_path}"])
        return {step.name: step for step in plan(config.study, tmp_path)}["evaluation"].settings

    assert evaluation("compare")["costs"] is True
    assert "costs" not in evaluation("smoke")
