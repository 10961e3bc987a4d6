"""The functions of the metrics: from a pair of images to one number."""

from mrcontrast.evaluation.anatomy import AnatomyPair
from mrcontrast.imaging.tissue_classes import TISSUES
from mrcontrast.metrics import voxelwise
from mrcontrast.metrics.metric import Pair
from mrcontrast.metrics.overlap import dice, volume_change_percent, volume_ml
from mrcontrast.metrics.texture import sorted_distance


def psnr(pair: Pair) -> float:
    """Return PSNR in dB."""
    return voxelwise.peak_signal_to_noise(pair.prediction, pair.target, pair.data_range, pair.mask)


def ssim(pair: Pair) -> float:
    """Return SSIM."""
    return pair.similarity.ssim(pair.mask)


def ms_ssim(pair: Pair) -> float | None:
    """Return MS-SSIM; None where halving loses the region."""
    return pair.similarity.ms_ssim(pair.mask)


def mae(pair: Pair) -> float:
    """Return the mean absolute error."""
    return voxelwise.mean_absolute_error(pair.prediction, pair.target, pair.mask)


def rmse(pair: Pair) -> float:
    """Return the root mean square error."""
    return voxelwise.root_mean_square_error(pair.prediction, pair.target, pair.mask)


def share_outside(pair: Pair) -> float:
    """Return the share of predicted voxels outside the intensity range."""
    return voxelwise.share_outside(pair.prediction, *pair.intensity_range, pair.mask)


def histogram(pair: AnatomyPair) -> float:
    """Return the Wasserstein-1 distance of intensities in the brain."""
    brain = pair.anatomy.brain
    return sorted_distance(pair.prediction[brain], pair.target[brain])


def gradient(pair: AnatomyPair) -> float:
    """Return the Wasserstein-1 distance of |gradient| in the brain, per mm."""
    return sorted_distance(pair.gradient, pair.anatomy.gradient)


def sharpness(pair: AnatomyPair) -> float:
    """Return mean |gradient| over that of the real image."""
    real = pair.anatomy.gradient
    return _ratio(float(pair.gradient.mean()), float(real.mean())) if len(real) else float("nan")


def through_plane(pair: AnatomyPair) -> float:
    """Return the through-plane share over that of the real image."""
    return _ratio(pair.anatomy.across(pair.prediction), pair.anatomy.through_plane)


def tissue_dice(pair: AnatomyPair, tissue: str) -> float:
    """Return Dice of one tissue, a key of ``TISSUES``."""
    return dice(pair.tissues == TISSUES[tissue], pair.anatomy.tissues == TISSUES[tissue])


def tissue_volume(pair: AnatomyPair, tissue: str, which: str) -> float:
    """Return the volume of one tissue in the "real" or the "synthetic" image, in ml."""
    labels = pair.anatomy.tissues if which == "real" else pair.tissues
    return volume_ml(labels == TISSUES[tissue], pair.anatomy.spacing_mm)


def tissue_volume_change(pair: AnatomyPair, tissue: str) -> float:
    """Return the volume change of one tissue, in percent."""
    synthetic, real = (tissue_volume(pair, tissue, which) for which in ("synthetic", "real"))
    return volume_change_percent(synthetic, real)


def contrast(pair: AnatomyPair, which: int) -> float | None:
    """Return the lesion contrast of the real (0) or the synthetic image (1)."""
    return None if pair.lesion_contrasts is None else pair.lesion_contrasts[which]


def contrast_error(pair: AnatomyPair) -> float | None:
    """Return the absolute error of the lesion contrast."""
    found = pair.lesion_contrasts
    return None if found is None else abs(found[1] - found[0])


def contrast_kept(pair: AnatomyPair) -> float | None:
    """Return the synthetic over the real lesion contrast."""
    found = pair.lesion_contrasts
    return None if found is None else _ratio(found[1], found[0])


def _ratio(synthetic: float, real: float) -> float:
    """Return synthetic / real; NaN if the real value is 0."""
    return synthetic / real if real else float("nan")
