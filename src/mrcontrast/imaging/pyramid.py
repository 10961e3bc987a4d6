"""Mutual information of two volumes on coarse and fine grids.

The grids are ours, because SimpleITK's shrink factors do not account for thick slices.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from mrcontrast.imaging.itk import Image, Transform, load_itk, to_image
from mrcontrast.storage.volume import Volume
from mrcontrast.transforms.grid import coarsen, resample_to

BINS = 40
SAMPLES = 60_000  # of the fixed volume, for each level
ITERATIONS = 50
FIRST_STEPS = (1.0, 0.2, 0.04)  # of the spacing


@dataclass(eq=False)
class Pyramid:
    """A fixed and a moving volume, with an optional mask (X, Y, Z) of the fixed one."""

    fixed: Volume
    moving: Volume
    mask: np.ndarray | None
    seed: int

    def __post_init__(self) -> None:
        self.itk = load_itk()
        self._levels: dict[float, dict[str, Image]] = {}

    def refine(self, transform: Transform, spacing_mm: float) -> tuple[Transform, float]:
        """Return the best transform near a given one, and its mutual information (nats).

        A search that ends worse than its start is repeated with smaller steps. RuntimeError means
        that too few samples fall on the moving volume.
        """
        start = self.evaluate(transform, spacing_mm)
        for share in FIRST_STEPS:
            moved, metric = self._descend(transform, spacing_mm, share * spacing_mm)
            if metric >= start:
                return moved, metric
        return transform, start

    def _descend(
        self, transform: Transform, spacing_mm: float, step_mm: float
    ) -> tuple[Transform, float]:
        """Follow the gradient from a transform, with a first step of ``step_mm``."""
        method, images = self._method(spacing_mm), self.level(spacing_mm)
        method.SetOptimizerAsRegularStepGradientDescent(
            learningRate=step_mm,
            minStep=spacing_mm * 1e-3,
            numberOfIterations=ITERATIONS,
            relaxationFactor=0.6,
            gradientMagnitudeTolerance=1e-8,  # the default stops millimetres away
        )
        method.SetOptimizerScalesFromPhysicalShift()
        moved = type(transform)(transform)
        method.SetInitialTransform(moved, True)
        method.Execute(images["fixed"], images["moving"])
        return moved, self.evaluate(moved, spacing_mm)

    def evaluate(self, transform: Transform, spacing_mm: float) -> float:
        """Return the mutual information (nats) of a transform; 0 without overlap."""
        method, images = self._method(spacing_mm), self.level(spacing_mm)
        method.SetInitialTransform(transform)
        try:
            return -float(method.MetricEvaluate(images["fixed"], images["moving"]))
        except RuntimeError:  # too few samples fall on the moving volume
            return 0.0

    def overlap(self, transform: Transform, spacing_mm: float) -> float:
        """Return the share of the fixed mask, or volume, that the moving volume covers."""
        images, nearest = self.level(spacing_mm), self.itk.sitkNearestNeighbor
        region = images.get("mask", images["fixed"] * 0 + 1)
        moved = self.itk.Resample(images["moving"] * 0 + 1, region, transform, nearest, 0.0)
        inside, covered = (self.itk.GetArrayViewFromImage(image) > 0 for image in (region, moved))
        return float((inside & covered).sum() / max(inside.sum(), 1))

    def level(self, spacing_mm: float) -> dict[str, Image]:
        """Return "fixed", "moving" and "mask" as images of voxels of at least ``spacing_mm``."""
        if spacing_mm not in self._levels:
            fixed = coarsen(self.fixed, spacing_mm)
            images = {
                "fixed": to_image(fixed),
                "moving": to_image(coarsen(self.moving, spacing_mm)),
            }
            if self.mask is not None:
                share = Volume(np.asarray(self.mask, np.float32), self.fixed.affine)
                inside = resample_to(share, fixed.affine, fixed.shape) > 0.5
                image = to_image(Volume(inside.astype(np.float32), fixed.affine))
                images["mask"] = self.itk.Cast(image, self.itk.sitkUInt8)
            self._levels[spacing_mm] = images
        return self._levels[spacing_mm]

    def _method(self, spacing_mm: float) -> Any:  # noqa: ANN401 - of an optional package
        """Return SimpleITK's registration with the metric of Mattes 2003 and one thread."""
        images, method = self.level(spacing_mm), self.itk.ImageRegistrationMethod()
        method.SetNumberOfThreads(1)
        method.SetMetricAsMattesMutualInformation(BINS)
        method.SetInterpolator(self.itk.sitkLinear)
        share = min(1.0, SAMPLES / images["fixed"].GetNumberOfPixels())
        method.SetMetricSamplingStrategy(method.RANDOM)
        method.SetMetricSamplingPercentage(share, self.seed + 1)  # 0 would be the clock
        if "mask" in images:
            method.SetMetricFixedMask(images["mask"])
        return method
