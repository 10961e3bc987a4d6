"""From a scanner's volume to the model's grid, through a stage, and back."""

from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any, Protocol

import numpy as np
import torch
from lightning import LightningModule

from mrcontrast.draws import ONE_DRAW, Draws
from mrcontrast.errors import MrcontrastError, UsageError
from mrcontrast.transforms.grid import GriddedVolume, ModelGrid, brain_from_nonzero
from mrcontrast.transforms.normalise import Normaliser
from mrcontrast.translator.cost import cost_of, reset_peak
from mrcontrast.translator.drawing import Drawing, Progress
from mrcontrast.translator.fitting import Fitting
from mrcontrast.volume import Volume

SPACING_TOLERANCE_MM = 1e-3
LEAST_WEIGHT = 1e-3  # of brain in an interpolated voxel; below it nothing is known there


@dataclass(frozen=True)
class Translation:
    """A synthetic volume and how it came about.

    Attributes:
        mean: Mean of the draws, on the grid of the input, in [0, 1], 0 outside the brain.
        std: Standard deviation of the draws, on the same grid; None for one draw.
        normaliser: What the input was normalised with, ``FittedNormaliser.to_dict()``; None for
            input that was normalised before.
        seconds: Time that it took, reading and writing left out.
        tiles: Tiles that were used, "autoencoder,denoiser" in voxels, 0 for whole; None if nobody
            asked for them.
        cost: What a sidecar says of costs, see ``mrcontrast.translator.cost``; None if unknown.
    """

    mean: Volume
    std: Volume | None
    normaliser: dict[str, Any] | None
    seconds: float
    tiles: str | None = None
    cost: dict[str, Any] | None = None


class Translator(Protocol):
    """What translates volumes: a trained stage, or any other system behind the same face.

    Attributes:
        source: Contrast that a volume must have, ``keys.FLAIR`` or ``keys.T1W``.
        normaliser_name: How prepared volumes must be normalised; None if it does not matter.
        progress: Called with the part of a volume that is done, in [0, 1]; None tells nobody.
    """

    source: str
    normaliser_name: str | None
    progress: Progress | None

    def translate(self, volume: Volume, mask: np.ndarray | None, seed: int) -> Translation:
        """Translate a volume as a scanner gives it."""

    def translate_prepared(self, volume: Volume, mask: np.ndarray, seed: int) -> Translation:
        """Translate a volume of a prepared data set: normalised, on the model's spacing."""

    def describe(self) -> dict[str, Any]:
        """Return model and options as JSON; equal descriptions give equal volumes."""


