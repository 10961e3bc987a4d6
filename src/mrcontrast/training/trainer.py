"""Build the trainer of a run with its callbacks and loggers."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from mrcontrast.config.build import build
from mrcontrast.errors import UsageError
from mrcontrast.runs.folder import RunFolder

if TYPE_CHECKING:
    from lightning import LightningModule, Trainer

    from mrcontrast.stages.contract import Stage
    from mrcontrast.tracking.no_tracker import NoTracker
    from mrcontrast.training.callbacks.elapsed import Elapsed


def build_trainer(
    config: DictConfig,
    stage: "Stage",
    folder: RunFolder,
    tracker: "NoTracker",
    clock: "Elapsed | None" = None,
) -> "Trainer":
    """Build the trainer with its callbacks and loggers; a ``clock`` goes on with checkpoints."""
    from mrcontrast.training.callbacks.csv_metrics import CsvMetrics
    from mrcontrast.training.callbacks.last_validation import LastValidation
    from mrcontrast.training.callbacks.whole_files import WholeFiles

    plugins = [WholeFiles(), *(build(node) for node in config.trainer.get("plugins") or [])]
    options: dict[str, Any] = {"default_root_dir": str(folder.path), "plugins": plugins}
    if not stage.automatic_optimization and config.trainer.gradient_clip_val is not None:
        if not stage.clips_gradients:
            raise UsageError(
                f"Expected trainer.gradient_clip_val null, got {config.trainer.gradient_clip_val} "
                f"({type(stage).__name__} steps its own optimisers). "
                "Add trainer.gradient_clip_val=null."
            )
        stage.gradient_clip_val = config.trainer.gradient_clip_val
        options["gradient_clip_val"] = None
    if config.trainer.deterministic:
        options["benchmark"] = False  # the fastest kernel of a race is not always the same one
    compile_parts(stage, config.get("compile") or [])
    chosen = [build(node) for node in (config.get("callbacks") or {}).values() if node]
    first = [LastValidation(), *([] if clock is None else [clock])]
    loggers = [CsvMetrics(folder.metrics_path), *tracker.loggers()]
    return build(config.trainer, callbacks=[*first, *chosen], logger=loggers, **options)


def compile_parts(stage: "LightningModule", names: Sequence[str]) -> None:
    """Compile parts of a stage in place; the names of its tensors stay.

    Raises:
        UsageError: The stage has no such part.
    """
    for name in names:
        try:
            stage.get_submodule(name).compile()
        except AttributeError as error:
            parts = ", ".join(part for part, _ in stage.named_children())
            raise UsageError(
                f"Expected parts of the stage in compile ({parts}), got {name}."
            ) from error


def check_accelerator(name: str) -> None:
    """Raise UsageError for a GPU where there is none."""
    from lightning.pytorch.accelerators import CUDAAccelerator, MPSAccelerator

    here = {"cuda": CUDAAccelerator.is_available(), "mps": MPSAccelerator.is_available()}
    here["gpu"] = here["cuda"] or here["mps"]
    if not here.get(name, True):
        raise UsageError(
            f"Expected a device for trainer.accelerator={name}, got none. Add trainer=cpu."
        )
