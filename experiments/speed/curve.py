"""Quality over network calls: each sampler on a finished run and held-out subjects."""

import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from original import DDIM_STEPS, GUIDANCE
from outcome import describe_device
from rich.console import Console
from rich.table import Table
from torch import Tensor

from mrcontrast.data.manifest import Manifest, Record
from mrcontrast.diffusion.samplers import DDIM
from mrcontrast.inference.from_run import from_run, set_sampler
from mrcontrast.metrics.structural import ssim
from mrcontrast.metrics.voxelwise import peak_signal_to_noise
from mrcontrast.runs.folder import software
from mrcontrast.storage.files import write_json
from mrcontrast.storage.volume import read_volume

SAMPLERS = ("euler_flow", "heun_flow", "dpm_solver_pp_2m", "ddim", "ddpm")
CALLS = (2, 4, 6, 10, 20)
REFERENCE, GUIDED, OWN = "DDIM 200", "DDIM 200, guidance", "the run's own"
MOST_DB, MOST_SSIM, LEAST_TIMES = 0.1, 0.002, 20.0


@dataclass(frozen=True)
class Subject:
    """A held-out subject: FLAIR, T1w and brain, (X, Y, Z) each."""

    name: str
    flair: np.ndarray
    t1w: np.ndarray
    brain: np.ndarray

    @classmethod
    def read(cls, record: Record) -> "Subject":
        """Read a prepared subject."""
        flair, t1w, brain = (
            read_volume(path).data for path in (record.images["flair"], record.images["t1w"], record.brain_mask)
        )
        return cls(record.name, flair, t1w, brain > 0)

    def score(self, image: np.ndarray) -> tuple[float, float]:
        """Return PSNR (dB) and SSIM in the brain."""
        psnr = peak_signal_to_noise(image, self.t1w, 1.0, self.brain)
        return psnr, ssim(image, self.t1w, 1.0, self.brain)


def measure(drawing: Any, subjects: list[Subject], draws: int) -> dict[str, Any]:  # noqa: ANN401
    """Draw with the stage as it is set, and score single draws and their mean.

    Args:
        drawing: Of a translator.
        subjects: Held out.
        draws: Draws a subject.
    """
    single, joint, seconds = [], [], []
    for subject in subjects:
        brain = torch.from_numpy(subject.brain)
        image = torch.from_numpy(np.where(subject.brain, subject.flair, 0).astype(np.float32))
        images = []
        for seed in range(draws):
            start = time.perf_counter()
            images.append(drawing.sample(image, brain, seed, lambda part: None).numpy())
            seconds.append(time.perf_counter() - start)
        single += [subject.score(drawn) for drawn in images]
        joint.append(subject.score(np.mean(images, 0)))
    found = {"seconds": float(np.median(seconds)), "draws": draws}
    for name, scores in (("one", single), ("mean", joint)):
        found[f"psnr_{name}"], found[f"ssim_{name}"] = map(float, np.mean(scores, 0))
    return found


def survey(stage: Any, drawing: Any, subjects: list[Subject], draws: int) -> list[dict[str, Any]]:  # noqa: ANN401
    """Measure the run's own sampler, first and last, the others, and DDIM 200 with guidance."""
    found = []

    def add(name: str, calls: int, subjects: list[Subject], draws: int) -> None:
        entry = {"sampler": name, "calls": calls, **measure(drawing, subjects, draws)}
        print(f"{name}, {calls} calls: {entry['seconds']:.2f} s a draw", flush=True)
        found.append(entry)

    own = stage.sampler
    add(OWN, own.num_calls, subjects, draws)
    for name in SAMPLERS:
        for calls in CALLS:
            set_sampler(stage, name)
            stage.sampler.num_steps = (calls + 1) // 2 if name == "heun_flow" else calls
            add(name, stage.sampler.num_calls, subjects, draws)
    stage.process.sampler = DDIM(DDIM_STEPS)
    add(REFERENCE, DDIM_STEPS, subjects, draws)
    with guided(stage):
        add(GUIDED, 2 * DDIM_STEPS, subjects[:1], 1)
    stage.process.sampler = own
    add(OWN, own.num_calls, subjects, draws)
    return found


