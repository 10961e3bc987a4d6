"""Move the labels and draw a lesion by hand: does the image follow, and only there?

python -m experiments.controls.drawn outputs/study/controls unet_any
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import scipy

from mrcontrast.data.manifest import Manifest
from mrcontrast.imaging.tissue_classes import segment_tissues
from mrcontrast.inference.from_run import from_run
from mrcontrast.inference.sampling_options import SamplingOptions
from mrcontrast.inference.stage_translator import StageTranslator
from mrcontrast.storage.volume import Volume, read_mask, read_volume

STEP = (1, 1, 0)  # voxels of 3 mm: 4.2 mm
RADIUS_MM = 6.0  # of the drawn lesion
HIGHEST = 4  # of the labels: background, CSF, GM, WM, lesion
WM, LESION = 3, 4


def made(
    model: StageTranslator, volumes: dict[str, Volume], brain: np.ndarray, **changed: np.ndarray
) -> np.ndarray:
    """Return the T1w (X, Y, Z) of some sources, of which some have other voxels."""
    affine = volumes["flair"].affine
    given = volumes | {name: Volume(data, affine) for name, data in changed.items()}
    return model.translate_prepared([given.get(name) for name in model.source], brain).mean.data


def mean_dice(image: np.ndarray, labels: np.ndarray, brain: np.ndarray) -> float:
    """Return the mean Dice of CSF, GM and WM, segmented in an image, with labels."""
    found = segment_tissues(image, brain, (3.0, 3.0, 3.0))
    inside = brain & (labels > 0) & (labels < LESION)
    pairs = [(found[inside] == tissue, labels[inside] == tissue) for tissue in (1, 2, 3)]
    return float(np.mean([2 * (a & b).sum() / (a.sum() + b.sum()) for a, b in pairs]))


def ball(labels: np.ndarray) -> np.ndarray:
    """Return a ball (X, Y, Z) at the deepest point of healthy white matter."""
    depth = scipy.ndimage.distance_transform_edt(labels == WM)
    centre = np.unravel_index(depth.argmax(), depth.shape)
    far = np.sqrt(sum((g - c) ** 2 for g, c in zip(np.indices(labels.shape), centre, strict=True)))
    return (far * 3.0 <= RADIUS_MM) & (labels == WM)


def main() -> None:
    """Run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", type=Path)
    parser.add_argument("run", help="of the study")
    parser.add_argument("--out", type=Path, default=Path("experiments/controls"))
    args = parser.parse_args()
    model = from_run(str(args.study / "runs" / args.run), SamplingOptions())
    dices, lesions, shown = [], [], None
    for record in Manifest.read(args.study / "data").split("test"):
        scans = {name: read_volume(record.images[name]) for name in (*model.source, "t1w")}
        brain = read_mask(record.brain_mask, scans["flair"])
        true = scans.pop("t1w").data
        labels = np.rint(scans["labelmap"].data * HIGHEST).astype(int)
        moved = np.roll(labels, STEP, (0, 1, 2)) * brain
        given = {name: scans[name] for name in ("flair", "labelmap")}
        unmoved = made(model, given, brain)
        follows = made(model, given, brain, labelmap=(moved / HIGHEST).astype(np.float32))
        dices.append((mean_dice(unmoved, labels, brain), mean_dice(follows, moved, brain)))

        place, old = ball(labels), scans["lesions"].data > 0
        near = scipy.ndimage.binary_dilation(place, iterations=2)
        rest = brain & ~near
        given = {name: scans[name] for name in ("flair", "lesions")}
        before = made(model, given, brain)
        after = made(model, given, brain, lesions=(old | place).astype(np.float32))
        contrast = true[brain & old].mean() - true[labels == WM].mean() if old.any() else np.nan
        change = after - before
        lesions.append((change[place].mean(), contrast, abs(change[rest]).mean()))
        shown = shown or (labels, moved, unmoved, follows, place, before, after)
    unmoved, follows = np.transpose(dices)
    print(f"Dice with labels: {unmoved.mean():.3f}, moved by 4.2 mm {follows.mean():.3f};")
    print(f"ratio {np.mean(follows / unmoved):.3f}, least {np.min(follows / unmoved):.3f}")
    inside, contrast, outside = np.transpose(lesions)
    print(f"drawn lesions against white matter: {inside.mean():+.3f}, {(inside < 0).sum()} dark")
    print(f"real lesions: {np.nanmean(contrast):+.3f}; change of the rest of the brain: mean")
    print(f"{outside.mean():.5f}, at most {outside.max():.5f}; n = {len(lesions)}")
    assert shown is not None
    picture(*shown, args.out / "drawn.png")


def picture(
    labels: np.ndarray,
    moved: np.ndarray,
    unmoved: np.ndarray,
    follows: np.ndarray,
    place: np.ndarray,
    before: np.ndarray,
    after: np.ndarray,
    path: Path,
) -> None:
    """Draw both experiments on the slice of the drawn lesion."""
    z = int(np.argmax(place.sum((0, 1))))
    rows = [
        [
            (labels / HIGHEST, "labels"),
            (unmoved, "T1w"),
            (moved / HIGHEST, "moved by 4.2 mm"),
            (follows, "T1w"),
            (follows - unmoved, "difference"),
        ],
        [
            (place, "drawn lesion"),
            (before, "T1w without"),
            (place, ""),
            (after, "T1w with"),
            (after - before, "difference"),
        ],
    ]
    figure, axes = plt.subplots(2, 5, figsize=(10, 5), layout="constrained")
    for row, line in zip(rows, axes, strict=True):
        for (image, title), axis in zip(row, line, strict=True):
            signed = title == "difference"
            limits = (
                {"vmin": -0.5, "vmax": 0.5, "cmap": "RdBu_r"}
                if signed
                else {"vmin": 0, "vmax": 1, "cmap": "gray"}
            )
            axis.imshow(image[:, :, z].T, origin="lower", **limits)
            axis.set_title(title)
            axis.axis("off")
    axes[1, 2].remove()
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
