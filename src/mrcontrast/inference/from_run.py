"""From a finished run to its translator."""

from collections.abc import Sequence

import torch
from omegaconf import OmegaConf

from mrcontrast.config.build import build, config_dir
from mrcontrast.errors import MrcontrastError, UsageError
from mrcontrast.inference.memory_plan import Fitting, Tiles
from mrcontrast.inference.sampling_options import ONE_DRAW, Draws
from mrcontrast.inference.stage_translator import StageTranslator
from mrcontrast.inference.temperature import refuse_temperature
from mrcontrast.runs.folder import RunFolder
from mrcontrast.stages.contract import Stage, check_stage
from mrcontrast.tracking.loading import load_stage
from mrcontrast.tracking.references import open_run
from mrcontrast.transforms.grid import ModelGrid
from mrcontrast.transforms.normalise import Normaliser
from mrcontrast.transforms.standardise import normaliser_from_name


def from_run(
    reference: str,
    draws: Draws = ONE_DRAW,
    batch_size: int = 16,
    steps: int | None = None,
    sampler: str | None = None,
    device: str = "auto",
    tile: str | None = None,
    start: float | None = None,
) -> StageTranslator:
    """Build the translator of a finished run.

    Args:
        reference: See ``open_run``.
        draws: How often a volume is drawn, and from what noise.
        batch_size: Slices at once; 2D only.
        steps: Steps of the sampler; None keeps those of the run.
        sampler: Name of a file in ``configs/stage/process/sampler``; None keeps the run's own.
        device: "cpu", "cuda" or "auto".
        tile: Tiles in voxels, see ``Tiles.from_text``; None takes the largest that fit in memory.
        start: Time at which a draw begins, see ``ControlNetDiffusion``; None keeps the run's own.

    Raises:
        MrcontrastError: The run is missing, unfinished or changed.
        UsageError: The stage does not depend on the source; it has no samples, steps, temperature,
            sampler or start to change; no such sampler or device exists; or the sampler, which adds
            noise in its steps, takes no temperature.
    """
    refuse_device(device)
    folder = open_run(reference)
    stage = check_stage(load_stage(folder.path, device))
    if not stage.uses_source:
        raise UsageError(
            f"Expected a model that translates, got a {folder.stage_name} ({folder.path}). "
            "Train a controlnet with diffusion=RUN and name that."
        )
    if draws.samples > 1 and stage.sampler is None:
        raise UsageError(
            f"Expected a model that draws for {draws.samples} samples, got a {folder.stage_name}, "
            f"which makes one image ({folder.path}). Leave --samples out."
        )
    if sampler is not None:
        set_sampler(stage, sampler)
    if steps is not None:
        set_steps(stage, steps)
    if start is not None:
        stage.start = start
    if draws.temperature != 1:
        refuse_temperature(stage, draws.temperature)
    grid, normalisers = trained_on(folder, stage.inputs, stage.factor)
    identity = {
        "Model": str(reference),
        "Stage": folder.stage_name,
        "WeightsSHA256": folder.provenance["weights_sha256"],
    }
    place = stage.device
    translator = StageTranslator(stage, grid, normalisers, draws, batch_size, place, identity)
    tiles = None if tile is None else Tiles.from_text(tile)
    translator.fitting = Fitting(translator.drawing.stage, batch_size, tiles)
    return translator


def refuse_device(device: str) -> None:
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


def trained_on(
    folder: RunFolder, source: Sequence[str], factor: int
) -> tuple[ModelGrid, dict[str, Normaliser]]:
    """Return the grid of the data that a run was trained on, and its normalisers by contrast.

    Args:
        folder: A finished run, with ``data_facts`` under "data" in its provenance.
        source: Contrasts that the stage takes.
        factor: What the stage's image axes must be multiples of.

    Raises:
        MrcontrastError: The run does not say.
    """
    try:
        facts = folder.provenance["data"]
        settings = {name: facts[f"normaliser_{name}"] for name in source}
        grid = ModelGrid(facts["spacing_mm"], tuple(facts["shape"]), factor)
        return grid, {
            name: normaliser_from_name(node["name"], node["clip"])
            for name, node in settings.items()
        }
    except (KeyError, TypeError) as error:
        missing = error if isinstance(error, KeyError) else "data"
        raise MrcontrastError(
            f"Expected grid and normaliser of the training data, got no {missing} "
            f"({folder.provenance_path}). Train the run again."
        ) from error


def set_sampler(stage: Stage, name: str) -> None:
    """Let a stage draw with another sampler.

    Raises:
        UsageError: It has no sampler, or the configs have none of that name.
    """
    folder = config_dir() / "stage" / "process" / "sampler"
    known = sorted(path.stem for path in folder.glob("*.yaml"))
    if name not in known:
        raise UsageError(f"Expected a sampler among {', '.join(known)}, got {name}. Choose one.")
    stage.sampler = build(OmegaConf.load(folder / f"{name}.yaml"))


def set_steps(stage: Stage, steps: int) -> None:
    """Let a stage's sampler take another number of steps.

    Raises:
        UsageError: It has no sampler, or the number is below 1.
    """
    sampler = stage.sampler
    if sampler is None or steps < 1:
        raise UsageError(
            f"Expected 1 or more steps of a stage with a sampler, got {steps} "
            f"({type(stage).__name__}). Leave --steps out."
        )
    sampler.num_steps = steps
