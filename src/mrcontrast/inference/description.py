"""Options that decide a draw, as JSON: sidecars of equal options stand for equal volumes."""

from typing import Any

from mrcontrast.inference.sampling import Drawing
from mrcontrast.inference.sampling_options import ONE_DRAW, Draws


def describe_precision(draws: Draws) -> dict[str, Any]:
    """Return the precision as JSON; nothing for the usual one, which older sidecars do not name."""
    return {} if draws.precision == ONE_DRAW.precision else {"Precision": draws.precision}


def describe_draw(drawing: Drawing) -> dict[str, Any]:
    """Return what decides a draw beside weights and seed, as JSON."""
    stage: Any = drawing.stage
    sampler, prompt = (getattr(stage, name, None) for name in ("sampler", "prompt"))
    if sampler is None:
        return {"Sampler": None, "Steps": None}
    settings = {
        name: value
        for name, value in sorted(vars(sampler).items())
        if not name.startswith("_") and isinstance(value, int | float | str)
    }
    start = getattr(stage, "start", 1.0)
    return {
        "Sampler": type(sampler).__name__,
        "Steps": sampler.num_steps,
        "SamplerSettings": settings,
        **({} if start == 1 else {"Start": start}),
        **({} if prompt is None else {"Guidance": prompt.guidance}),
        **({"NoiseTurn": drawing.draws.noise_turn} if stage.spatial_dims == 2 else {}),
        "Temperature": drawing.draws.temperature,
    }
