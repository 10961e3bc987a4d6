"""What tells one value from another: state, code, files; and what has no identity."""

import functools
import importlib
import random
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.transforms import (
    Compose,
    Lambdad,
    NormalizeIntensityd,
    RandAdjustContrastd,
    RandAffined,
    RandFlipd,
)
from torch import nn

from mrcontrast.latent.conditions import AtImageSize, AtLatentSize, Condition
from mrcontrast.latent.signals import Latent, Pixels, SourceAnchor
from mrcontrast.networks.local import AutoencoderKL
from mrcontrast.storage.identity import UnidentifiedError, identity

KEYS = ["source", "target", "brain_mask"]
FACTOR = 2.0


def affine(shift: float = 0.1) -> RandAffined:
    return RandAffined(KEYS, prob=1.0, translate_range=[shift] * 3, padding_mode="zeros")


def scale_by(factor: float) -> Callable:
    return lambda item: item | {"source": item["source"] * factor}


def scale(item: dict, factor: float) -> dict:
    return item | {"source": item["source"] * factor}


def scale_by_global(item: dict) -> dict:
    return scale(item, FACTOR)


class Scale:
    def __init__(self, factor: object) -> None:
        self.factor = factor

    def __call__(self, item: dict) -> dict:
        return scale(item, self.factor)


class Louder(Scale):
    def __call__(self, item: dict) -> dict:
        return super().__call__(scale(item, 3.0))


class Slotted:
    __slots__ = ("factor",)

    def __init__(self, factor: float) -> None:
        self.factor = factor


def network(seed: int = 0, channels: int = 4, eps: float = 1e-5) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(1, channels, 3), nn.GroupNorm(2, channels, eps))


def parametrised(scale: float = 1.0) -> nn.Module:
    """Return a network whose weights are normalised, as those of the stages are."""
    torch.manual_seed(0)
    settings = {"channels": (4, 4), "attention_levels": (False, False), "num_res_blocks": 1}
    network = AutoencoderKL(2, 1, 1, **settings, latent_channels=2)
    with torch.no_grad():
        next(network.parameters()).mul_(scale)
    return network


def compiled() -> nn.Module:
    module = network()
    module.compile()
    return module


def buffered(value: float) -> nn.Module:
    module = nn.ReLU()
    module.register_buffer("hidden", torch.tensor(value), persistent=False)
    return module


ALIKE: list[Callable[[], object]] = [
    affine,
    lambda: affine().set_random_state(3),
    lambda: Compose([affine(), RandFlipd(KEYS, prob=0.5, spatial_axis=0)]),
    lambda: scale_by(2.0),
    lambda: functools.partial(scale, factor=2.0),
    lambda: Scale(np.arange(3)),
    network,
    parametrised,
    lambda: {"b", "a", "c"},
    lambda: random.Random(3),
    lambda: np.random.default_rng(3),
    lambda: torch.Generator().manual_seed(3),
    lambda: [scale_by_global, len, np.add, torch.relu, torch.float32, Path, Slotted(1.0)],
]

DIFFERENT: dict[str, tuple[object, object]] = {
    "an argument": (affine(0.1), affine(0.2)),
    "a probability": (RandFlipd(KEYS, prob=0.5), RandFlipd(KEYS, prob=0.25)),
    "a range": (
        RandAdjustContrastd(KEYS, gamma=[0.9, 1.1]),
        RandAdjustContrastd(KEYS, gamma=[0.9, 1.2]),
    ),
    "the order": ([affine(), RandFlipd(KEYS)], [RandFlipd(KEYS), affine()]),
    "lambdas": (lambda item: item, lambda item: dict(item)),
    "a number in a lambda": (lambda x: x + 1, lambda x: x + 2),
    "a closure": (scale_by(2.0), scale_by(3.0)),
    "a closure in MONAI": (Lambdad(KEYS, func=lambda x: x * 2), Lambdad(KEYS, func=lambda x: -x)),
    "a partial": (functools.partial(scale, factor=2.0), functools.partial(scale, factor=3.0)),
    "a default": (lambda x, k=1: x, lambda x, k=2: x),
    "an array": (Scale(np.arange(3)), Scale(np.arange(3)[::-1])),
    "an array in MONAI": (
        NormalizeIntensityd(KEYS, subtrahend=np.zeros(2)),
        NormalizeIntensityd(KEYS, subtrahend=np.ones(2)),
    ),
    "a type": (np.zeros(2, np.float32), np.zeros(2, np.int32)),
    "a shape": (torch.zeros(2, 3), torch.zeros(3, 2)),
    "a class": (Scale(2.0), Louder(2.0)),
    "a method": (Scale(2.0).__call__, Scale(3.0).__call__),
    "a slot": (Slotted(1.0), Slotted(2.0)),
    "weights": (network(0), network(1)),
    "weights of a parametrised network": (parametrised(), parametrised(1.5)),
    "a layer": (network(channels=4), network(channels=6)),
    "a setting of a layer": (network(eps=1e-5), network(eps=1e-3)),
    "a buffer that is not saved": (buffered(1.0), buffered(2.0)),
    "training mode": (nn.Dropout().eval(), nn.Dropout().train()),
    "a generator": (random.Random(3), random.Random(4)),
    "a generator of NumPy": (np.random.RandomState(3), np.random.RandomState(4)),
    "a generator of torch": (torch.Generator().manual_seed(3), torch.Generator().manual_seed(4)),
    "true and one": (True, 1),
    "one and one": (1, 1.0),
    "a word and a number": ("1", 1),
    "nesting": ([[1], 2], [1, [2]]),
    "a signal": (SourceAnchor(), Latent()),
    "a placement": (
        Condition({"pixels": Pixels()}, AtImageSize()),
        Condition({"pixels": Pixels()}, AtLatentSize()),
    ),
}


