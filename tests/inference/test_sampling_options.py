"""Sampling options: numbers that pass, and one set for the command line and studies."""

from argparse import ArgumentParser
from typing import Any

import pytest

from mrcontrast.errors import UsageError
from mrcontrast.inference.options import add_arguments
from mrcontrast.inference.sampling_options import OPTIONS, SamplingOptions


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"samples": 0}, "1 or more samples, got 0"),
        ({"steps": 0}, "1 or more steps, got 0"),
        ({"noise_turn": -1}, "0 or more slices a turn of noise, got -1"),
        ({"temperature": -0.1}, r"temperature of 0 or more, got -0\.1"),
        ({"temperature": float("nan")}, "temperature of 0 or more, got nan"),
        ({"temperature": float("inf")}, "temperature of 0 or more, got inf"),
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
