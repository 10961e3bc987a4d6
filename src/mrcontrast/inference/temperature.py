"""Draws from weaker noise than a model was trained with."""

from dataclasses import replace

from mrcontrast.errors import UsageError
from mrcontrast.inference.stage_translator import StageTranslator
from mrcontrast.stages.contract import Stage

ONE_DRAW_TEMPERATURE = 0.5  # chosen in experiments/release


def lower_temperature(translator: StageTranslator) -> None:
    """Draw at the temperature that is best for one draw, where the model allows any other than 1.

    Several draws stay at 1: their deviation is to be that of the model.
    """
    drawing = translator.drawing
    if draws_at_start_alone(drawing.stage):
        draws = replace(drawing.draws, temperature=ONE_DRAW_TEMPERATURE)
        translator.drawing = replace(drawing, draws=draws)


def draws_at_start_alone(stage: Stage) -> bool:
    """Return whether the noise at the start of a draw is all that a stage draws."""
    return stage.sampler is not None and not stage.sampler.draws_on_its_way


def refuse_temperature(stage: Stage, temperature: float) -> None:
    """Raise UsageError where the noise at the start is not all that is drawn."""
    if not draws_at_start_alone(stage):
        sampler = stage.sampler
        found = type(stage if sampler is None else sampler).__name__
        other = "" if sampler is None else ", or add --sampler ddim"
        raise UsageError(
            f"Expected a sampler that draws noise at its start alone for a temperature of "
            f"{temperature:g}, got {found}. Leave --temperature out{other}."
        )
