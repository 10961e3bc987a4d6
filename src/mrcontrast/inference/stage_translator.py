"""From a scanner's volume to the model's grid, through a stage, and back."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from time import perf_counter
from typing import Any

import numpy as np
import torch

from mrcontrast.data.contrasts import title_of
from mrcontrast.errors import MrcontrastError, UsageError
from mrcontrast.inference.field import scanned_field
from mrcontrast.inference.memory_plan import MemoryPlan
from mrcontrast.inference.native import BYTES_A_GRID_VOXEL, Native, check_size, detail_remarks
from mrcontrast.inference.prompting import tags_for
from mrcontrast.inference.sampling_options import BATCH_SIZE, DEFAULTS, SamplingOptions
from mrcontrast.inference.translation import Translation, Volumes, cost_of, reset_peak
from mrcontrast.inference.volume_sampler import Progress, VolumeSampler
from mrcontrast.networks.tags import Weighted
from mrcontrast.stages.contract import Stage
from mrcontrast.storage.volume import Volume
from mrcontrast.transforms.grid import GriddedVolume, ModelGrid
from mrcontrast.transforms.normalise import Normaliser

SPACING_TOLERANCE_MM = 1e-3
LEAST_WEIGHT = 1e-3  # of brain in an interpolated voxel; below it nothing is known there


class StageTranslator:
    """Translate volumes with a trained stage: slice by slice in 2D, whole in 3D.

    Args:
        stage: See ``mrcontrast.stages``; it has its steps, sampler and start.
        grid: Spacing and axes that the stage was trained on.
        normalisers: Those of the training volumes, by the contrasts that the stage takes.
        options: Sampling options.
        batch_size: Slices at once; 2D only.
        device: Where the stage runs.
        identity: Name and hash of the weights, for ``describe``.
    """

    def __init__(
        self,
        stage: Stage,
        grid: ModelGrid,
        normalisers: Mapping[str, Normaliser],
        options: SamplingOptions = DEFAULTS,
        batch_size: int = BATCH_SIZE,
        device: str | torch.device = "cpu",
        identity: dict[str, Any] | None = None,
    ) -> None:
        if batch_size < 1:
            raise UsageError(f"Expected 1 or more slices a batch, got {batch_size}.")
        stage = stage.to(device).eval()
        self.grid = replace(grid, multiple=max(grid.multiple, stage.factor))
        place, shape = torch.device(device), self.grid.shape
        options = options.resolved(stage)
        self.sampler = VolumeSampler(stage, options, batch_size, place, shape)
        self.normalisers = normalisers
        self.progress: Progress | None = None  # gets the share of a volume that is done
        self.memory_plan: MemoryPlan | None = None  # chooses tiles before a volume starts
        self.identity = identity or {}
        self.source = {name: fit.name for name, fit in normalisers.items()}
        self.target, self.optional = stage.target, stage.optional

    def describe(self) -> dict[str, Any]:
        """Return model and options as JSON; equal descriptions give equal volumes."""
        tiles = None if self.memory_plan is None else self.memory_plan.tiles
        return {
            **self.identity,
            **({} if tiles is None else {"Tile": str(tiles)}),
            **self.sampler.describe(),
        }

    @property
    def reads(self) -> dict[str, str]:
        """Sources that are read: all but those that the options leave out."""
        without = self.sampler.options.without
        return {name: fit for name, fit in self.source.items() if name not in without}

    @property
    def shuffles_tags(self) -> bool:
        """Whether each prepared subject gets the tags of another."""
        return self.sampler.options.known_tags == "shuffled"

    def tags_for(self, known: Mapping[str, Any]) -> dict[str, Weighted]:
        """Return the tags under which a volume of known tags is sampled."""
        return tags_for(self.sampler.stage, self.sampler.options, known)

    def translate(
        self,
        volumes: Volumes,
        mask: np.ndarray | None = None,
        seed: int | None = None,
        tags: Mapping[str, Any] | None = None,
    ) -> Translation:
        """Translate volumes as a scanner gives them, with the skull stripped or a brain mask.

        Args:
            volumes: One for each of ``source``, None for one of ``optional`` that is absent; all on
                one grid; any orientation, spacing and unit; NaN outside the brain.
            mask: (X, Y, Z), bool; None takes the largest non-zero component of the first volume.
            seed: Seed of the noise; None takes that of the options.
            tags: Known tags of scan and person, see ``mrcontrast.networks.tags``.

        Raises MrcontrastError where there is no brain, it is flat or holds NaN, or the model gives
        NaN or needs more memory than there is.
        """
        started = perf_counter()
        volume, given = self.given(volumes)
        first, *others = given
        native = Native.of(volume, None if mask is None else np.asarray(mask, bool))
        shape = self.grid.place(native.volume, native.brain)[1]
        check_size(shape, BYTES_A_GRID_VOXEL)
        tiles = self.fit(shape)
        gridded = self.grid.to_grid(native.volume, native.brain)
        brain = native.turned.undo(native.brain)
        images = {first: gridded.data}
        for name in others:
            with fault_of(name):
                further = Native.of(replace(given[name], affine=volume.affine), brain)
            images[name] = self.grid.to_grid(further.volume, further.brain).data
        fitted = {}
        for name, image in images.items():
            with fault_of(name):
                fitted[name] = self.normalisers[name].fit(image, gridded.mask)
        reset_peak(self.sampler.device)
        source = self.stacked({name: fitted[name].apply(image) for name, image in images.items()})
        seed = self.sampler.options.seed if seed is None else seed
        field = gridded.field
        known = self.tags_for(tags or {})
        sampled = self.sampler.sample(source, gridded.mask, seed, self.report, field, known)
        mean, std = (
            None if image is None else Volume(self.back(image, gridded, native), volume.affine)
            for image in sampled
        )
        assert mean is not None
        seconds, cost = perf_counter() - started, self.cost(shape)
        spacing_mm = self.grid.spacing_mm
        remarks = detail_remarks(volume, spacing_mm)
        remarks += self.sampler.remarks(gridded.mask, spacing_mm)
        normalised = {name: fit.to_dict() for name, fit in fitted.items()}
        by = normalised if len(self.source) > 1 else next(iter(normalised.values()))
        return Translation(mean, std, by, seconds, tiles, cost, remarks, brain)

    def translate_prepared(
        self,
        volumes: Volumes,
        mask: np.ndarray,
        seed: int | None = None,
        scanned_slices: tuple[int, int] | None = None,
        tags: Mapping[str, Any] | None = None,
    ) -> Translation:
        """Translate volumes of a prepared data set; nothing is resampled or normalised again.

        Args:
            volumes: As ``translate``, RAS, on the model's spacing, in [0, 1].
            mask: (X, Y, Z), bool, the brain.
            seed: Seed of the noise; None takes that of the options.
            scanned_slices: First and last axial slice in the field of view of the scan; None: all.
            tags: As ``translate``.
        """
        started = perf_counter()
        volume, given = self.given(volumes)
        spacing = np.array(volume.spacing_mm)
        off = abs(spacing - self.grid.spacing_mm).max()
        if volume.orientation != "RAS" or off > SPACING_TOLERANCE_MM:
            raise MrcontrastError(
                f"Expected a prepared volume, RAS at {self.grid.spacing_mm:g} mm, got "
                f"{volume.orientation} at {spacing.max():g} mm. Prepare the data for this model."
            )
        if not mask.any():
            raise MrcontrastError("Expected a brain mask with voxels, got an empty one.")
        tiles = self.fit(volume.shape)
        reset_peak(self.sampler.device)
        field = None if scanned_slices is None else scanned_field(volume.shape, scanned_slices)
        brain = np.asarray(mask, bool)
        source = self.stacked({name: each.data for name, each in given.items()})
        seed = self.sampler.options.seed if seed is None else seed
        known = self.tags_for(tags or {})
        mean, std = self.sampler.sample(source, brain, seed, self.report, field, known)
        uncertainty = None if std is None else Volume(std, volume.affine)
        seconds, cost = perf_counter() - started, self.cost(volume.shape)
        image, remarks = Volume(mean, volume.affine), self.sampler.remarks(brain, spacing.max())
        return Translation(image, uncertainty, None, seconds, tiles, cost, remarks)

    def given(self, volumes: Volumes) -> tuple[Volume, dict[str, Volume]]:
        """Return the first volume, and those that are there by contrast; UsageError for others."""
        listed = [volumes] if isinstance(volumes, Volume) else list(volumes)
        if len(listed) != len(self.source):
            raise UsageError(
                f"Expected a volume of each of {', '.join(self.source)}, got {len(listed)}. "
                "Give them in this order."
            )
        named = zip(self.source, listed, strict=True)
        found = {name: volume for name, volume in named if volume is not None}
        if lacking := [name for name in self.source if name not in (*found, *self.optional)]:
            raise UsageError(f"Expected a volume of {lacking[0]} for this model, got none.")
        return next(iter(found.values())), found

    def stacked(self, images: Mapping[str, np.ndarray]) -> np.ndarray:
        """Return the images of all sources, (N, X, Y, Z); one that is absent is NaN."""
        absent = np.full_like(next(iter(images.values())), np.nan)
        return np.stack([images.get(name, absent) for name in self.source])

    def fit(self, shape: tuple[int, int, int]) -> str | None:
        """Choose the tiles of a volume of axes (X, Y, Z), if there is a plan."""
        return None if self.memory_plan is None else str(self.memory_plan.fit(shape))

    def cost(self, shape: tuple[int, int, int]) -> dict[str, Any]:
        """Return the cost of a volume of axes (X, Y, Z), without time."""
        estimate = None if self.memory_plan is None else self.memory_plan.estimate(shape)
        sampler = self.sampler
        return cost_of(sampler.stage, sampler.options.samples, sampler.device, estimate)

    def back(self, image: np.ndarray, gridded: GriddedVolume, native: Native) -> np.ndarray:
        """Bring an image to the grid and the axes of the input, 0 outside the brain.

        Interpolation weighs brain voxels alone: the zeros around them would darken the rim.
        """
        to_native = partial(self.grid.from_grid, gridded_affine=gridded.affine, like=native.volume)
        weight = to_native(gridded.mask.astype(np.float32)).data
        known = native.brain & (weight > LEAST_WEIGHT)
        data = to_native(image).data
        np.divide(data, weight, out=data, where=known)
        data[~known] = 0
        return native.turned.undo(np.clip(data, 0, None, out=data))

    def report(self, part: float) -> None:
        """Pass on which part of the volume is done."""
        if self.progress is not None:
            self.progress(part)


@contextmanager
def fault_of(contrast: str) -> Iterator[None]:
    """Name the contrast in the fault of a volume."""
    try:
        yield
    except MrcontrastError as error:
        raise MrcontrastError(f"{title_of(contrast)}: {error}") from error
