"""A training that was stopped anywhere, however often, ends like one that never was: to the bit."""

import csv
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any

import pytest
import torch

from mrcontrast.commands.train import train
from mrcontrast.runs.folder import RunFolder
from mrcontrast.stages.adversarial_autoencoder import AdversarialAutoencoder
from mrcontrast.stages.autoencoder import Autoencoder
from mrcontrast.stages.controlnet import ControlNetDiffusion
from mrcontrast.stages.latent_diffusion import LatentDiffusion
from mrcontrast.stages.latent_translation import LatentTranslation
from mrcontrast.stages.pix2pix import Pix2Pix
from mrcontrast.training.resume import read_checkpoint
from toy.runs import end_of, in_child, toy_config

# Three batches an epoch, nine in all; validations after the fourth and the eighth.
SMALL = (
    "data=prepared",
    "data.items.max_val_items=3",
    "data.batch_size=16",
    "trainer.max_steps=9",
    "trainer.val_check_interval=4",
    "callbacks.pictures.count=0",
    "stage.optimisation.warmup_steps=2",
)
NET = ("channels=[8,8]", "attention_levels=[false,false]", "norm_num_groups=4")
AUTOENCODER = tuple(f"stage.autoencoder.{setting}" for setting in (*NET, "latent_channels=2"))
DENOISER = (
    *(f"stage.denoiser.{setting}" for setting in (*NET, "num_head_channels=[0,4]")),
    "stage.codec.latent_multiple=2",
)
UNET = ("kernel_size=[3,3,3]", "strides=[1,2,2]", "upsample_kernel_size=[2,2]", "filters=[8,8,8]")
REGRESSOR = tuple(f"stage.regressor.network.{setting}" for setting in UNET)
STAGES = (
    Autoencoder,
    AdversarialAutoencoder,
    LatentDiffusion,
    ControlNetDiffusion,
    Pix2Pix,
    LatentTranslation,
)
STOPS = (1, 3, 4, 5, 6, 8)  # in an epoch, at its end, and where a validation is due


class Killed(BaseException):
    """What a kill looks like from within: nothing more is saved."""


def ask_to_stop() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def kill() -> None:
    raise Killed


def run(root: Path, prepared: Path, name: str, *overrides: str) -> RunFolder:
    paths = f"data.root={prepared}", f"paths.cache={root}/cache", f"name={name}"
    config = toy_config(root, *SMALL, *paths, *overrides)
    train(config)
    return RunFolder(config.out)


@contextmanager
def struck(hook: str, batch: int, act: Callable[[], None]) -> Iterator[None]:
    """Have stages call `act` when `hook` begins in the `batch`-th batch of the training."""
    with pytest.MonkeyPatch.context() as patch:
        for stage in STAGES:
            patch.setattr(stage, hook, striking(getattr(stage, hook), batch, act))
        yield


def striking(original: Callable, batch: int, act: Callable[[], None]) -> Callable:
    @wraps(original)
    def step(self: Any, items: dict, batch_idx: int) -> Any:
        if self.trainer.fit_loop.total_batch_idx == batch - 1:
            act()
        return original(self, items, batch_idx)

    return step


def run_in_parts(stops: Sequence[int], *options: Any) -> RunFolder:
    """Train with a signal in each of these batches, started again each time."""
    for batch in stops:
        with struck("training_step", batch, ask_to_stop), pytest.raises(SystemExit) as stopped:
            run(*options)
        assert stopped.value.code == 143
    return run(*options)


def differences(ours: Any, theirs: Any, path: str = "") -> Iterator[str]:
    """Name what is not equal to the last bit in two nested states."""
    if isinstance(ours, torch.Tensor):
        if not torch.allclose(ours, theirs, rtol=0, atol=0, equal_nan=True):
            yield path
    elif isinstance(ours, dict):
        assert ours.keys() == theirs.keys(), path
        for key in ours:
            yield from differences(ours[key], theirs[key], f"{path}/{key}")
    elif isinstance(ours, list | tuple):
        assert len(ours) == len(theirs), path
        for index, pair in enumerate(zip(ours, theirs, strict=True)):
            yield from differences(*pair, f"{path}/{index}")
    elif ours != theirs:
        yield path


def state(folder: RunFolder) -> dict[str, Any]:
    """Return where a training ended, all that its course hung on, and what it handed over."""
    checkpoint = read_checkpoint(folder.last_checkpoint)
    weights = {"state_dict", "current_model_state", "averaging_state"}
    course = {"optimizer_states", "lr_schedulers", "global_step", "epoch"}
    kept = {name: checkpoint[name] for name in weights | course}
    kept["random"] = checkpoint["callbacks"]["RandomState"]
    kept["handed_over"] = folder.read_weights()
    return kept | {name: folder.provenance[name] for name in ("score", "report_card")}


def validations(folder: RunFolder) -> list[tuple]:
    with folder.metrics_path.open() as file:
        rows = [tuple(row.values()) for row in csv.DictReader(file)]
    return [row for row in rows if row[1].startswith("val/")]


def assert_same(ours: RunFolder, theirs: RunFolder) -> None:
    assert list(differences(state(ours), state(theirs))) == []
    assert validations(ours) == validations(theirs)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("outputs")


