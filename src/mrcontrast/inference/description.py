"""Options that decide a draw, as JSON: sidecars of equal options stand for equal volumes."""

from typing import Any

from mrcontrast.inference.sampling import Drawing
from mrcontrast.inference.sampling_options import ONE_DRAW, Draws


def describe_precision(draws: Draws) -> dict[str, Any]:
    """Return the precision as JSON; nothing for the usual one, which older sidecars do not name."""
    return {} if draws.precision == ONE_DRAW.precision else {"Precision": draws.precision}


def describe_draw(drawing: Drawing) -> dict[str, Any]:
    """Return what decides a draw beside weights and seed, as JSON."""
    stage, sampler = drawing.stage, drawing.stage.sampler
    if sampler is None:
        return {"Sampler": None, "Steps": None}
    settings = {
        name: value
        for name, value in sorted(vars(sampler).items())
        if not name.startswith("_") and isinstance(value, int | float | str)
    }
    return {
        "Sampler": type(sampler).__name__,
        "Steps": sampler.num_steps,
        "SamplerSettings": settings,
        **({} if stage.start == 1 else {"Start": stage.start}),
        **({} if stage.guidance is None else {"Guidance": stage.guidance}),
        **({"NoiseTurn": drawing.draws.noise_turn} if stage.spatial_dims == 2 else {}),
        "Temperature": drawing.draws.temperature,
    }
