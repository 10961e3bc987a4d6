"""Baseline: a U-Net that regresses the target on the source."""

from torch import Tensor

from mrcontrast import keys
from mrcontrast.losses.brain import brain_error
from mrcontrast.stages.regressor_stage import RegressorStage


class UNetRegression(RegressorStage):
    """Learn the mean target image given the source. Arguments: ``RegressorStage``.

    The best of the simple methods in PSNR, and the softest: it averages over all images that fit
    the source.

    Source: Ronneberger et al. 2015, arXiv 1505.04597; with squared errors in the place of a
    segmentation loss, see ``brain_error``, and padding so that no border is lost.
    """

    def loss(self, batch: keys.Batch) -> Tensor:
        """Return ``brain_error``, a scalar."""
        return brain_error(self.regressor.raw_of(batch), batch["target"], batch["brain_mask"])