class StageTranslator:
    """Translate volumes with a trained stage: slice by slice in 2D, whole in 3D.

    Args:
        stage: See ``mrcontrast.stages``.
        grid: Spacing and axes that the stage was trained on.
        normaliser: How the training volumes of ``stage.source`` were normalised.
        draws: How often a volume is drawn, and from what noise.
        batch_size: Slices at once; 2D only.
        device: Where the stage runs.
        identity: What names the weights, for ``describe``.

    Raises:
        UsageError: There are no slices in a batch.
    """

    def __init__(
        self,
        stage: LightningModule,
        grid: ModelGrid,
        normaliser: Normaliser,
        draws: Draws = ONE_DRAW,
        batch_size: int = 16,
        device: str | torch.device = "cpu",
        identity: dict[str, Any] | None = None,
    ) -> None:
        if batch_size < 1:
            raise UsageError(f"Expected 1 or more slices a batch, got {batch_size}.")
        ready: Any = stage.to(device).eval()
        self.drawing = Drawing(ready, draws, batch_size, torch.device(device))
        self.grid = replace(grid, multiple=max(grid.multiple, int(ready.factor)))
        self.normaliser = normaliser
        self.progress: Progress | None = None  # set it to hear what part of a volume is done
        self.fitting: Fitting | None = None  # set it to choose tiles and to refuse what cannot fit
        self.identity = identity or {}
        self.source = str(ready.source)
        self.normaliser_name: str | None = normaliser.name

    def describe(self) -> dict[str, Any]:
        """Return model and options as JSON; equal descriptions give equal volumes."""
        tiles = None if self.fitting is None else self.fitting.tiles
        return {
            **self.identity,
            **({} if tiles is None else {"Tile": str(tiles)}),
            **describe_draw(self.drawing),
            **describe_precision(self.drawing.draws),
            "Samples": self.drawing.draws.samples,
        }

    def translate(
        self, volume: Volume, mask: np.ndarray | None = None, seed: int = 0
    ) -> Translation:
        """Translate a volume as a scanner gives it, with the skull stripped or a brain mask.

        Args:
            volume: Any orientation and spacing, in any intensity unit.
            mask: (X, Y, Z), bool, the brain; None takes the largest non-zero component.
            seed: Of the noise.

        Returns:
            The synthetic volume on the grid of ``volume``. ``std`` is resampled like the mean.

        Raises:
            MrcontrastError: There is no brain, it is flat, or the model gives NaN or needs more
                memory than there is.
        """
        started = perf_counter()
        brain = np.asarray(brain_from_nonzero(volume) if mask is None else mask, bool)
        gridded = self.grid.to_grid(volume, brain)
        fitted = self.normaliser.fit(gridded.data, gridded.mask)
        tiles = self.fit(gridded.mask)
        reset_peak(self.drawing.device)
        drawn = self.drawing.draw(fitted.apply(gridded.data), gridded.mask, seed, self.report)
        mean, std = (self.back(image, gridded, volume, brain) for image in drawn)
        assert mean is not None
        seconds, cost = perf_counter() - started, self.cost(gridded.mask)
        return Translation(mean, std, fitted.to_dict(), seconds, tiles, cost)

    def translate_prepared(self, volume: Volume, mask: np.ndarray, seed: int = 0) -> Translation:
        """Translate a volume of a prepared data set; nothing is resampled or normalised again.

        Args:
            volume: RAS, on the model's spacing, in [0, 1].
            mask: (X, Y, Z), bool, the brain.
            seed: Of the noise.

        Raises:
            MrcontrastError: It lies otherwise, its mask is empty, or as ``translate``.
        """
        started = perf_counter()
        spacing = np.array(volume.spacing_mm)
        off = abs(spacing - self.grid.spacing_mm).max()
        if volume.orientation != "RAS" or off > SPACING_TOLERANCE_MM:
            raise MrcontrastError(
                f"Expected a prepared volume, RAS at {self.grid.spacing_mm:g} mm, got "
                f"{volume.orientation} at {spacing.max():g} mm. Prepare the data for this model."
            )
        if not mask.any():
            raise MrcontrastError("Expected a brain mask with voxels, got an empty one.")
        tiles = self.fit(mask)
        reset_peak(self.drawing.device)
        mean, std = self.drawing.draw(volume.data, np.asarray(mask, bool), seed, self.report)
        uncertainty = None if std is None else Volume(std, volume.affine)
        seconds, cost = perf_counter() - started, self.cost(mask)
        return Translation(Volume(mean, volume.affine), uncertainty, None, seconds, tiles, cost)

    def fit(self, like: np.ndarray) -> str | None:
        """Choose the tiles of a volume like (X, Y, Z), if that was asked for."""
        x, y, z = like.shape
        return None if self.fitting is None else str(self.fitting.fit((x, y, z)))

    def cost(self, like: np.ndarray) -> dict[str, Any]:
        """Return what a volume like (X, Y, Z) has cost, time left out."""
        x, y, z = like.shape
        estimate = None if self.fitting is None else self.fitting.estimate((x, y, z))
        stage: Any = self.drawing.stage
        return cost_of(stage, self.drawing.draws.samples, self.drawing.device, estimate)

    def back(
        self, image: np.ndarray | None, gridded: GriddedVolume, like: Volume, brain: np.ndarray
    ) -> Volume | None:
        """Bring an image to the grid of the input, 0 outside the brain.

        Interpolation weighs brain voxels alone: the zeros around them would darken the rim.
        """
        if image is None:
            return None
        native = self.grid.from_grid(image, gridded.affine, like)
        weight = self.grid.from_grid(gridded.mask.astype(np.float32), gridded.affine, like).data
        known = brain & (weight > LEAST_WEIGHT)
        data = np.divide(native.data, weight, out=np.zeros_like(native.data), where=known)
        return Volume(data.clip(0), native.affine)

    def report(self, part: float) -> None:
        """Pass on which part of the volume is done."""
        if self.progress is not None:
            self.progress(part)


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
