"""Sweep one setting of the T1w in a prompt; compare the contrast with the phantom's own physics.

python -m experiments.tags.physics outputs/study/tags/runs/unet_tags
"""

import argparse
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from scipy import ndimage

from mrcontrast.config.build import build, compose
from mrcontrast.inference.from_run import from_run
from mrcontrast.inference.prompting import tag_prompts
from mrcontrast.inference.sampling_options import SamplingOptions
from mrcontrast.inference.stage_translator import StageTranslator
from mrcontrast.networks.tags import Weighted
from mrcontrast.phantom.config import PhantomConfig
from mrcontrast.phantom.subject import PhantomSubject, make_subject

FIRST_SEED = 5000  # none of these is in a training set
GM, WM = 2, 3  # labels
SWEEPS = {  # tag: values, title, and the key of a phantom's scanner
    "t1w_ti_ms": (np.linspace(850, 1100, 6), "inversion time (ms)", "mprage_ti_ms"),
    "t1w_flip_deg": (np.linspace(7, 12, 6), "flip angle (degrees)", "mprage_flip_deg"),
    "t1w_field_strength_t": (np.array([1.5, 3.0]), "field strength (T)", "field_strengths_t"),
}
WEIGHED = "t1w_ti_ms"  # also with weights 0 and 2, at the ends of its range


def contrast(image: np.ndarray, subject: PhantomSubject) -> float:
    """Return (WM - GM) / (WM + GM) of a normalised image, off the borders of both."""
    cores = [ndimage.binary_erosion(subject.labels == label) for label in (GM, WM)]
    grey, white = (image[core].mean() for core in cores)
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


def made(
    translator: StageTranslator, subject: PhantomSubject, tag: str, value: float, weight: float = 1
) -> np.ndarray:
    """Return the T1w (X, Y, Z) of a phantom's FLAIR, told all its tags but one."""
    known = {**subject.tags, tag: Weighted(value, weight)}
    flair = subject.images["flair"]
    return translator.translate(flair, subject.brain_mask, tags=known).mean.data


def trained(translator: StageTranslator, tag: str, values: np.ndarray) -> np.ndarray:
    """Return values of a tag within the range of the training data."""
    (prompt,) = tag_prompts(translator.sampler.stage)
    row = list(prompt.vocabulary.by_name).index(tag)
    return np.clip(values, float(prompt.low[row]), float(prompt.high[row]))


def main() -> None:
    """Run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--subjects", type=int, default=16)
    parser.add_argument("--out", type=Path, default=Path("experiments/tags"))
    args = parser.parse_args()
    recipe = compose("prepare", ["recipe=phantom_wide", "out=unused"]).recipe
    config = build(recipe.sources[0]).config
    translator = from_run(args.model, SamplingOptions(known_tags="all"))
    spacing_mm = translator.grid.spacing_mm
    config = replace(config, spacing_mm=spacing_mm, anatomy_spacing_mm=spacing_mm / 2)
    own = [make_subject(FIRST_SEED + n, config) for n in range(args.subjects)]
    figure, axes = plt.subplots(1, len(SWEEPS), figsize=(11, 3.4), layout="constrained")
    print("| | value | predicted | physics | error | subjects that follow |")
    print("|---|---:|---:|---:|---:|---:|")
    for axis, (tag, (values, title, key)) in zip(axes, SWEEPS.items(), strict=True):
        values = trained(translator, tag, values)
        predicted, true = np.zeros((2, len(own), len(values)))
        for row, subject in enumerate(own):
            for column, value in enumerate(values):
                there = physics(FIRST_SEED + row, config, key, float(value))
                given = there if key == "field_strengths_t" else subject
                image = made(translator, given, tag, float(value))
                predicted[row, column] = contrast(image, given)
                true[row, column] = contrast(normalised(translator, there), there)
        way = np.sign(true.mean(0)[-1] - true.mean(0)[0])
        follow = int((np.diff(predicted, axis=1) * way > 0).all(1).sum())
        for value, ours, theirs in zip(values, predicted.mean(0), true.mean(0), strict=True):
            error = (ours - theirs) / theirs
            print(f"| {tag} | {value:g} | {ours:.4f} | {theirs:.4f} | {error:+.1%} | {follow} |")
        for table, name, colour in ((true, "physics", "0.2"), (predicted, "model", "tab:orange")):
            error = table.std(0, ddof=1) / len(table) ** 0.5
            axis.errorbar(values, table.mean(0), error, label=name, color=colour, marker="o")
        axis.set(xlabel=title, ylabel="(WM - GM) / (WM + GM)")
    axes[0].legend()
    figure.savefig(args.out / "physics.png", dpi=120)
    weigh(translator, own)
    values = trained(translator, WEIGHED, np.linspace(850, 1100, 5))
    images = [made(translator, own[0], WEIGHED, float(value)) for value in values]
    picture(images, values, args.out / "ti.png")


def weigh(translator: StageTranslator, subjects: list[PhantomSubject]) -> None:
    """Print the shift of contrast from no inversion time, by weights 1 and 2."""
    values = trained(translator, WEIGHED, SWEEPS[WEIGHED][0])
    for value in (float(values[0]), float(values[-1])):
        shown = np.array(
            [
                [
                    contrast(made(translator, each, WEIGHED, value, weight), each)
                    for weight in (0, 1, 2)
                ]
                for each in subjects
            ]
        ).mean(0)
        once, twice = shown[1:] - shown[0]
        print(
            f"{WEIGHED}={value:g}: shift {once:+.4f}, by weight 2 {twice:+.4f}: {twice / once:.2f}"
        )


def picture(images: list[np.ndarray], values: np.ndarray, path: Path) -> None:
    """Draw the middle slice of each image, and the difference from the first."""
    figure, axes = plt.subplots(2, len(images), figsize=(2 * len(images), 5), layout="constrained")
    for column, (image, value) in enumerate(zip(images, values, strict=False)):
        z = image.shape[2] // 2
        axes[0, column].imshow(image[:, :, z].T, cmap="gray", origin="lower", vmin=0, vmax=1)
        axes[0, column].set_title(f"TI {value:.0f} ms")
        change = (image - images[0])[:, :, z].T
        axes[1, column].imshow(change, cmap="RdBu_r", origin="lower", vmin=-0.2, vmax=0.2)
    for axis in axes.flat:
        axis.axis("off")
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
