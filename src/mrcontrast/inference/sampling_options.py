"""Sampling options of ``translate``, studies and Python: count, steps, noise and precision."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Self, TypedDict

from mrcontrast.config.types import check_type
from mrcontrast.errors import UsageError

if TYPE_CHECKING:
    from mrcontrast.stages.contract import Stage

PRECISIONS = ("32-true", "bf16-mixed")  # by the names of Lightning
KNOWN_TAGS = ("source", "all", "none", "shuffled")
UNSHUFFLED = (
    "Expected a prepared data set for known_tags shuffled, whose subjects lend each other their "
    "tags, got files. Choose source, all or none."
)
ONE_SAMPLE_TEMPERATURE = 0.5  # chosen in experiments/release
MOST_FACTOR = 100.0  # of guidance and controls: beyond any use; larger ones overflow
NUMBER = r"\d*\.?\d+"
CONTROL = re.compile(rf"(.+?):(-?{NUMBER})(?::({NUMBER})-({NUMBER}))?")
BATCH_SIZE = 16  # slices at once; 2D only


class SamplingKeys(TypedDict, total=False):
    """Keys of ``SamplingOptions``."""

    samples: int
    steps: int | None
    sampler: str | None
    start: float | None
    temperature: float | None
    noise_turn: int
    seed: int
    prompt: str
    negative: str
    guidance: float | None
    known_tags: str
    precision: str
    without: Sequence[str]
    control: Sequence[str]


@dataclass(frozen=True)
class ControlChoice:
    """A further ControlNet, and how it acts.

    >>> ControlChoice.from_text("runs/t2w:0.8:0-0.5")
    ControlChoice(run='runs/t2w', scale=0.8, start=0.0, end=0.5)
    """

    run: str  # of a ControlNet on the same diffusion model, see ``open_run``
    scale: float  # factor of its residuals
    start: float = 0.0  # part of the draw at which it begins to act; 0 is the draw's beginning
    end: float = 1.0  # part of the draw at which it ends

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Read ``RUN:scale`` or ``RUN:scale:start-end``; raise UsageError for another text."""
        found = CONTROL.fullmatch(str(text))
        start, end = (0.0, 1.0) if found is None or not found[3] else map(float, found.group(3, 4))
        fits = 0 <= start < end <= 1
        if found is None or not fits or not abs(float(found[2])) <= MOST_FACTOR:
            raise UsageError(
                f"Expected RUN:scale or RUN:scale:start-end with 0 <= start < end <= 1 and a scale "
                f"from -{MOST_FACTOR:g} to {MOST_FACTOR:g}, got {text} (control). Change it."
            )
        return cls(found[1], float(found[2]), start, end)