@contextmanager
def guided(stage: Any) -> Iterator[None]:  # noqa: ANN401
    """Call the networks twice, as the original does, with FLAIR in both branches.

    Our stages have no text, so the branches are equal: quality stays, the time doubles.
    """

    def predict(z_t: Tensor, t: Tensor, condition: Tensor) -> Tensor:
        empty, told = (type(stage).predict(stage, z_t, t, condition) for _ in range(2))
        return empty + GUIDANCE * (told - empty)

    stage.predict = predict
    try:
        yield
    finally:
        del stage.predict


def verdict(found: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what the run's own sampler loses against DDIM 200, and how much faster it is."""
    by_name = {entry["sampler"]: entry for entry in found}
    own_seconds = [entry["seconds"] for entry in found if entry["sampler"] == OWN]
    own, reference, slow = by_name[OWN], by_name[REFERENCE], by_name[GUIDED]
    lost = {
        f"{metric}_lost_{form}": reference[f"{metric}_{form}"] - own[f"{metric}_{form}"]
        for metric in ("psnr", "ssim")
        for form in ("one", "mean")
    }
    times = slow["seconds"] / float(np.median(own_seconds))
    held = times >= LEAST_TIMES and all(
        value <= (MOST_DB if name.startswith("psnr") else MOST_SSIM) for name, value in lost.items()
    )
    return {**lost, "times_faster_than_guided": times, "held": held}


def show(found: list[dict[str, Any]], judged: dict[str, Any]) -> None:
    """Print the table and the verdict."""
    titles = ("PSNR, one draw", "SSIM", "PSNR, mean of draws", "SSIM", "s a draw")
    table = Table("sampler", "calls", *titles)
    for entry in found:
        keys = ("psnr_one", "ssim_one", "psnr_mean", "ssim_mean", "seconds")
        digits = (2, 4, 2, 4, 2)
        values = (f"{entry[key]:.{n}f}" for key, n in zip(keys, digits, strict=True))
        table.add_row(entry["sampler"], str(entry["calls"]), *values)
    Console(width=110).print(table)
    print(", ".join(f"{name} {value:.4g}" for name, value in judged.items()))


def draw(found: list[dict[str, Any]], path: Path) -> None:
    """Write PSNR and SSIM over network calls, of one draw and of the mean."""
    figure = Figure(figsize=(10, 7), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, 2)
    for row, form in zip(axes, ("one", "mean"), strict=True):
        for axis, metric in zip(row, ("psnr", "ssim"), strict=True):
            for name in dict.fromkeys(entry["sampler"] for entry in found):
                entries = [entry for entry in found if entry["sampler"] == name]
                calls = [entry["calls"] for entry in entries]
                values = [entry[f"{metric}_{form}"] for entry in entries]
                if name != GUIDED:  # of one subject only: its quality is that of REFERENCE
                    style = {OWN: "k*", REFERENCE: "rs"}.get(name, "o-")
                    axis.plot(calls, values, style, label=name)
            axis.set_xscale("log")
            axis.set_xlabel("network calls")
            drawn = "one draw" if form == "one" else "mean of draws"
            axis.set_title(f"{metric.upper()} in the brain, {drawn}")
    axes[0, 0].legend()
    figure.savefig(path, dpi=110)


def main() -> None:
    """Measure, print, and write ``curve.json`` and ``curve.png``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", default="outputs/study/demo/runs/controlnet")
    parser.add_argument("--data", type=Path, default=Path("outputs/study/demo/data"))
    parser.add_argument("--out", type=Path, default=Path("outputs/speed"))
    parser.add_argument("--subjects", type=int, default=2, help="held-out subjects (%(default)s)")
    parser.add_argument("--draws", type=int, default=4, help="draws a subject (%(default)s)")
    args = parser.parse_args()
    drawing = from_run(args.run).drawing
    records = Manifest.read(args.data).split("test")[: args.subjects]
    subjects = [Subject.read(record) for record in records]
    found = survey(drawing.stage, drawing, subjects, args.draws)
    judged = verdict(found)
    facts = {"run": args.run, "subjects": [subject.name for subject in subjects]}
    facts |= {"device": describe_device(), "versions": software()["versions"]}
    write_json(args.out / "curve.json", facts | judged | {"samplers": found})
    draw(found, args.out / "curve.png")
    show(found, judged)


if __name__ == "__main__":
    main()
