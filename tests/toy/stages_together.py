"""Train every stage in one of several processes that start together; run as a script in each.

Lightning starts no process of its own where LOCAL_RANK is set, so that all stages share one start.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

from lightning import Callback, LightningModule, Trainer
from torch import Tensor

from mrcontrast.cli import main
from mrcontrast.storage.identity import identity

NET = ("channels=[8,8]", "attention_levels=[false,false]", "norm_num_groups=4")
AUTOENCODER = (*(f"stage.autoencoder.{setting}" for setting in (*NET, "latent_channels=2")),)
DENOISER = (
    *(f"stage.denoiser.{setting}" for setting in (*NET, "num_head_channels=[0,4]")),
    "stage.codec.latent_multiple=2",
)
UNET = ("stage.regressor.network.filters=[8,8,8,8]",)
DISCRIMINATOR = ("stage.discriminator.channels=4", "stage.discriminator.num_layers_d=1")
EMBEDDER = "stage.condition.embedder_channels=[4,8]"

# Parents first: {run} is the folder of runs.
STAGES: dict[str, tuple[str, ...]] = {
    "lookup": (),
    "autoencoder": (*AUTOENCODER, "stage.contrasts=[t1w,flair]"),
    "adversarial_autoencoder": (*AUTOENCODER, *DISCRIMINATOR, "stage.adversarial_start_step=1"),
    "unet_regression": UNET,
    "pix2pix": (*UNET, *DISCRIMINATOR),
    "latent_diffusion": (*DENOISER, "autoencoder={runs}/autoencoder"),
    "concat_diffusion": (*DENOISER, "autoencoder={runs}/autoencoder"),
    "latent_bridge": (*DENOISER, "autoencoder={runs}/autoencoder"),
    "residual_diffusion": (
        *DENOISER,
        "autoencoder={runs}/autoencoder",
        "regression={runs}/unet_regression",
    ),
    "controlnet": (EMBEDDER, "diffusion={runs}/latent_diffusion"),
    "controlnet_unlocked": (
        EMBEDDER,
        "diffusion={runs}/latent_diffusion",
        "stage.unlock_decoder=true",
    ),
}


class Agreement(Callback):
    """Write what this process has after its last step: weights, validation scores, losses.

    Args:
        folder: Gets one file a process.
    """

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)
        self.losses: list[float] = []

    def on_before_backward(
        self, trainer: Trainer, pl_module: LightningModule, loss: Tensor
    ) -> None:
        self.losses.append(float(loss.detach()))

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        trained = {n: p.detach() for n, p in pl_module.named_parameters() if p.requires_grad}
        scores = {name: float(v) for name, v in trainer.callback_metrics.items() if "val/" in name}
        found: dict[str, Any] = {
            "weights": identity(trained),
            "moved": trainer.global_step,
            "scores": scores,
            "losses": self.losses,
        }
        self.folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(found)
        (self.folder / f"{trainer.global_rank}.json").write_text(text)


def overrides(name: str, root: Path, prepared: Path) -> list[str]:
    """Return the overrides that train a stage for two steps of all processes."""
    stage = name.removesuffix("_unlocked")
    return [
        f"stage={stage}",
        f"name={name}",
        "data=prepared",
        f"data.root={prepared}",
        "data.batch_size=4",
        "data.items.max_val_items=4",
        "callbacks.pictures.count=0",
        "logger=none",
        "trainer=cpu",
        "trainer.devices=2",
        "trainer.strategy=ddp",
        "trainer.max_steps=4",
        "trainer.val_check_interval=2",
        f"paths.outputs={root}",
        f"paths.cache={root}/cache",
        "+callbacks.agreement._target_=toy.stages_together.Agreement",
        f"+callbacks.agreement.folder={root}/agreement/{name}",
        *(text.format(runs=root / "runs") for text in STAGES[name]),
    ]


if __name__ == "__main__":
    root, prepared = map(Path, sys.argv[1:])
    codes = {}
    for name in STAGES:
        codes[name] = main(["train", *overrides(name, root, prepared)])
        (root / f"codes-{os.environ['LOCAL_RANK']}.json").write_text(json.dumps(codes))
