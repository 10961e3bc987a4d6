"""The options that decide a sample, as JSON: equal descriptions mean equal volumes."""

from typing import Any

from mrcontrast.inference.sampling_options import DEFAULTS
from mrcontrast.inference.volume_sampler import VolumeSampler


def describe_sampling(sampler: VolumeSampler) -> dict[str, Any]:
    """Return what decides a sample besides weights and seed, as JSON."""
    stage, options = sampler.stage, sampler.options
    usual = options.precision == DEFAULTS.precision  # which older sidecars do not name
    ending = {**({} if usual else {"Precision": options.precision}), "Samples": options.samples}
    if options.negative:
        ending["NegativePrompt"] = options.negative
    if stage.sampler is None:
        guided = {} if stage.guidance in (None, 1) else {"Guidance": stage.guidance}
        return {"Sampler": None, "Steps": None, **guided, **ending}
    settings = {
        name: value
        for name, value in sorted(vars(stage.sampler).items())
        if not name.startswith("_") and isinstance(value, int | float | str)
    }
    return {
        "Sampler": type(stage.sampler).__name__,
        "Steps": stage.sampler.num_steps,
        "SamplerSettings": settings,
        **({} if stage.start == 1 else {"Start": stage.start}),
        **({} if stage.guidance is None else {"Guidance": stage.guidance}),
        **({"NoiseTurn": options.noise_turn} if stage.spatial_dims == 2 else {}),
        "Temperature": options.temperature,
        **ending,
    }
