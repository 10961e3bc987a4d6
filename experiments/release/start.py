"""Where should a draw begin, and how many steps does it need from there? On some slices, in 2D."""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from time import perf_counter

import numpy as np
import torch

from mrcontrast.data.manifest import Manifest, Record
from mrcontrast.inference.from_run import from_run
from mrcontrast.inference.sampling_options import Draws
from mrcontrast.inference.slice_noise import stream
from mrcontrast.inference.stage_translator import StageTranslator
from mrcontrast.metrics.texture import gradient_magnitude, sorted_distance
from mrcontrast.metrics.voxelwise import peak_signal_to_noise
from mrcontrast.storage.volume import read_volume

LEAST_BRAIN = 500  # voxels of a slice that is drawn


@dataclass(frozen=True)
class Subject:
    """FLAIR, T1w and brain (X, Y, Z) of a prepared subject, and the mask of the slices drawn."""

    flair: np.ndarray
    t1w: np.ndarray
    brain: np.ndarray
    chosen: np.ndarray
    spacing_mm: tuple[float, float, float]

    @classmethod
    def read(cls, record: Record, every: int) -> "Subject":
        """Read a subject and choose each ``every``-th slice of enough brain."""
        flair, t1w = read_volume(record.images["flair"]), read_volume(record.images["t1w"]).data
        brain = read_volume(record.brain_mask).data > 0
        slices = np.arange(brain.shape[2]) % every == 0
        chosen = brain & slices & (brain.sum((0, 1)) >= LEAST_BRAIN)
        return cls(np.where(brain, flair.data, 0), t1w, brain, chosen, flair.spacing_mm)


def translate(translator: StageTranslator, subject: Subject) -> np.ndarray:
    """Return the chosen slices as they are in a translation of the whole, (X, Y, Z), else 0."""
    flair, chosen = torch.from_numpy(subject.flair), torch.from_numpy(subject.chosen)
    with torch.inference_mode():
        drawn = translator.drawing.slices(flair, chosen, stream(0, 0), lambda part: None)
    return np.where(subject.chosen, drawn.clamp(0, 1).numpy(), 0)


def gradients(image: np.ndarray, subject: Subject) -> np.ndarray:
    """Return |gradient| within the chosen slices, (N,), per mm."""
    slices = np.flatnonzero(subject.chosen.any((0, 1)))
    parts = [
        gradient_magnitude(image[:, :, [z]], subject.chosen[:, :, [z]], subject.spacing_mm)
        for z in slices
    ]
    return np.concatenate(parts)


def score(translator: StageTranslator, subjects: list[Subject]) -> Iterator[tuple[float, float]]:
    """Yield masked PSNR (dB) and the W1 of gradients of each subject."""
    for subject in subjects:
        image = translate(translator, subject)
        psnr = peak_signal_to_noise(image, subject.t1w, 1.0, subject.chosen)
        real = gradients(subject.t1w, subject)
        yield psnr, sorted_distance(gradients(image, subject), real)


def tell(title: str, translator: StageTranslator, subjects: list[Subject]) -> None:
    """Print one row of the table."""
    began = perf_counter()
    psnr, distance = np.mean(list(score(translator, subjects)), axis=0)
    seconds = perf_counter() - began
    print(f"| {title} | {psnr:.2f} | {distance:.4f} | {seconds:.0f} |", flush=True)


def main() -> None:
    """Print mean scores over the subjects of each start and number of steps, in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="phantom-2d")
    parser.add_argument("--data", type=Path, required=True, help="a prepared data set")
    parser.add_argument("--split", default="val")
    parser.add_argument("--every", type=int, default=6, help="slices from one to the next")
    parser.add_argument("--starts", type=float, nargs="+", default=[1.0, 0.95, 0.9, 0.8, 0.6, 0.4])
    parser.add_argument("--steps", type=int, nargs="+", default=[6, 3])
    parser.add_argument("--temperature", type=float, default=0.5)
    args = parser.parse_args()
    records = Manifest.read(args.data).split(args.split)
    subjects = [Subject.read(record, args.every) for record in records]
    print("| start | steps | PSNR (dB) | gradient W1 | s |\n|---|---:|---:|---:|---:|")
    tell("U-Net | ", from_run(f"{args.model}/unet"), subjects)
    draws = Draws(temperature=args.temperature, precision="bf16-mixed")
    for start, steps in product(args.starts, args.steps):
        translator = from_run(args.model, draws, steps=steps, start=start)
        tell(f"{start:g} | {steps}", translator, subjects)


if __name__ == "__main__":
    main()
