"""Prompts of tags: what a user says, and what is known of a volume."""

from collections.abc import Mapping
from typing import Any

from mrcontrast.errors import UsageError
from mrcontrast.inference.sampling_options import SamplingOptions
from mrcontrast.networks.prompt import ContextPrompt
from mrcontrast.networks.tag_prompt import TagPrompt
from mrcontrast.networks.tags import Weighted
from mrcontrast.stages.contract import Stage

USUAL_GUIDANCE = 2.0  # with a negative prompt, where none is given


def tag_prompts(stage: Stage) -> list[TagPrompt]:
    """Return the prompts of tags of a stage: the denoiser's, a regression's, or both."""
    return [part for part in stage.modules() if isinstance(part, TagPrompt)]


def set_prompt(stage: Stage, options: SamplingOptions) -> None:
    """Set the negative prompt and the guidance of a stage; check the prompt.

    Raises:
        UsageError: The stage takes none, or a prompt cannot be read or was not trained.
    """
    prompts = tag_prompts(stage)
    if (options.prompt or options.negative) and not prompts:
        raise UsageError(
            f"Expected a model with tags for a prompt, got a {type(stage).__name__} without. "
            "Train one with stage/prompt=tags, or leave --prompt and --negative out."
        )
    for prompt in prompts:
        prompt.read(options.prompt)
        prompt.read(options.negative)
    own = getattr(stage, "prompt", None)
    guidance = options.guidance
    if guidance is None and options.negative:
        guidance = USUAL_GUIDANCE
    if guidance is None:
        return
    if not isinstance(own, ContextPrompt):
        raise UsageError(
            f"Expected a model with a prompt for a guidance of {guidance:g}, got a "
            f"{type(stage).__name__} without. Leave --guidance and --negative out."
        )
    own.guidance = guidance
    if isinstance(own, TagPrompt):
        own.negative = own.read(options.negative)


def tags_for(
    stage: Stage, options: SamplingOptions, known: Mapping[str, Any]
) -> dict[str, Weighted]:
    """Return the tags under which a volume is sampled.

    Args:
        stage: Without tags, the result is empty.
        options: Their prompt goes before what is known.
        known: Tags of the volume as a manifest has them. Those that ``options.known_tags`` leaves
            out, and values that were not trained, count as unknown.
    """
    found: dict[str, Weighted] = {}
    for prompt in tag_prompts(stage):
        if options.known_tags != "none":
            whole = options.known_tags in ("all", "shuffled")
            every = prompt.vocabulary.known(known, whole)
            found |= {name: value for name, value in every.items() if prompt.fits(name, value)}
        found |= prompt.read(options.prompt)
    return found


def text_of(tags: Mapping[str, Weighted]) -> str:
    """Return tags as the text of a prompt.

    >>> text_of({"t1w_ti_ms": Weighted(1100.0, 1.2), "sex": Weighted("f")})
    't1w_ti_ms=1100:1.2, sex=f'
    """
    parts = []
    for name, (value, weight) in tags.items():
        text = value if isinstance(value, str) else f"{value:g}"
        parts.append(f"{name}={text}" + ("" if weight == 1 else f":{weight:g}"))
    return ", ".join(parts)
