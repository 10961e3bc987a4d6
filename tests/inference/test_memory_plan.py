import logging
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest
import torch
from tests.stages.conftest import make_batch, make_stage

from mrcontrast.errors import MrcontrastError, UsageError
from mrcontrast.inference import memory_plan as fitting
from mrcontrast.inference.memory_plan import (
    GIB,
    MemoryPlan,
    Tiles,
    available_memory,
    estimate_memory,
    held_memory,
)
from mrcontrast.networks.memory import weight_bytes

SHAPE = (48, 64, 40)


@pytest.fixture
def stage():
    return make_stage("controlnet", 3).eval()


def test_the_estimate_grows_with_the_image_and_falls_with_tiles(stage):
    small, large = estimate_memory(stage, SHAPE), estimate_memory(stage, (96, 64, 40))
    assert small < large
    MemoryPlan(stage, 1, Tiles(16, 16))
    assert estimate_memory(stage, SHAPE) < small


def test_the_estimate_leaves_the_stage_as_it_was(stage):
    batch = make_batch((12, 16, 8))
    noise = torch.randn(2, *stage.noise_shape((12, 16, 8)))
    before, sampler = stage(batch, noise), stage.process.sampler
    estimate_memory(stage, SHAPE)
    assert stage.process.sampler is sampler
    assert stage.tiling.most_windows is None
    assert torch.equal(stage(batch, noise), before)


def test_slices_of_a_batch_count():
    stage = make_stage("controlnet", 2).eval()
    one, four = (estimate_memory(stage, (64, 80), count) for count in (1, 4))
    assert four > 2 * one - weight_bytes(stage) - 2 * 32 * 1024**2


def test_what_fits_is_not_cut(stage, monkeypatch, caplog):
    monkeypatch.setattr(logging.getLogger("mrcontrast"), "propagate", True)
    with caplog.at_level("INFO", logger="mrcontrast"):
        assert MemoryPlan(stage, 1).fit(SHAPE) == Tiles()
    assert "GiB of memory" in caplog.text
    assert "autoencoder whole, denoiser whole" in caplog.text


def test_tiles_are_chosen_where_memory_is_short(stage, monkeypatch):
    whole = estimate_memory(stage, SHAPE) - weight_bytes(stage)
    monkeypatch.setattr(fitting, "available_memory", lambda device: int(0.9 * whole))
    tiles = MemoryPlan(stage, 1).fit(SHAPE)
    assert tiles != Tiles()
    assert estimate_memory(stage, SHAPE) - weight_bytes(stage) < 0.9 * whole


@pytest.mark.parametrize("tiles", [None, Tiles(16, 16)])
def test_what_cannot_fit_is_refused_on_one_line(stage, monkeypatch, tiles):
    monkeypatch.setattr(fitting, "available_memory", lambda device: 1024)
    with pytest.raises(MrcontrastError, match=r"GiB where 0\.0 are free") as caught:
        MemoryPlan(stage, 1, tiles).fit(SHAPE)
    assert "\n" not in str(caught.value)
    assert tiles is None or "smaller --tile" in str(caught.value)


def test_the_line_counts_what_the_process_holds(stage, monkeypatch):
    monkeypatch.setattr(fitting, "held_memory", lambda: weight_bytes(stage) + 3 * GIB)
    line = MemoryPlan(stage, 1).line(weight_bytes(stage) + 2 * GIB, 9 * GIB, SHAPE, 1)
    assert line.startswith("about 5.0 GiB of memory of 9.0 free")


def test_slices_that_cannot_fit_name_the_batch_size(monkeypatch):
    monkeypatch.setattr(fitting, "available_memory", lambda device: 1024)
    stage = make_stage("controlnet", 2).eval()
    with pytest.raises(MrcontrastError, match="Lower --batch-size"):
        MemoryPlan(stage, 16).fit(SHAPE)


def test_tiles_of_a_2d_model_are_refused():
    with pytest.raises(UsageError, match="3D model"):
        MemoryPlan(make_stage("controlnet", 2), 1, Tiles(16, 16))


@pytest.mark.parametrize("text", ["", "a", "-3", "1,2,3", "9.5"])
def test_tiles_that_cannot_be_read_are_refused(text):
    with pytest.raises(UsageError, match="Pass --tile"):
        Tiles.from_text(text)


def test_memory_is_found():
    assert 0.05 * GIB < held_memory() < 64 * GIB
    assert 0.1 * GIB < available_memory(torch.device("cpu")) < 2**50


def kib_of(field):
    """Return what Linux says of the memory of this process, such as VmRSS and VmHWM, its peak."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:"))


def bytes_taken(shape):
    """Return how much a stage adds to what its process holds after a small image."""
    stage = make_stage("controlnet", 3).eval()
    for size in ((8, 8, 8), shape):
        held = kib_of("VmRSS")
        stage({"source": torch.rand(1, 1, *size)}, torch.randn(1, *stage.noise_shape(size)))
    return 1024 * (kib_of("VmHWM") - held)


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(64, 80, 48), (80, 80, 64)])
def test_the_estimate_is_near_a_measured_peak(stage, shape):
    volumes = 48 * torch.Size(shape).numel()
    expected = estimate_memory(stage, shape) - weight_bytes(stage) - volumes
    fresh = get_context("spawn")  # a fork would find memory that its parent has freed
    with ProcessPoolExecutor(1, mp_context=fresh) as pool:
        taken = pool.submit(bytes_taken, shape).result()
    assert taken == pytest.approx(expected, rel=0.2)
