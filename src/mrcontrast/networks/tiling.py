"""Large grids in overlapping windows: the same function on each, blended without a seam."""

from collections.abc import Callable, Sequence
from itertools import pairwise, product
from math import ceil
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from mrcontrast.errors import UsageError
from mrcontrast.networks.shared_norms import SharedNorms

CODEC_PASSES = 8  # 0.002 of the range remains, of 0.11 without; see tests/networks/test_tiling.py
STEADY = 1e-3  # relative change of statistics below which another pass is of no use
DENOISER_PASSES = 2  # at each of the sampler's steps


class Span(NamedTuple):
    """A window along one axis: its cells, and the part of it that is nearer to no other window."""

    number: int
    start: int
    stop: int
    core: slice  # in [0, 1]


class Tiling:
    """Cut (B, C, *S) into windows of bounded size and blend what a function makes of them.

    Windows start and end on cells of ``multiple`` image voxels, so that networks which halve their
    axes see each window as they would see it within the whole. Neighbours share ``overlap``: the
    outer quarter of it on either side is thrown away, since a window's end lacks its
    surroundings, and over the half between the one fades linearly into the other. Weights are
    separable and sum to one. A grid no larger than a window goes through whole, bit for bit.

    Args:
        tile_voxels: Largest window along each axis, in image voxels, rounded down to cells; None
            never cuts.
        overlap: Part of a window that it shares with its neighbour, in (0, 0.5]. At least one
            cell; more where windows do not divide the grid, as they are spread evenly.
        multiple: Image voxels of one cell.
        passes: Most times that all windows are visited to gather statistics for group norms, before
            the visit that counts; 0 leaves each window its own. See ``SharedNorms``.

    Source: Bar-Tal et al. 2023, arXiv 2302.08113, eq. 5 for predictions within a sampler (there
    weights are 1). MONAI's sliding windows weigh by a Gaussian that never reaches 0, so that
    windows' ends shine through; here a network without global statistics comes out exact.
    """

    def __init__(
        self, tile_voxels: int | None, overlap: float, multiple: int, passes: int = 0
    ) -> None:
        if not 0 < overlap <= 0.5:
            raise UsageError(f"Expected an overlap in (0, 0.5], got {overlap:g}. Set 0.25.")
        if tile_voxels is not None and tile_voxels < 2 * multiple:
            raise UsageError(
                f"Expected a tile of {2 * multiple} or more voxels, got {tile_voxels}. "
                f"Choose a multiple of {multiple}."
            )
        self.tile_voxels, self.overlap, self.multiple = tile_voxels, overlap, multiple
        self.passes = passes
        self.most_windows: int | None = None  # a memory estimate visits few: all cost the same

    def __call__(
        self,
        function: Callable[..., Tensor],
        inputs: Sequence[Tensor],
        cells: Sequence[int],
        network: nn.Module | None = None,
    ) -> Tensor:
        """Apply a function to whole inputs or window by window.

        It leads from windows of the inputs, each (B, C, *S), to (B, C', *S'); all axes are
        multiples of the grid's cells. ``network`` is what it runs, for its group norms.
        """
        if not self.cuts(cells):
            return function(*inputs)
        norms = SharedNorms(network)
        with norms.installed():
            for _ in range(self.passes if norms.norms else 0):
                for window in self.windows(cells):
                    norms.core = [span.core for span in window]
                    function(*(cut(whole, window, cells) for whole in inputs))
                if norms.learn() < STEADY:
                    break
            norms.core = None
            return self.blend(function, inputs, cells)

    def blend(
        self, function: Callable[..., Tensor], inputs: Sequence[Tensor], cells: Sequence[int]
    ) -> Tensor:
        """Return the weighted sum of what a function makes of each window."""
        result: Tensor | None = None
        axes = [self.spans(count) for count in cells]
        for window in self.windows(cells):
            piece = function(*(cut(whole, window, cells) for whole in inputs))
            scales = [n // (s.stop - s.start) for n, s in zip(piece.shape[2:], window, strict=True)]
            if result is None:
                shape = [count * scale for count, scale in zip(cells, scales, strict=True)]
                result = piece.new_zeros(*piece.shape[:2], *shape)
            for axis, span in enumerate(window):
                weight = fades(axes[axis], scales[axis])[span.number].to(piece)
                piece = piece * weight.view(-1, *[1] * (len(window) - 1 - axis))
            cut(result, window, cells).add_(piece)
        assert result is not None
        return result

    def cuts(self, cells: Sequence[int]) -> bool:
        """Return whether a grid of so many cells is larger than one window."""
        return self.tile_voxels is not None and max(cells) > self.tile_voxels // self.multiple

    def windows(self, cells: Sequence[int]) -> list[tuple[Span, ...]]:
        """Return the windows over a grid of so many cells, one span an axis."""
        if not self.cuts(cells):
            return [tuple(Span(0, 0, count, slice(0, 1)) for count in cells)]
        return list(product(*(self.spans(count) for count in cells)))[: self.most_windows]

    def spans(self, count: int) -> list[Span]:
        """Return the windows along an axis of ``count`` cells.

        >>> [(span.start, span.stop) for span in Tiling(32, 0.25, 4).spans(19)]
        [(0, 8), (6, 14), (11, 19)]
        """
        assert self.tile_voxels is not None
        tile = min(count, self.tile_voxels // self.multiple)
        shared = max(1, min(ceil(self.overlap * tile), tile // 2))
        steps = ceil((count - tile) / max(tile - shared, 1))
        starts = [round(index * (count - tile) / max(steps, 1)) for index in range(steps + 1)]
        borders = [0, *((a + b + tile) // 2 for a, b in pairwise(starts)), count]
        return [
            Span(i, a, a + tile, slice((borders[i] - a) / tile, (borders[i + 1] - a) / tile))
            for i, a in enumerate(starts)
        ]


def cut(whole: Tensor, window: Sequence[Span], cells: Sequence[int]) -> Tensor:
    """Return the window of (B, C, *S), as a view."""
    scales = [n // count for n, count in zip(whole.shape[2:], cells, strict=True)]
    pairs = zip(window, scales, strict=True)
    kept: list[Any] = [slice(span.start * scale, span.stop * scale) for span, scale in pairs]
    return whole[(..., *kept)]


def fades(spans: Sequence[Span], scale: int) -> list[Tensor]:
    """Return the weights of windows along one axis, each (cells of its span * scale,).

    >>> whole = slice(0, 1)
    >>> [w.tolist() for w in fades([Span(0, 0, 4, whole), Span(1, 2, 6, whole)], 1)]
    [[1.0, 1.0, 1.0, 0.0], [0.0, 1.0, 1.0, 1.0]]
    """
    place = (torch.arange(spans[-1].stop * scale, dtype=torch.float64) + 0.5) / scale
    weights = torch.stack([((place > span.start) & (place < span.stop)).double() for span in spans])
    for before, span in pairwise(spans):
        rise = ((place - span.start) / (before.stop - span.start) * 2 - 0.5).clamp(0, 1)
        weights[span.number] *= rise
        weights[before.number] *= 1 - rise
    weights /= weights.sum(0)
    pairs = zip(weights, spans, strict=True)
    return [weight[span.start * scale : span.stop * scale].float() for weight, span in pairs]
