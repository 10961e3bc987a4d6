"""A network that maps the source to the target in one call, for images of any size."""

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor, nn

from mrcontrast import keys
from mrcontrast.networks.fast_kernels import use_fast_kernels
from mrcontrast.networks.film import Film
from mrcontrast.networks.padding import crop, pad_to_multiple
from mrcontrast.networks.tag_prompt import TagPrompt

Tags = list[dict[str, Any]]


class Regressor(nn.Module):
    """A U-Net, or a similar network, with padding of its input.

    Args:
        network: Builds the network for spatial_dims, in_channels and out_channels: from
            (B, N * (1 + 2k), *S) to (B, 1, *S), for axes that ``factor`` divides; each optional
            source adds a channel, 1 where it is there and 0 where it is not.
        spatial_dims: 2 or 3.
        context_slices: Neighbouring slices on each side that come with each source in 2D, k.
        factor: Image axes are padded to multiples of this, the product of the strides.
        source: Names of the N contrasts that it is given.
        prompt: Tags that the network's blocks listen to, or None.
        optional: Names of the contrasts that may be absent.
    """

    def __init__(
        self,
        network: Callable[..., nn.Module],
        spatial_dims: int,
        context_slices: int,
        factor: int,
        source: Sequence[str] = ("flair",),
        prompt: TagPrompt | None = None,
        optional: Sequence[str] = (),
    ) -> None:
        super().__init__()
        self.in_channels = len(source) * (1 + 2 * context_slices)
        self.optional, self.rows = tuple(optional), keys.optional_rows(source, optional)
        sizes = {"in_channels": self.in_channels + len(self.rows), "out_channels": 1}
        self.network = network(spatial_dims=spatial_dims, **sizes)
        self.spatial_dims, self.context_slices = spatial_dims, context_slices
        self.factor, self.source = factor, tuple(source)
        self.prompt: TagPrompt | None = None
        if prompt is not None:
            self.listen(prompt)
        use_fast_kernels(self)

    def listen(self, prompt: TagPrompt) -> None:
        """Let the blocks of the network listen to tags; UsageError if it has none that can."""
        self.prompt = prompt
        self.film = Film(self.network, *prompt.null.shape)

    @property
    def sizes(self) -> dict[str, int]:
        """Arguments of ``Stage`` for a stage that runs this network."""
        names = ("spatial_dims", "factor", "context_slices")
        return {name: getattr(self, name) for name in names}

    def forward(
        self,
        source: Tensor,
        tags: Tags | None = None,
        guided: bool = False,
        present: Tensor | None = None,
    ) -> Tensor:
        """Return the target (B, 1, *S), not clamped, of a source (B, N * (1 + 2k), *S) in [0, 1].

        ``guided``: the prompt guides, as in sampling. ``present``: which sources are there, (B, N),
        None for all.
        """
        padded = keys.flagged(pad_to_multiple(source, self.factor), present, self.rows)
        if self.prompt is None:
            return crop(self.network(padded), source.shape[2:])

        def network(context: Tensor) -> Tensor:
            with self.film.under(context):
                return self.network(padded)

        known: keys.Batch = {"source": source, "tags": tags or []}
        image = self.prompt.predict(network, self.prompt.contexts(known, guided))
        return crop(image, source.shape[2:])

    def image_of(self, batch: keys.Batch) -> Tensor:
        """Return the target image (B, 1, *S) in [0, 1] of a batch."""
        return self(batch["source"], batch.get("tags"), True, batch.get("present")).clamp(0.0, 1.0)

    def raw_of(self, batch: keys.Batch) -> Tensor:
        """Return the target (B, 1, *S), not clamped, of a batch, as training takes it."""
        return self(batch["source"], batch.get("tags"), present=batch.get("present"))
