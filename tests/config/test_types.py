"""A word where a number belongs is named with its key, before anything is built."""

import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from mrcontrast.cli import main
from mrcontrast.config.build import compose
from mrcontrast.config.types import annotations, check_types, fits
from mrcontrast.errors import UsageError

FLIP = "data.augmentation=[{_target_:monai.transforms.RandFlipd,keys:[t1w],prob:often}]"


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("stage.kl_weight=abc", "float, got abc (stage.kl_weight)"),
        ("stage.autoencoder.latent_channels=2.5", "int, got 2.5 (stage.autoencoder.latent_chan"),
        ("stage.autoencoder.channels=[a,b]", "Sequence[int], got ['a', 'b'] (stage.autoencoder.ch"),
        ("callbacks.ema.decay=big", "float, got big (callbacks.ema.decay)"),
        (FLIP, "float, got often (data.augmentation.0.prob)"),
    ],
)
def test_it_is_named(override: str, words: str) -> None:
    config = compose("train", ["stage=autoencoder", "data=prepared", "data.root=x", override])
    with pytest.raises(UsageError, match=re.escape(f"Expected {words}")):
        check_types(config)


def test_a_recipe_is_looked_at_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert main(["prepare", "recipe=phantom", f"out={out}", "recipe.grid.spacing_mm=wide"]) == 2
    assert "spacing_mm). Change it." in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize(
    ("value", "hint", "expected"),
    [
        (True, int, False),
        (True, bool | None, True),
        (None, float, False),
        ([1, None], Sequence[int | None], True),
        ([1.0, 2.0], tuple[float, float], True),
        (["a", 1], tuple[str, int], True),
        ("1", int | list[int], False),
        ({"_target_": "a.B"}, int, True),
        ("anything", Path, True),
        (2024, str, True),
        ([[2, 2, 1], 2], Sequence[int], True),
        ([1], tuple, True),
        ([1, 2], tuple[int, ...], True),
        (["a"], tuple[int, ...], False),
        ([2024], str, False),
    ],
)
def test_what_fits(value: object, hint: object, expected: bool) -> None:
    assert fits(value, hint) == expected


def test_a_target_that_is_not_there_is_left_to_the_builder() -> None:
    assert annotations("mrcontrast.nowhere.Nothing") == {}
