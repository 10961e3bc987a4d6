"""Metrics from a YAML: what is built, what is refused, and where they count."""

import shutil
from pathlib import Path

import pytest

from mrcontrast.commands.evaluate import evaluate
from mrcontrast.config.build import compose
from mrcontrast.data.manifest import Manifest
from mrcontrast.errors import MrcontrastError, UsageError
from mrcontrast.evaluation.added_metrics import build_metrics, read_nodes
from mrcontrast.evaluation.metric_list import METRICS
from mrcontrast.evaluation.protocol import Protocol
from mrcontrast.evaluation.table import to_markdown
from mrcontrast.metrics.metric import Metric, Pair
from mrcontrast.study.command import plan

TRUSTED = "{_target_: added_metrics_of_a_test.Share, above: 0.5}"
MODULE = """
import os.path

class Share:
    def __init__(self, above):
        self.above = above

    def __call__(self, pair):
        return float((pair.voxels[0] > self.above).mean())
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module of the user that is trusted."""
    (tmp_path / "added_metrics_of_a_test.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("MRCONTRAST_TRUST", "added_metrics_of_a_test")


def write(folder: Path, function: str, name: str = "share", more: str = "") -> Path:
    path = folder / "metrics.yaml"
    text = f"{name}:\n  title: Share\n  description: Share of bright\n  function: {function}\n"
    path.write_text(text + more)
    return path


def brightness(pair: Pair) -> float:
    return float(pair.voxels[0].mean())


@pytest.mark.usefixtures("module")
def test_a_class_with_arguments(tmp_path: Path) -> None:
    more = "  unit: '%'\n  better: 0.25\n  per: brain\n  targets: [t2w]\n"
    (metric,) = build_metrics(read_nodes(write(tmp_path, TRUSTED, more=more)))
    assert metric.heading == "Share (%) → 0.25"
    assert (metric.name, metric.per, list(metric.targets)) == ("share", "brain", ["t2w"])
    assert metric.function is not None
    assert metric.function.above == 0.5  # type: ignore[attr-defined]


def test_functions_of_the_project_need_no_trust(tmp_path: Path) -> None:
    function = "{_target_: mrcontrast.metrics.voxelwise.share_outside, _partial_: true, low: 0}"
    assert len(build_metrics(read_nodes(write(tmp_path, function)))) == 1


@pytest.mark.usefixtures("module")
@pytest.mark.parametrize(
    "function",
    [
        "{_target_: os.system, command: ls}",
        "{_target_: added_metrics_of_a_test.os, _partial_: true}",
        "{_target_: mrcontrast.storage.files.write_text, _partial_: true}",
        "{_target_: mrcontrast.metrics.structural.structural_similarity, _partial_: true}",
        "{_target_: added_metrics_of_a_test.Share, _recursive_: false, above: 1}",
        "{_partial_: true}",
        "{_target_: added_metrics_of_a_test.Share, above: {_target_: os.getcwd}}",
    ],
)
def test_other_code_is_refused(tmp_path: Path, function: str) -> None:
    with pytest.raises(UsageError, match=r"module that you trust, got .*share\.function"):
        read_nodes(write(tmp_path, function))


@pytest.mark.usefixtures("module")
@pytest.mark.parametrize(
    "target", ["added_metrics_of_a_test.os.path.join", "mrcontrast.metrics.stacks.np.load"]
)
def test_a_trusted_module_leads_to_no_other(tmp_path: Path, target: str) -> None:
    with pytest.raises(MrcontrastError, match=r"that you trust, got: No module named"):
        read_nodes(write(tmp_path, f"{{_target_: {target}, _partial_: true}}"))


def test_a_metric_that_is_none_is_refused(tmp_path: Path) -> None:
    function = "{_target_: mrcontrast.metrics.overlap.dice, _partial_: true}"
    for name in ("psnr", "region"):  # a metric of the list, and a column of subjects.csv
        with pytest.raises(UsageError, match=f"new metric, got {name}"):
            build_metrics(read_nodes(write(tmp_path, function, name=name)))
    with pytest.raises(MrcontrastError, match="name of lower-case letters"):
        build_metrics(read_nodes(write(tmp_path, function, name="Share")))
    with pytest.raises(UsageError, match="unexpected keyword argument 'color'"):
        build_metrics(read_nodes(write(tmp_path, function, more="  color: red\n")))
    with pytest.raises(MrcontrastError, match="per: region, brain, lesion, got slice"):
        build_metrics(read_nodes(write(tmp_path, function, more="  per: slice\n")))
    with pytest.raises(MrcontrastError, match=r"interpolation \$\{oc\.env:HOME\}"):
        read_nodes(write(tmp_path, "${oc.env:HOME}"))
    shared = {"title": "Share", "description": "w"}
    for node in (3, shared, shared | {"function": "my_parts.share"}, {"_target_": "a.B"}):
        with pytest.raises(UsageError, match="title, description and a function of a metric, got"):
            build_metrics({"share": node})
    with pytest.raises(UsageError, match=r"path of --metrics or study\.metrics"):
        read_nodes(tmp_path / "absent.yaml")
    assert read_nodes(None) == {}


def test_metrics_of_another_target_are_left_out_with_a_line(
    prepared_root: Path, tmp_path: Path
) -> None:
    """As for a data set whose target is FLAIR: no tissue classes, no contrast of lesions."""
    for record in Manifest.read(prepared_root).split("test"):
        path = tmp_path / "ours" / f"{record.name}_desc-synth_T1w.nii.gz"
        path.parent.mkdir(exist_ok=True)
        shutil.copy(record.images["t1w"], path)
        (tmp_path / "ours_shuffled").mkdir(exist_ok=True)
        shutil.copy(path, tmp_path / "ours_shuffled" / path.name)
    own = Metric("brightness", "Brightness", "mean", brightness, targets=("flair",))
    protocol = Protocol(metrics=(own,), target="flair")
    predictions = {name: tmp_path / name for name in ("ours", "ours_shuffled")}
    summary = evaluate(predictions, prepared_root, tmp_path / "out", protocol=protocol)
    brain = summary["methods"]["ours"]["brain"]
    assert {"psnr", "sharpness", "brightness"} < set(brain)
    assert not {m.name for m in METRICS if m.targets} & set(brain)
    assert "contrast_kept" not in summary["methods"]["ours"]["lesion"]
    assert set(summary["metrics"]) == {m.name for m in METRICS if not m.targets} | {"brightness"}
    assert summary["checks"]["shuffled_source"]["methods"] == {}
    (line,) = summary["left_out"]
    assert line.startswith("left out, not defined for FLAIR: dice_csf, dice_gm,")
    assert line.endswith("contrast_kept, the check of shuffled sources")
    assert line in to_markdown(summary)
    t1w = evaluate(predictions, prepared_root, tmp_path / "t1w", protocol=Protocol(metrics=(own,)))
    assert t1w["left_out"] == ["left out, not defined for T1w: brightness"]
    assert "ours" in t1w["checks"]["shuffled_source"]["methods"]


@pytest.mark.usefixtures("module")
def test_a_study_repeats_its_evaluation_if_the_file_changes(tmp_path: Path) -> None:
    path = write(tmp_path, TRUSTED)
    config = compose("study", ["study=smoke", f"+study.metrics={path}"])

    def settings() -> dict[str, object]:
        steps = plan(config.study, tmp_path / "study")
        return next(step.settings for step in steps if step.name == "evaluation")

    before = settings()
    assert before["metrics"]["share"]["function"]["above"] == 0.5  # type: ignore[index]
    write(tmp_path, TRUSTED, more="  digits: 1\n")
    assert settings() != before
    write(tmp_path, TRUSTED, more="  colour: red\n")
    with pytest.raises(UsageError, match="unexpected keyword argument 'colour'"):
        settings()
    path.unlink()
    with pytest.raises(UsageError, match=r"study\.metrics"):
        settings()