@pytest.fixture(scope="module")
def whole(root: Path, prepared_root: Path) -> RunFolder:
    """An autoencoder that was never stopped, augmented as configs/data says, with pictures."""
    options = ("stage=autoencoder", *AUTOENCODER, "callbacks.pictures.count=1")
    return run(root, prepared_root, "whole", *options)


def test_stopped_again_and_again(root: Path, prepared_root: Path, whole: RunFolder) -> None:
    options = (root, prepared_root, "parts", "stage=autoencoder", *AUTOENCODER)
    assert_same(run_in_parts(STOPS, *options), whole)


def test_worker_processes_change_nothing(root: Path, prepared_root: Path, whole: RunFolder) -> None:
    overrides = ("stage=autoencoder", *AUTOENCODER, "workers=2")
    assert_same(run_in_parts((2, 5), root, prepared_root, "workers", *overrides), whole)


@pytest.mark.parametrize(
    ("hook", "batch"), [("training_step", 3), ("training_step", 9), ("validation_step", 8)]
)
def test_killed(root: Path, prepared_root: Path, whole: RunFolder, hook: str, batch: int) -> None:
    name = f"killed-{hook}-{batch}"
    options = (root, prepared_root, name, "stage=autoencoder", *AUTOENCODER)
    often = "save_every_n_steps=2"
    with struck(hook, batch, kill), pytest.raises(Killed):
        run(*options, often)
    assert_same(run(*options, often), whole)


def test_killed_from_outside(root: Path, prepared_root: Path, whole: RunFolder) -> None:
    options = (root, prepared_root, "shot", "stage=autoencoder", *AUTOENCODER)

    def shot() -> int:
        with struck("training_step", 8, lambda: os.kill(os.getpid(), signal.SIGKILL)):
            run(*options, "save_every_n_steps=1")
        return 0

    assert end_of(in_child(shot)) == -signal.SIGKILL
    assert_same(run(*options), whole)


@pytest.mark.parametrize(
    "overrides",
    [
        pytest.param(("trainer.accumulate_grad_batches=2", "trainer.max_steps=5"), id="accumulate"),
        pytest.param(("trainer.max_steps=-1", "trainer.max_epochs=3", "workers=1"), id="epochs"),
        pytest.param(
            (
                "stage=adversarial_autoencoder",
                "stage.discriminator.num_layers_d=1",
                "stage.discriminator.channels=4",
                "stage.discriminator_optimisation.warmup_steps=2",
                "stage.adversarial_start_step=2",
                "trainer.max_steps=16",
            ),
            id="two-optimisers",
        ),
    ],
)
def test_other_ways_to_count(
    tmp_path: Path, prepared_root: Path, overrides: tuple[str, ...]
) -> None:
    options = ("stage=autoencoder", *AUTOENCODER, *overrides)
    whole = run(tmp_path, prepared_root, "whole", *options)
    assert_same(run_in_parts((1, 4), tmp_path, prepared_root, "parts", *options), whole)


def test_diffusion_and_controlnet_over_cached_latents(
    root: Path, prepared_root: Path, whole: RunFolder
) -> None:
    parent = f"autoencoder={whole.path}"
    options = ("stage=latent_diffusion", parent, *DENOISER)
    diffusion = run(root, prepared_root, "diffusion", *options)
    parts = run_in_parts((4,), root, prepared_root, "diffusion-parts", *options)
    assert_same(parts, diffusion)
    parent = f"diffusion={diffusion.path}"
    options = ("stage=controlnet", parent, "stage.condition.embedder_channels=[4,8]")
    control = run(root, prepared_root, "control", *options)
    parts = run_in_parts((2,), root, prepared_root, "control-parts", *options)
    assert_same(parts, control)


def test_pix2pix(tmp_path: Path, prepared_root: Path) -> None:
    options = (
        "stage=pix2pix",
        *REGRESSOR,
        "stage.discriminator.num_layers_d=1",
        "stage.discriminator.channels=4",
        "stage.discriminator_optimisation.warmup_steps=2",
        "trainer.max_steps=12",
    )
    whole = run(tmp_path, prepared_root, "whole", *options)
    assert_same(run_in_parts((2, 4), tmp_path, prepared_root, "parts", *options), whole)


def test_a_residual_over_cached_latents(root: Path, prepared_root: Path, whole: RunFolder) -> None:
    unet = run(root, prepared_root, "unet", "stage=unet_regression", *REGRESSOR)
    options = (
        "stage=residual_diffusion",
        f"autoencoder={whole.path}",
        f"regression={unet.path}",
        *DENOISER,
        "trainer.max_steps=6",
    )
    residual = run(root, prepared_root, "residual", *options)
    parts = run_in_parts((3,), root, prepared_root, "residual-parts", *options)
    assert_same(parts, residual)


def test_the_end_of_a_training_can_be_repeated(
    root: Path, prepared_root: Path, whole: RunFolder
) -> None:
    before = state(whole)
    whole.weights_path.unlink()
    again = run(root, prepared_root, "whole", "stage=autoencoder", *AUTOENCODER)
    assert list(differences(state(again), before)) == []
