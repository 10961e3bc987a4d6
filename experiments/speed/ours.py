"""Our side: stages built and run as by ``mrcontrast train``, on cached latents."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from architectures import Setting, train_config
from lightning import Callback, LightningDataModule, LightningModule, Trainer
from omegaconf import DictConfig
from text_encoder import TextEncoder, prompt
from torch import Tensor, nn

from mrcontrast.commands.prepare import prepare
from mrcontrast.config.build import build, build_stage, compose, resolve
from mrcontrast.runs.folder import RunFolder
from mrcontrast.tracking.no_tracker import NoTracker
from mrcontrast.training.trainer import build_trainer, quieten

UNUSED = ("best", "last", "pictures", "progress", "learning_rate", "random_state")


def prepare_phantoms(what: Setting, out: Path) -> Path:
    """Prepare two phantoms, one for training; an existing folder is kept."""
    root = out / "data" / what.name
    spacing, shape = what.spacing_mm, list(what.shape)
    config = compose(
        "prepare",
        [
            "recipe=phantom",
            f"out={root}",
            "recipe.sources.0.num_subjects=2",
            "workers=2",
            f"recipe.grid.spacing_mm={spacing}",
            f"recipe.grid.shape={shape}",
            *(f"recipe.split.{side}={count}" for side, count in (("train", 1), ("test", 1))),
            "recipe.split.val=0",
        ],
    )
    if not (root / "manifest.tsv").is_file():
        prepare(config)
    return root


def stage_config(what: Setting, stage: str, out: Path, steps: int = 1) -> DictConfig:
    """Return the resolved config of a stage; see ``architectures.train_config``."""
    cuda = torch.cuda.is_available()
    overrides = [
        f"trainer={'gpu' if cuda else 'cpu'}",
        f"trainer.max_steps={steps}",
        "trainer.limit_val_batches=0",
        f"data.root={out / 'data' / what.name}",
        f"out={out / 'runs' / what.name / stage}",
        f"paths.cache={out / 'cache'}",
        *(f"callbacks.{name}=null" for name in UNUSED),
    ]
    return resolve(train_config(what, stage, overrides))


def build_ours(config: DictConfig, what: Setting) -> LightningModule:
    """Build a stage with random weights; its prompt is encoded once, here."""
    stage: Any = build_stage(config.stage)
    stage.codec.std.fill_(1.0)
    stage.initialise()
    with torch.no_grad():
        encoder = TextEncoder(what.text_width, what.text_layers).eval()
        context = encoder(prompt(1))
    for name in ("denoiser", "controlnet"):
        if hasattr(stage, name):
            add_text(getattr(stage, name), context)
    return stage


def add_text(network: nn.Module, context: Tensor) -> None:
    """Pass a network the same text embedding, (1, 77, width), at each call."""
    network.register_buffer("context", context, persistent=False)

    def add_context(module: Any, args: tuple, kwargs: dict) -> tuple[tuple, dict]:  # noqa: ANN401
        text = module.context.expand(len(args[0]), -1, -1)
        return args, kwargs | {"context": text}

    network.register_forward_pre_hook(add_context, with_kwargs=True)


def build_data(config: DictConfig) -> LightningDataModule:
    """Build the data module and its memory-mapped store."""
    data = build(config.data)
    data.prepare_data()
    return data


def fit(
    stage: LightningModule,
    data: LightningDataModule,
    config: DictConfig,
    watchers: Sequence[Callback],
) -> Trainer:
    """Train on cached latents as ``mrcontrast train`` does; watchers run after its callbacks."""
    quieten()
    logging.getLogger("mrcontrast").setLevel(logging.WARNING)
    folder = RunFolder(config.out)
    folder.path.mkdir(parents=True, exist_ok=True)
    stage.before_fit(data)  # type: ignore[operator]
    trainer = build_trainer(config, stage, folder, NoTracker())
    trainer.callbacks.extend(watchers)  # type: ignore[attr-defined]
    trainer.fit(stage, datamodule=data)
    return trainer


def images_of(data: Any, count: int, device: torch.device) -> dict[str, Tensor]:  # noqa: ANN401
    """Return training images as the original loads them, (B, 1, *S) by contrast."""
    items = [data.plain_items[index % len(data.plain_items)] for index in range(count)]
    names = ("source", "target")
    return {name: torch.stack([item[name] for item in items]).to(device) for name in names}
