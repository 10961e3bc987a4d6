"""Measure one setting: both training steps, and sampling."""

from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch
from architectures import Setting
from efficiency import Examine
from interleaving import TakeTurns, alternate, compare
from original import DDIM_STEPS, OriginalControl, OriginalDiffusion
from ours import build_data, build_ours, fit, images_of, stage_config

ORIGINALS = {"latent_diffusion": OriginalDiffusion, "controlnet": OriginalControl}
FAVOUR = "original_without_text_gradients"


def device() -> torch.device:
    """Return the device of all measurements."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def measure_step(what: Setting, stage: str, out: Path, turns: int) -> dict[str, Any]:
    """Compare a training step of the original with ours, in turns.

    Args:
        what: Networks, data and batch.
        stage: "latent_diffusion" or "controlnet".
        out: Folder of data, cache and runs.
        turns: Counted steps per side.
    """
    config = stage_config(what, stage, out, steps=turns + 1)
    data, original = build_data(config), ORIGINALS[stage](config, what).to(device())
    original.start()
    images = images_of(data, what.batch_size, device())
    others = {
        "original": partial(original.step, images),
        FAVOUR: partial(original.step, images, text_gradients=False),
    }
    taken, examined = TakeTurns(others), Examine()
    fit(build_ours(config, what), data, config, [taken, examined])
    result = compare(taken.counted())
    result["ratio_without_text_gradients"] = compare(taken.counted(), FAVOUR)["ratio"]
    rate = examined.flops / result["ours_s"]
    operations = {"flops": examined.flops, "flops_per_s": rate, "operators": examined.groups}
    return result | operations | {"batch_size": what.batch_size}


def measure_sampling(what: Setting, out: Path, turns: int) -> dict[str, Any]:
    """Compare sampling one image: DDIM 200 with guidance against our stage's sampler.

    All steps of a sampler take equally long, so one step of each side is timed in turns, and
    separately the work before the first step and after the last.
    """
    config = stage_config(what, "controlnet", out)
    stage: Any = build_ours(config, what).to(device()).eval()
    theirs = OriginalControl(config, what).to(device()).eval()
    flair = images_of(build_data(config), 1, device())["source"]
    noise = torch.randn(1, *stage.noise_shape(flair.shape[2:]), device=device())
    steps = {"ours": stage.sampler.num_steps, "original": DDIM_STEPS}
    calls = {"ours": stage.sampler.num_calls, "original": 2 * DDIM_STEPS}
    found: dict[str, Any] = {"sampler": type(stage.sampler).__name__}
    ends = stage.process.schedule, stage.process.target
    with torch.no_grad(), begun(stage, flair) as predict:
        stage.sampler.num_steps = 1
        step = {
            "ours": lambda: stage.sampler.sample(predict, noise, *ends),
            "original": theirs.one_step(flair, noise),
        }
        step_s = alternate(step, turns)
    rest_s = alternate(
        {
            "ours": lambda: (begin(stage, flair), stage.codec.decode(noise, flair.shape[2:])),
            "original": lambda: (theirs.context(1), theirs.decode(noise)),
        },
        turns,
    )
    for side in ("ours", "original"):
        found[f"{side}_calls"] = calls[side]
        found[f"{side}_step_s"] = median(step_s[side])
        found[f"{side}_rest_s"] = median(rest_s[side])
        found[f"{side}_s"] = steps[side] * found[f"{side}_step_s"] + found[f"{side}_rest_s"]
    return found | {"ratio": found["original_s"] / found["ours_s"], "turns": turns}


def begun(stage: Any, flair: torch.Tensor) -> Any:  # noqa: ANN401
    """Return the context of a sample's steps, with FLAIR embedded."""
    return stage.sampling(stage.prepare({"source": flair}))


@torch.no_grad()
def begin(stage: Any, flair: torch.Tensor) -> None:  # noqa: ANN401
    """Do the work before the first step: embed FLAIR."""
    with begun(stage, flair):
        pass
