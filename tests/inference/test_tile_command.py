"""``mrcontrast translate --tile``: the volume in tiles agrees with the volume at once."""

import json
from pathlib import Path

import numpy as np
import pytest
from experiments.speed.random_run import write_random_run
from omegaconf import open_dict

from mrcontrast.cli import main
from mrcontrast.config.build import compose, resolve
from mrcontrast.storage.volume import Volume, read_volume, write_volume

SHAPE = (48, 56, 40)
MEAN_TOLERANCE = 0.02  # of the range, as README says


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small 3D ControlNet, f = 2, with random weights."""
    axes, blocks = "spatial_dims=3", ["norm_num_groups=4", "attention_levels=[false,false]"]
    networks = {"autoencoder": "[4,8]", "denoiser": "[8,8]"}
    first, second = (
        [f"stage.{part}.{block}" for block in (*blocks, f"channels={channels}")]
        for part, channels in networks.items()
    )
    autoencoder = compose("train", ["stage=autoencoder", axes, *first])
    more = ["stage.denoiser.num_head_channels=[8,8]", "stage.codec.latent_multiple=2"]
    diffusion = compose("train", ["stage=latent_diffusion", axes, *second, *more])
    embedder = "stage.condition.embedder_channels=[4,8]"
    control = compose("train", ["stage=controlnet", axes, embedder])
    with open_dict(diffusion), open_dict(control):
        diffusion.stage.codec.autoencoder = autoencoder.stage.autoencoder
        diffusion.stage.codec.contrasts = autoencoder.stage.contrasts
        control.stage.codec = diffusion.stage.codec
        control.stage.denoiser = diffusion.stage.denoiser
        for part in ("schedule", "target"):
            control.stage.process[part] = diffusion.stage.process[part]
    path = tmp_path_factory.mktemp("runs") / "controlnet"
    return write_random_run(path, resolve(control).stage, 2.0, SHAPE).path


@pytest.fixture(scope="module")
def flair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    axes = np.meshgrid(*(np.linspace(-1, 1, size) for size in SHAPE), indexing="ij")
    brain = sum(axis**2 for axis in axes) < 0.8
    data = (2 + np.sin(9 * axes[0]) * np.cos(7 * axes[1] + axes[2])) * brain
    path = tmp_path_factory.mktemp("scans") / "sub-01_FLAIR.nii.gz"
    write_volume(path, Volume(data.astype(np.float32), np.diag([2.0, 2.0, 2.0, 1.0])))
    return path


def translated(flair: Path, model: Path, out: Path, *words: str) -> np.ndarray:
    command = ["translate", str(flair), str(out), "--model", str(model), "--device", "cpu"]
    assert main([*command, "--steps", "3", *words]) == 0
    return read_volume(out).data


def test_tiled_equals_untiled(
    flair: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = translated(flair, model, tmp_path / "whole.nii.gz", "--tile", "0")
    assert "autoencoder whole, denoiser whole" in capsys.readouterr().out
    tiled = translated(flair, model, tmp_path / "tiled.nii.gz", "--tile", "32")
    assert "tiles of 32 voxels" in capsys.readouterr().out
    assert json.loads((tmp_path / "tiled.json").read_text())["TileUsed"] == "32,32"
    brain = read_volume(flair).data > 0
    error = np.abs(tiled - whole)[brain]
    assert 0 < error.mean() < MEAN_TOLERANCE
    assert whole[brain].std() > 5 * error.mean()  # there is something to agree on


def test_tiles_that_do_not_cut_change_no_bit(flair: Path, model: Path, tmp_path: Path) -> None:
    whole = translated(flair, model, tmp_path / "whole.nii.gz", "--tile", "0")
    large = translated(flair, model, tmp_path / "large.nii.gz", "--tile", "64")
    np.testing.assert_array_equal(whole, large)
