"""``mrcontrast prepare``: raw pairs or phantoms in, a prepared data set out."""

import sys
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from mrcontrast.config import build
from mrcontrast.errors import UsageError


def prepare(config: DictConfig) -> int:
    """Run the recipe of ``configs/prepare.yaml``.

    Args:
        config: Keys recipe, source, out, num_workers, allow_dropped.

    Returns:
        Exit code: 1 when a pair was dropped and ``allow_dropped`` is off, else 0.

    Raises:
        MrcontrastError: Nothing is left, or ``out`` cannot be written.
        UsageError: The config does not fit, or ``out`` holds something else.
    """
    from mrcontrast.preparation.dataset import prepare_dataset

    if OmegaConf.is_missing(config, "out"):
        raise UsageError("Expected a folder for the data set, got none. Give out=FOLDER.")
    if config.num_workers < 1:
        raise UsageError(f"Expected num_workers >= 1, got {config.num_workers}. Change it.")
    recipe = build(config.recipe)
    text = OmegaConf.to_yaml(config.recipe, resolve=True)
    result = prepare_dataset(recipe, Path(config.out), text, config.num_workers, _report)
    manifest = result.manifest
    sizes = ", ".join(f"{name} {len(manifest.split(name))}" for name in ("train", "val", "test"))
    sys.stdout.write(f"{len(manifest.records)} sessions ({sizes}) in {manifest.root}\n")
    return 1 if result.dropped and not config.allow_dropped else 0


def _report(line: str) -> None:
    """Say what became of one session; stdout is kept for the result."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
