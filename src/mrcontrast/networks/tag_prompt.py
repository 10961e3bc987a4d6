"""Tags as tokens: a context that says how scans were acquired, and whose."""

import logging
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from mrcontrast import keys
from mrcontrast.errors import UsageError
from mrcontrast.networks.prompt import ContextPrompt, check_numbers, size_of
from mrcontrast.networks.tags import Vocabulary, Weighted

log = logging.getLogger(__name__)
LARGEST_WEIGHT = 2.0  # that training shows


class TagPrompt(ContextPrompt):
    """One token for each tag of a vocabulary: (token - null) * weight + null.

    An unknown tag is its null token, which is learnt, so that weight 0 and absence are the same to
    the bit. Numbers enter by sinusoids of their distance from the mean of the training data, in
    units of half their range there, less those of the mean, which says no more than an unknown
    value; words by a table. In training tags drop out, and some numbers come nearer to the mean
    with a weight that makes up for it: that is what a weight means.

    Args:
        vocabulary: All tags.
        width: Width of a token, D; ``cross_attention_dim`` of a denoiser.
        dropout: Share of the training items without any tag, in [0, 1].
        tag_dropout: Share of the other items that lacks a tag, for each tag, in [0, 1].
        guidance: See ``ContextPrompt``; it leads away from ``negative``.
        frequencies: Sinusoids of a number; the sines of the first two rise over the whole range.

    Attributes:
        negative: Tags of the null context by name, none at first.

    Raises:
        UsageError: A number is out of range.

    Source: Vaswani et al. 2017, arXiv 1706.03762, section 3.5, for the sinusoids; weights are those
    of ComfyUI, before any token is mixed with another.
    """

    low: Tensor
    high: Tensor
    mean: Tensor
    seen: Tensor
    numbers: Tensor

    def __init__(
        self,
        vocabulary: Vocabulary,
        width: int = 64,
        dropout: float = 0.1,
        tag_dropout: float = 0.1,
        guidance: float = 1.0,
        frequencies: int = 2,
    ) -> None:
        super().__init__()
        check_numbers({"dropout": dropout, "tag_dropout": tag_dropout}, guidance)
        if width < 1 or frequencies < 1:
            raise UsageError(
                f"Expected a width and frequencies of 1 or more, got {width} and {frequencies} "
                "(stage.prompt)."
            )
        self.vocabulary, self.width, self.guidance = vocabulary, width, guidance
        self.dropout, self.tag_dropout, self.frequencies = dropout, tag_dropout, frequencies
        self.negative: Mapping[str, Any] = {}
        tags = vocabulary.tags
        most = max([len(tag.words) for tag in tags if tag.words], default=0)
        features = 2 * frequencies + most
        self.null = nn.Parameter(0.1 * torch.randn(len(tags), width))
        self.table = nn.Parameter(torch.randn(len(tags), features, width) / frequencies**0.5)
        for name in ("low", "high", "mean"):
            self.register_buffer(name, torch.full((len(tags),), math.nan))
        self.register_buffer("seen", torch.zeros(len(tags), most))
        numbers = torch.tensor([tag.words is None for tag in tags])
        self.register_buffer("numbers", numbers, persistent=False)

    def measure(self, training: Iterable[Mapping[str, Any]]) -> None:
        """Take over range, mean and words of training data; what is known from before stays.

        Args:
            training: Tags of each training session, as a manifest has them.
        """
        values = torch.tensor([self.vocabulary.values(known)[0] for known in training])
        words = ~self.numbers.cpu()
        for row in range(len(self.vocabulary.tags)):
            known = values[:, row][~values[:, row].isnan()]
            if not len(known):
                continue
            if words[row]:
                self.seen[row, known.long().unique()] = 1.0
                continue
            if self.mean[row].isnan():
                self.mean[row] = known.mean()
                self.low[row], self.high[row] = known.min(), known.max()

    def read(self, text: str) -> dict[str, Weighted]:
        """Return the tags of a prompt; a name of several contrasts sets those that were trained.

        Raises:
            UsageError: It cannot be read, or a tag, word or value was not trained.
        """
        found = self.vocabulary.parse(text, self.trained())
        self.check(found)
        return found

    def check(self, tags: Mapping[str, Weighted]) -> None:
        """Check a prompt against the training data.

        Raises:
            UsageError: A tag, word or value was not trained.
        """
        known = self.trained()
        for name, value in tags.items():
            if name not in known:
                texts = "; ".join(f"{key} {text}" for key, text in known.items())
                raise UsageError(
                    f"Expected a tag that the model was trained with, got {name}. It knows: "
                    f"{texts or 'none'}."
                )
            if not self.fits(name, value):
                raise UsageError(
                    f"Expected {known[name]} for {name}, as in training, got {value.value} "
                    "(prompt)."
                )

    def fits(self, name: str, value: Weighted) -> bool:
        """Return whether a word, or a value in the range, was in the training data."""
        row = list(self.vocabulary.by_name).index(name)
        if (words := self.vocabulary.tags[row].words) is not None:
            return bool(self.seen[row, list(words).index(str(value.value))])
        number = float(value.value)
        slack = 1e-4 * abs(number)
        return bool(self.low[row] - slack <= number <= self.high[row] + slack)

    def trained(self) -> dict[str, str]:
        """Return the values of training by tag: "850 to 1100 ms", or words."""
        found = {}
        for row, tag in enumerate(self.vocabulary.tags):
            if tag.words is not None:
                words = [word for i, word in enumerate(tag.words) if self.seen[row, i]]
                if words:
                    found[tag.name] = " or ".join(words)
            elif not self.mean[row].isnan():
                ends = f"{self.low[row]:g}", f"{self.high[row]:g}"
                found[tag.name] = " to ".join(dict.fromkeys(ends)) + f" {tag.unit}"
        return found

    def context(self, batch: keys.Batch) -> Tensor:
        """Return the tokens of a batch, (B, T, D); unknown tags where it has none."""
        return self.tokens(batch.get("tags") or [{}] * size_of(batch))

    def null_context(self, batch: keys.Batch) -> Tensor:
        """Return the tokens of the negative prompt, (B, T, D); all unknown without one."""
        return self.tokens([self.negative]).expand(size_of(batch), -1, -1)

    def tokens(self, known: Sequence[Mapping[str, Any]]) -> Tensor:
        """Return the tokens (B, T, D) of tags by name."""
        pairs = [self.vocabulary.values(each) for each in known]
        values, weights = (
            torch.tensor(part, device=self.null.device) for part in zip(*pairs, strict=True)
        )
        if self.training:
            values, weights = self.varied(values, weights)
        return self.null + weights[..., None] * self.steps(values)

    def varied(self, values: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        """Drop tags (B, T), and bring numbers nearer to their mean with larger weights."""
        lone = torch.rand(len(values), 1, device=values.device) < self.dropout
        lost = torch.rand(values.shape, device=values.device) < self.tag_dropout
        larger = 1 + (LARGEST_WEIGHT - 1) * torch.rand(values.shape, device=values.device)
        chosen = (torch.rand(values.shape, device=values.device) < 0.25) & self.numbers
        weights = torch.where(chosen, larger, weights)
        values = torch.where(chosen, self.mean + (values - self.mean) / weights, values)
        return values.masked_fill(lone | lost, math.nan), weights

    def steps(self, values: Tensor) -> Tensor:
        """Return the difference of each token from its null, (B, T, D); 0 for unknown values."""
        half = ((self.high - self.low) / 2).clamp_min(1e-6)
        place = torch.nan_to_num((values - self.mean) / half).unsqueeze(-1)
        orders = torch.arange(1, self.frequencies + 1, device=values.device)
        angles = orders * (math.pi / 4) * place
        waves = torch.cat([angles.sin(), angles.cos() - 1], dim=-1) * self.numbers[:, None]
        index = torch.nan_to_num(values, nan=0.0).long()[..., None]
        kinds = torch.arange(self.seen.shape[1], device=values.device)
        words = ((index == kinds) & ~self.numbers[:, None]).to(waves)
        features = torch.cat([waves, words], dim=-1)
        unknown = values.isnan() | (self.numbers & self.mean.isnan())
        features = features.masked_fill(unknown[..., None], 0.0)
        return torch.einsum("btf,tfd->btd", features, self.table)


def listening(
    denoiser: Callable[..., nn.Module], prompt: nn.Module | None
) -> Callable[..., nn.Module]:
    """Return the partial of a denoiser, with cross-attention if the prompt has tags."""
    if not isinstance(prompt, TagPrompt):
        return denoiser
    return partial(denoiser, with_conditioning=True, cross_attention_dim=prompt.width)


def measure_tags(stage: Any, datamodule: Any) -> None:  # noqa: ANN401 - of Lightning
    """Let the prompt of a stage measure the tags of a data module's training items."""
    if isinstance(stage.prompt, TagPrompt):
        stage.prompt.measure(datamodule.train_tags)
        if not stage.prompt.trained():
            log.warning(
                "No training session has a known tag, so that the model takes no prompt: see tags "
                "in the manifest of the data set."
            )
