"""Sweep one setting of the T1w in a prompt; compare the contrast with the phantom's own physics.

python -m experiments.tags.physics outputs/studies/tags/runs/unet_tags --out experiments/tags
"""

import argparse
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from mrcontrast.config.build import build, compose
from mrcontrast.inference.from_run import from_run
from mrcontrast.inference.sampling_options import SamplingOptions
from mrcontrast.inference.stage_translator import StageTranslator
from mrcontrast.networks.tags import Weighted
from mrcontrast.phantom.config import PhantomConfig
from mrcontrast.phantom.subject import PhantomSubject, make_subject

FIRST_SEED = 5000  # none of these is in a training set
GM, WM = 2, 3  # labels
SWEEPS = {  # tag: values, title, and the change of a phantom's scanner
    "t1w_ti_ms": (np.linspace(850, 1100, 6), "inversion time (ms)", "mprage_ti_ms"),
    "t1w_flip_deg": (np.linspace(7, 12, 6), "flip angle (degrees)", "mprage_flip_deg"),
    "t1w_field_strength_t": (np.array([1.5, 3.0]), "field strength (T)", "field_strengths_t"),
}


def contrast(image: np.ndarray, subject: PhantomSubject) -> float:
    """Return (WM - GM) / (WM + GM) of the mean levels of a normalised image."""
    grey, white = (image[subject.labels == label].mean() for label in (GM, WM))
    return float((white - grey) / (white + grey))


def physics(seed: int, config: PhantomConfig, key: str, value: float) -> PhantomSubject:
    """Return a phantom whose T1w was scanned with another setting, and else alike."""
    scanner = config.scanner
    if key == "field_strengths_t":
        scanner = replace(scanner, field_strengths_t=[value])
    else:
        scanner = replace(scanner, sequences=replace(scanner.sequences, **{key: [value, value]}))
    return make_subject(seed, replace(config, scanner=scanner))


def normalised(translator: StageTranslator, subject: PhantomSubject) -> np.ndarray:
    """Return the T1w of a phantom, normalised like the FLAIR: the recipe has one normaliser."""
    normaliser = next(iter(translator.normalisers.values()))
    image = subject.images["t1w"].data
    return normaliser.fit(image, subject.brain_mask).apply(image)


def sweep(
    translator: StageTranslator, config: PhantomConfig, tag: str, seeds: range, weight: float = 1.0
) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """Return predicted and true contrasts, (subjects, values), and the first subject's images."""
    values, _, key = SWEEPS[tag]
    predicted, true, images = [], [], []
    for seed in seeds:
        own = make_subject(seed, config)
        for value in values:
            there = physics(seed, config, key, float(value))
            flair = (there if key == "field_strengths_t" else own).images["flair"]
            known = {**there.tags, tag: Weighted(float(value), weight)}
            made = translator.translate(flair, own.brain_mask, tags=known).mean.data
            predicted.append(contrast(made, own))
            true.append(contrast(normalised(translator, there), own))
            if seed == seeds[0]:
                images.append(made)
    shape = len(seeds), len(values)
    return np.reshape(predicted, shape), np.reshape(true, shape), images


def main() -> None:
    """Run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--subjects", type=int, default=16)
    parser.add_argument("--out", type=Path, default=Path("experiments/tags"))
    args = parser.parse_args()
    config = build(
        compose("prepare", ["recipe=phantom_wide", "out=unused"]).recipe.sources[0]
    ).config
    translator = from_run(args.model, SamplingOptions(known_tags="all"))
    seeds = range(FIRST_SEED, FIRST_SEED + args.subjects)
    figure, axes = plt.subplots(1, len(SWEEPS), figsize=(11, 3.4), layout="constrained")
    print("| | value | predicted | physics | error | monotone subjects |")
    print("|---|---:|---:|---:|---:|---:|")
    shown = {}  # mean contrasts by weight
    for axis, (tag, (values, title, _)) in zip(axes, SWEEPS.items(), strict=True):
        predicted, true, images = sweep(translator, config, tag, seeds)
        ways = np.sign(np.diff(true.mean(0))[0])
        monotone = int((np.diff(predicted, axis=1) * ways > 0).all(1).sum())
        for value, ours, theirs in zip(values, predicted.mean(0), true.mean(0), strict=True):
            error = (ours - theirs) / theirs
            print(f"| {tag} | {value:g} | {ours:.4f} | {theirs:.4f} | {error:+.1%} | {monotone} |")
        for row, name, colour in ((true, "physics", "0.2"), (predicted, "predicted", "tab:orange")):
            spread = row.std(0, ddof=1) / len(row) ** 0.5
            axis.errorbar(values, row.mean(0), spread, label=name, color=colour, marker="o")
        axis.set(xlabel=title, ylabel="(WM - GM) / (WM + GM)")
        if tag == "t1w_ti_ms":
            axis.legend()
            shown[1.0] = predicted.mean(0)
            picture(images[:5], values, args.out / "ti.png")
    figure.savefig(args.out / "physics.png", dpi=120)
    for weight in (0.0, 2.0):
        shown[weight] = sweep(translator, config, "t1w_ti_ms", seeds, weight)[0].mean(0)
    for place, value in enumerate(SWEEPS["t1w_ti_ms"][0]):
        once, more = (shown[w][place] - shown[0.0][place] for w in (1.0, 2.0))
        ratio = more / once
        print(f"t1w_ti_ms={value:g}: {once:+.4f} by weight 1, {more:+.4f} by 2: {ratio:.2f}")


def picture(images: list[np.ndarray], values: np.ndarray, path: Path) -> None:
    """Draw the middle slice of each image, and the difference from the first."""
    figure, axes = plt.subplots(2, len(images), figsize=(2 * len(images), 5), layout="constrained")
    for column, (image, value) in enumerate(zip(images, values, strict=False)):
        z = image.shape[2] // 2
        axes[0, column].imshow(image[:, :, z].T, cmap="gray", origin="lower", vmin=0, vmax=1)
        axes[0, column].set_title(f"TI {value:g} ms")
        change = (image - images[0])[:, :, z].T
        axes[1, column].imshow(change, cmap="RdBu_r", origin="lower", vmin=-0.2, vmax=0.2)
    for axis in axes.flat:
        axis.axis("off")
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
