"""From a finished run to its translator."""

from collections.abc import Sequence

import torch
from omegaconf import OmegaConf

from mrcontrast.config.build import build, config_dir
from mrcontrast.errors import UsageError
from mrcontrast.inference.controls import add_control, check_acting
from mrcontrast.inference.memory_plan import MemoryPlan, Tiles
from mrcontrast.inference.prompting import set_prompt
from mrcontrast.inference.sampling_options import (
    BATCH_SIZE,
    DEFAULTS,
    ControlChoice,
    SamplingOptions,
)
from mrcontrast.inference.stage_translator import StageTranslator
from mrcontrast.inference.training_grid import trained_on
from mrcontrast.stages.contract import Stage, check_stage
from mrcontrast.tracking.loading import load_stage
from mrcontrast.tracking.references import open_run


def from_run(
    reference: str,
    options: SamplingOptions = DEFAULTS,
    batch_size: int = BATCH_SIZE,
    device: str = "auto",
    tile: str | None = None,
) -> StageTranslator:
    """Build the translator of a finished run; ``reference`` as for ``open_run``.

    ``batch_size`` counts slices, in 2D only. ``tile`` is in voxels, see ``Tiles.from_text``; None
    takes the largest tiles that fit in memory. Raises MrcontrastError for a run that is missing,
    unfinished or changed, UsageError for a stage that does not translate or an option that does not
    fit it.
    """
    check_device(device)
    folder = open_run(reference)
    stage = check_stage(load_stage(folder.path, device))
    if not stage.uses_source:
        raise UsageError(
            f"Expected a model that translates, got a {folder.stage_name} ({folder.path}). "
            "Train a controlnet with diffusion=RUN and name that."
        )
    if options.samples > 1 and stage.sampler is None:
        raise UsageError(
            f"Expected a model that samples for {options.samples} samples, got a "
            f"{folder.stage_name}, which makes one image ({folder.path}). Leave --samples out."
        )
    grid, normalisers = trained_on(folder, stage.inputs, stage.factor)
    controls = []
    for choice in map(ControlChoice.from_text, options.control):
        normalisers, facts = add_control(stage, choice, grid, normalisers, device)
        controls.append(facts)
    check_without(stage, options.without)
    set_options(stage, options)
    check_acting(stage, options.control)
    identity = {
        "Model": str(reference),
        "Stage": folder.stage_name,
        "WeightsSHA256": folder.provenance["weights_sha256"],
        **({"Controls": controls} if controls else {}),
    }
    place = stage.device
    translator = StageTranslator(stage, grid, normalisers, options, batch_size, place, identity)
    tiles = None if tile is None else Tiles.from_text(tile)
    translator.memory_plan = MemoryPlan(stage, batch_size, tiles)
    return translator


def set_options(stage: Stage, options: SamplingOptions) -> None:
    """Set sampler, steps, start and prompts of a stage, as far as they are given."""
    if options.sampler is not None:
        folder = config_dir() / "stage" / "process" / "sampler"
        known = sorted(path.stem for path in folder.glob("*.yaml"))
        if options.sampler not in known:
            raise UsageError(
                f"Expected a sampler among {', '.join(known)}, got {options.sampler}. Choose one."
            )
        stage.sampler = build(OmegaConf.load(folder / f"{options.sampler}.yaml"))
    if options.steps is not None:
        if stage.sampler is None:
            raise UsageError(
                f"Expected a stage with a sampler for {options.steps} steps, got "
                f"{type(stage).__name__}. Leave --steps out."
            )
        stage.sampler.num_steps = options.steps
    if options.start is not None:
        stage.start = options.start
    set_prompt(stage, options)


def check_without(stage: Stage, without: Sequence[str]) -> None:
    """Raise UsageError for a name to do without that is no optional source of a stage."""
    if wrong := [name for name in without if name not in stage.optional]:
        known = ", ".join(stage.optional) or "none"
        raise UsageError(
            f"Expected an optional source of the model to do without, among {known}, got "
            f"{wrong[0]}. Leave it out."
        )


def check_device(device: str) -> None:
    """Raise UsageError for a name that is no device, and for CUDA where there is none."""
    try:
        place = None if device == "auto" else torch.device(device)
    except RuntimeError as error:
        raise UsageError(
            f"Expected auto, cpu, cuda or cuda:N, got {device} (--device). Choose one."
        ) from error
    there = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if place is not None and place.type == "cuda" and (place.index or 0) >= there:
        raise UsageError(
            f"Expected one of {there} CUDA devices, got --device {device}. Pass --device cpu."
        )
