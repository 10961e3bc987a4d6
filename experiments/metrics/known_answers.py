"""Change copies of real images in one known way and check that the right measure responds.

python experiments/metrics/known_answers.py
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from mrcontrast.evaluation.anatomy import Anatomy, score_volume
from mrcontrast.evaluation.feature_scores import FeatureScorer
from mrcontrast.evaluation.metric_list import METRICS
from mrcontrast.evaluation.protocol import read_features
from mrcontrast.phantom import PhantomConfig, PhantomSubject, make_subject
from mrcontrast.transforms.normalise import PercentileNormaliser

SUBJECTS, SPACING_MM = 4, 2.0
SHOWN = {
    "psnr": "PSNR",
    "ssim": "SSIM",
    "histogram_w1": "Hist. W1",
    "gradient_w1": "Grad. W1",
    "sharpness": "Sharpness",
    "through_plane": "Through-plane",
    "dice_gm": "Dice GM",
    "contrast_kept": "Contrast kept",
    "perceptual": "Perceptual",
}
Scores = dict[str, float]


@dataclass(frozen=True)
class Copy:
    """A known change of the real image.

    Attributes:
        change: Function of a subject and the next one; returns the changed image.
        caught_by: Measure that must respond.
        alarm: Whether a value of that measure is a response.
        blind: Measures that must not respond.
    """

    change: Callable[[Anatomy, Anatomy], np.ndarray]
    caught_by: str
    alarm: Callable[[float], bool]
    blind: tuple[str, ...] = ()


def noisy(truth: Anatomy, _: Anatomy) -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, 0.1, truth.image.shape)
    return truth.image + noise * truth.brain


def lesion_erased(truth: Anatomy, _: Anatomy) -> np.ndarray:
    assert truth.lesions is not None
    around = ndimage.binary_dilation(truth.lesions) & truth.brain & (truth.labels != 1)
    white = truth.image[truth.ring]
    return np.where(around, np.maximum(np.median(white), truth.image), truth.image)


def flickering(truth: Anatomy, _: Anatomy) -> np.ndarray:
    sign = np.where(np.arange(truth.image.shape[truth.axial]) % 2, 1, -1)
    return truth.image + 0.05 * sign * truth.brain


def another(_: Anatomy, other: Anatomy) -> np.ndarray:
    return other.image


COPIES = {
    "truth": Copy(lambda t, _: t.image, "psnr", lambda value: value < 60, tuple(SHOWN)),
    "shifted by a voxel": Copy(
        lambda t, _: np.roll(t.image, 1, axis=0),
        "dice_gm",
        lambda value: value < 0.85,
        ("sharpness",),
    ),
    "scaled by 0.8": Copy(
        lambda t, _: 0.8 * t.image,
        "histogram_w1",
        lambda value: value > 0.05,
        ("dice_gm", "through_plane", "contrast_kept"),
    ),
    "noisy, sd 0.1": Copy(
        noisy, "sharpness", lambda value: value > 1.1, ("histogram_w1", "contrast_kept")
    ),
    "smoothed, sigma 1 voxel": Copy(
        lambda t, _: ndimage.gaussian_filter(t.image, 1),
        "sharpness",
        lambda value: value < 0.8,
        ("through_plane",),
    ),
    "lesions erased": Copy(
        lesion_erased,
        "contrast_kept",
        lambda value: value < 0.5,
        ("ssim", "histogram_w1", "sharpness", "through_plane", "dice_gm"),
    ),
    "slices flicker, +-0.05": Copy(
        flickering, "through_plane", lambda value: value > 1.1, ("histogram_w1",)
    ),
    "shuffled: another subject": Copy(
        another, "ssim", lambda value: value < 0.6, ("sharpness", "through_plane")
    ),
}
# Values within these bounds count as no response.
QUIET = {
    "psnr": (40, np.inf),
    "ssim": (0.97, 1.01),
    "histogram_w1": (0, 0.04),
    "gradient_w1": (0, 0.002),
    "sharpness": (0.85, 1.15),
    "through_plane": (0.9, 1.1),
    "dice_gm": (0.95, 1.01),
    "contrast_kept": (0.75, 1.25),
    "perceptual": (0, 0.05),
}


def anatomy_of(subject: PhantomSubject) -> Anatomy:
    """Normalise a phantom as in data preparation."""
    fitted = PercentileNormaliser(0.5, 99.5).fit(subject.images["t1w"].data, subject.brain_mask)
    image = fitted.apply(subject.images["t1w"].data).astype(float) * subject.brain_mask
    spacing = subject.images["t1w"].spacing_mm
    return Anatomy(image, subject.brain_mask, spacing, 2, subject.lesion_mask, subject.labels)


def score(image: np.ndarray, truth: Anatomy, features: FeatureScorer) -> Scores:
    """Return the measures of one changed copy."""
    regions = score_volume(image, truth, METRICS, (0.0, 1.0), num_scales=1)
    found = regions.get("lesion", {}) | regions["brain"]
    views = [features.view(i, truth.brain, (0.0, 1.0)) for i in (image, truth.image)]
    found["perceptual"] = features.distance(*views)
    return {name: found[name] for name in SHOWN if name in found}


def answers(subjects: list[PhantomSubject], size_voxels: int = 128) -> dict[str, Scores]:
    """Return the measures of each copy, means over subjects."""
    node = read_features()
    assert node is not None
    features = FeatureScorer(node | {"size_voxels": size_voxels})
    truths = [anatomy_of(subject) for subject in subjects]
    table = {}
    for name, copy in COPIES.items():
        rows = [
            score(copy.change(truth, truths[index - 1]), truth, features)
            for index, truth in enumerate(truths)
        ]
        table[name] = {
            key: float(np.mean([row[key] for row in rows if key in row])) for key in SHOWN
        }
    return table


def is_quiet(measure: str, value: float) -> bool:
    """Return whether a measure does not respond."""
    low, high = QUIET[measure]
    return low <= value <= high


def main() -> None:
    config = PhantomConfig(spacing_mm=SPACING_MM)
    table = answers([make_subject(seed, config) for seed in range(SUBJECTS)])
    print("| copy | " + " | ".join(SHOWN.values()) + " | expected to respond | responds |")
    print("|---|" + "---:|" * len(SHOWN) + "---|---|")
    for name, scores in table.items():
        copy = COPIES[name]
        cells = [f"{scores[key]:.3g}" for key in SHOWN]
        meant = "nothing" if name == "truth" else SHOWN[copy.caught_by]
        caught = copy.alarm(scores[copy.caught_by])
        verdict = ("NO" if caught else "quiet") if name == "truth" else ("yes" if caught else "NO")
        print(f"| {name} | {' | '.join(cells)} | {meant} | {verdict} |")


if __name__ == "__main__":
    main()