@dataclass(frozen=True)
class SamplingOptions:
    """Options of sampling; a deterministic model makes one image.

    Attributes:
        samples: Samples that are averaged, at least 1; the first has the noise of the seed.
        steps: Steps of the sampler; None keeps those of the run.
        sampler: Name of a file in ``configs/stage/process/sampler``; None keeps the run's own.
        start: Time at which sampling begins, see ``ControlNetDiffusion``; None keeps the run's own.
        temperature: Standard deviation of the initial noise, at least 0; 1 as in training, below it
            samples are closer to each other and to the mean. None takes 0.5 for one sample, where
            the sampler adds no noise in its steps, and otherwise 1, so that the deviation of
            several samples is that of the model.
        noise_turn: Slices over which the noise of a sample turns into other noise; 0 gives all
            slices the same; 2D only. The default was chosen in ``experiments/release``.
        seed: Seed of the noise.
        prompt: Tags and words, see ``Vocabulary.parse``; "" says nothing.
        negative: Tags that guidance leads away from; "" leads away from no tags.
        guidance: w of negative + w (prompt - negative); 1 is the prompt alone. None keeps the run's
            own, or takes 2 with a negative prompt.
        known_tags: Tags of a volume that count where the prompt is silent: "source" (of sources and
            person), "all" (of the target too), "none", or "shuffled" (all of another subject's).
        control: Further ControlNets as ``RUN:scale[:start-end]``, see ``ControlChoice``.
        without: Optional sources that are left out though they are there.
        precision: "32-true", or "bf16-mixed", which autocasts to bfloat16: faster where the
            hardware has units for it.

    Raises:
        UsageError: A number is out of range, or the precision is another.

    Source: A temperature below 1 is Kingma and Dhariwal 2018, "Glow", arXiv 1807.03039, section 6.

    >>> SamplingOptions.of({"samples": 4, "model": "phantom-2d"}).samples
    4
    """

    samples: int = 1
    steps: int | None = None
    sampler: str | None = None
    start: float | None = None
    temperature: float | None = 1.0
    noise_turn: int = 4
    seed: int = 0
    prompt: str = ""
    negative: str = ""
    guidance: float | None = None
    known_tags: str = KNOWN_TAGS[0]
    precision: str = PRECISIONS[0]
    without: Sequence[str] = ()
    control: Sequence[str] = ()

    def __post_init__(self) -> None:
        if self.samples < 1:
            raise UsageError(f"Expected 1 or more samples, got {self.samples}.")
        if self.steps is not None and self.steps < 1:
            raise UsageError(f"Expected 1 or more steps, got {self.steps}.")
        if self.noise_turn < 0:
            raise UsageError(f"Expected 0 or more slices a turn of noise, got {self.noise_turn}.")
        if self.temperature is not None and not 0 <= self.temperature < math.inf:
            raise UsageError(f"Expected a temperature of 0 or more, got {self.temperature:g}.")
        if self.guidance is not None and not abs(self.guidance) <= MOST_FACTOR:
            most = MOST_FACTOR
            raise UsageError(
                f"Expected a guidance from -{most:g} to {most:g}, got {self.guidance}. Change it."
            )
        if self.known_tags not in KNOWN_TAGS:
            known = ", ".join(KNOWN_TAGS)
            raise UsageError(f"Expected {known} as known_tags, got {self.known_tags}. Choose one.")
        if self.precision not in PRECISIONS:
            known = " or ".join(PRECISIONS)
            raise UsageError(f"Expected {known} as precision, got {self.precision}. Choose one.")
        for text in self.control:
            ControlChoice.from_text(text)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """Return the options among values by name, such as those of a command line."""
        found = {key: values[key] for key in OPTIONS if key in values}
        lists = {key: tuple(value) for key, value in found.items() if isinstance(value, list)}
        return cls(**found | lists)

    def resolved(self, stage: "Stage") -> Self:
        """Return the options with a number as temperature; UsageError if it cannot be set."""
        sampler = stage.sampler
        if sampler is not None and not sampler.adds_noise:
            usual = ONE_SAMPLE_TEMPERATURE if self.samples == 1 else 1.0
            return replace(self, temperature=usual) if self.temperature is None else self
        if self.temperature not in (None, 1):
            found = type(stage if sampler is None else sampler).__name__
            other = "" if sampler is None else ", or add --sampler ddim"
            raise UsageError(
                f"Expected a sampler that adds noise at its start alone for a temperature of "
                f"{self.temperature:g}, got {found}. Leave --temperature out{other}."
            )
        return replace(self, temperature=1.0)


OPTIONS = tuple(field.name for field in fields(SamplingOptions))
DEFAULTS = SamplingOptions()


def check_values(values: Mapping[str, Any], prefix: str = "") -> None:
    """Raise UsageError for an option of another type, by its name with a prefix.

    >>> check_values({"samples": 4, "prompt": "3 tesla", "without": ("t2w",)})
    """
    for field in fields(SamplingOptions):
        if field.name in values:
            value = values[field.name]
            plain = list(value) if isinstance(value, tuple) else value
            plain = plain.item() if hasattr(plain, "item") else plain  # a number of NumPy
            check_type(plain, field.type, f"{prefix}{field.name}")
