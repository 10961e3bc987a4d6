"""Sampling options: numbers that pass, and one set for the command line and studies."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import pytest

from mrcontrast.errors import UsageError
from mrcontrast.inference.options import add_arguments
from mrcontrast.inference.sampling_options import OPTIONS, ControlChoice, SamplingOptions
from mrcontrast.runs.folder import RunFolder
from mrcontrast.study.steps import located, sampling_of


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"samples": 0}, "1 or more samples, got 0"),
        ({"steps": 0}, "1 or more steps, got 0"),
        ({"noise_turn": -1}, "0 or more slices a turn of noise, got -1"),
        ({"temperature": -0.1}, r"temperature of 0 or more, got -0\.1"),
        ({"temperature": float("nan")}, "temperature of 0 or more, got nan"),
        ({"temperature": float("inf")}, "temperature of 0 or more, got inf"),
        ({"guidance": float("nan")}, "guidance from -100 to 100, got nan"),
        ({"guidance": 1e308}, "guidance from -100 to 100"),
        ({"control": ["run:1000"]}, "a scale from -100 to 100, got run:1000"),
        ({"precision": "16"}, "32-true or bf16-mixed as precision, got 16"),
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        SamplingOptions(**options)


def test_the_command_line_has_all_of_them() -> None:
    parser = ArgumentParser()
    add_arguments(parser)
    words = [
        "in.nii",
        "out.nii",
        "--model",
        "m",
        "--steps",
        "3",
        "--sampler",
        "ddim",
        "--seed",
        "5",
    ]
    args = parser.parse_args(words)
    assert set(OPTIONS) <= set(vars(args))
    found = SamplingOptions.of(vars(args))
    assert found == SamplingOptions(steps=3, sampler="ddim", seed=5, temperature=None)


def test_bounds_pass() -> None:
    SamplingOptions(samples=1, noise_turn=0, temperature=0)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("runs/t2w:0.8", ("runs/t2w", 0.8, 0.0, 1.0)),
        ("runs/t2w:.5:0.25-1", ("runs/t2w", 0.5, 0.25, 1.0)),
        ("runs:/12ab:-1:0-0.5", ("runs:/12ab", -1.0, 0.0, 0.5)),
        ("models:/t2w@best:0", ("models:/t2w@best", 0.0, 0.0, 1.0)),
    ],
)
def test_a_control_is_read(text: str, found: tuple[object, ...]) -> None:
    choice = ControlChoice.from_text(text)
    assert (choice.run, choice.scale, choice.start, choice.end) == found


@pytest.mark.parametrize("text", ["runs/t2w", "runs/t2w:x", ":1", "a:1:0.5-0.5", "a:1:0-2"])
def test_no_control_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="Expected RUN:scale"):
        SamplingOptions(control=[text])


def test_a_study_names_controls_by_its_trainings() -> None:
    node = {"model": "flair", "control": ["t2w:0.5:0-0.5", "runs/x:1"], "without": ["pd"]}
    options = sampling_of("both", node)
    assert options.without == ("pd",)
    outside = {"runs/x": RunFolder(Path("/data/x"))}
    assert list(located(options.control, outside, Path("study"))) == [
        "study/runs/t2w:0.5:0-0.5",
        "/data/x:1",
    ]
