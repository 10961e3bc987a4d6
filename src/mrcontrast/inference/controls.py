"""Further ControlNets of ``translate``: read, checked and added to a stage."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from mrcontrast.errors import UsageError
from mrcontrast.inference.sampling_options import ControlChoice
from mrcontrast.inference.training_grid import trained_on
from mrcontrast.runs.folder import RunFolder
from mrcontrast.stages.added_control import AddedControl
from mrcontrast.stages.contract import Stage
from mrcontrast.stages.controlnet import ControlNetDiffusion
from mrcontrast.tracking.loading import load_stage
from mrcontrast.tracking.references import open_run
from mrcontrast.transforms.grid import ModelGrid
from mrcontrast.transforms.normalise import Normaliser

SHARED = ("codec", "denoiser", "prompt")


def add_control(
    stage: Stage,
    choice: ControlChoice,
    grid: ModelGrid,
    normalisers: Mapping[str, Normaliser],
    device: str,
) -> tuple[dict[str, Normaliser], dict[str, Any]]:
    """Add the ControlNet of a run to a stage, in place.

    ``grid`` and ``normalisers`` are those of the stage's training data. Returns the normalisers of
    all sources, further ones last, and what a sidecar says of the control. Raises UsageError unless
    the run is a ControlNet on the same diffusion model and kind of data.
    """
    if not isinstance(stage, ControlNetDiffusion):
        raise UsageError(
            f"Expected a ControlNet as model of --control, got {type(stage).__name__}. Name "
            "another --model, or leave --control out."
        )
    folder = open_run(choice.run)
    other = load_stage(folder.path, device)
    if not isinstance(other, ControlNetDiffusion):
        raise refusal("a ControlNet to add to a ControlNet", type(other).__name__, folder)
    for name in SHARED:
        if not same_weights(getattr(stage, name), getattr(other, name)):
            raise refusal("a ControlNet on the same diffusion model", f"another {name}", folder)
    other_grid, theirs = trained_on(folder, other.source, other.factor)
    facts: list[tuple[str, Any, Any]] = [
        ("context_slices", stage.context_slices, other.context_slices)
    ]
    facts += [("spacing_mm", grid.spacing_mm, other_grid.spacing_mm)]
    facts += [(name, normalisers[name], fit) for name, fit in theirs.items() if name in normalisers]
    for name, ours, found in facts:
        if ours != found:
            raise refusal(f"{name} of {ours} as the model has", found, folder)
    always = {*other.source} - {*other.optional}
    further = [name for name in other.optional if name not in stage.inputs]
    stage.optional = (*(name for name in stage.optional if name not in always), *further)
    how = choice.scale, choice.start, choice.end
    stage.controls.append(
        AddedControl(other.controlnet, other.condition, other.source, *how).eval()
    )
    said = {
        "Model": choice.run,
        "WeightsSHA256": folder.provenance["weights_sha256"],
        "Scale": choice.scale,
        "Start": choice.start,
        "End": choice.end,
    }
    return {**normalisers, **theirs}, said


def check_acting(stage: Stage, choices: Sequence[str]) -> None:
    """Raise UsageError for an added control whose part of the draw has no step of the sampler."""
    if not isinstance(stage, ControlNetDiffusion):
        return
    steps = stage.sampler.num_steps
    for control, text in zip(stage.added, choices, strict=True):
        if control.scale and not any(control.acts(step, steps) for step in range(steps)):
            raise UsageError(
                f"Expected a part of the draw with a whole step of {steps}, got "
                f"{control.start:g}-{control.end:g} ({text}). Widen it, or take more --steps."
            )


def same_weights(one: nn.Module | None, other: nn.Module | None) -> bool:
    """Return whether two modules, or none, have the same tensors to the bit."""
    ours, theirs = ({} if each is None else each.state_dict() for each in (one, other))
    return ours.keys() == theirs.keys() and all(
        torch.equal(value.nan_to_num(), theirs[name].nan_to_num()) for name, value in ours.items()
    )


def refusal(wanted: str, found: object, folder: RunFolder) -> UsageError:
    """Return the error for a run that cannot be added."""
    return UsageError(f"Expected {wanted}, got {found} ({folder.path}). Name another --control.")