@pytest.mark.parametrize("make", ALIKE, ids=range(len(ALIKE)))
def test_the_same_again_is_the_same(make: Callable[[], object]) -> None:
    assert identity(make()) == identity(make())


@pytest.mark.parametrize("pair", DIFFERENT.values(), ids=DIFFERENT)
def test_what_differs_is_another(pair: tuple[object, object]) -> None:
    first, second = pair
    assert identity(first) != identity(second)


def test_the_random_state_of_a_transform_does_not_count() -> None:
    assert identity(affine().set_random_state(3)) == identity(affine())


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_compiled_module_is_the_module() -> None:
    assert identity(compiled()) == identity(network())


def test_a_global_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    before = identity(scale_by_global)
    monkeypatch.setattr(sys.modules[__name__], "FACTOR", 3.0)
    after = identity(scale_by_global)
    assert after != before
    monkeypatch.setattr(sys.modules[__name__], "scale", lambda item, factor: item)
    assert identity(scale_by_global) not in (before, after)


def test_a_loop_ends() -> None:
    ours, theirs = Scale(None), Scale(None)
    ours.factor, theirs.factor = [ours, 1], [theirs, 2]
    assert identity(ours) != identity(theirs)


def test_the_content_of_a_file_counts(tmp_path: Path) -> None:
    table, moved = tmp_path / "table.npy", tmp_path / "other" / "table.npy"
    np.save(table, np.zeros(3))
    before = [identity(Scale(table)), identity(Scale(str(table)))]
    moved.parent.mkdir()
    moved.write_bytes(table.read_bytes())
    assert identity(Scale(str(moved))) == before[1]
    np.save(table, np.ones(3))
    assert identity(Scale(table)) != before[0]
    assert identity(Scale(str(table))) != before[1]


def load(folder: Path, **sources: str) -> object:
    """Write modules and import them afresh; return the first."""
    for name, source in sources.items():
        (folder / f"{name}.py").write_text(source)
        sys.modules.pop(name, None)
    importlib.invalidate_caches()
    return importlib.import_module(next(iter(sources)))


PART = "import {helper}\n\ndef change(item):\n    return {helper}.turn(item)\n"
LATE = "def change(item):\n    from {helper} import turn\n    return turn(item)\n"


@pytest.mark.parametrize("source", [PART, LATE])
def test_the_code_that_a_transform_calls_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    found = []
    for body in ("return item", "return item * 2", "return item"):
        for_helper = f"def turn(item):\n    {body}\n"
        sources = {"own_part": source.format(helper="own_helper"), "own_helper": for_helper}
        module = load(tmp_path, **sources)
        importlib.import_module("own_helper")
        found.append(identity(module.change))
    assert found[0] == found[2] != found[1]


@pytest.mark.parametrize(
    ("part", "name"),
    [
        (threading.Lock(), "a lock"),
        ((number for number in range(3)), "a generator"),
        (Path(__file__).parent, "a folder"),
        (str(Path(__file__).parent), "a folder"),
        (torch.empty(2, device="meta"), "a tensor without values"),
    ],
    ids=["lock", "generator", "folder", "name of a folder", "meta"],
)
def test_what_cannot_be_read_has_no_identity(part: object, name: str) -> None:
    with pytest.raises(UnidentifiedError, match=name):
        identity([affine(), Scale([part])])


@pytest.mark.slow
def test_another_process_finds_the_same() -> None:
    code = (
        "from tests.test_identity import *\n"
        "print(*[identity(make()) for make in ALIKE], identity(DIFFERENT))"
    )
    outputs = [
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=None
        ).stdout
        for _ in range(2)
    ]
    assert outputs[0] == outputs[1]
    assert len(outputs[0].split()) == len(ALIKE) + 1
