"""Image quality over network calls: each sampler on a finished run and held-out subjects."""

import argparse
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from original import DDIM_STEPS, GUIDANCE
from outcome import describe_device
from rich.console import Console
from rich.table import Table
from torch import Tensor

from mrcontrast.data.manifest import Manifest, Record
from mrcontrast.diffusion.samplers import DDIM
from mrcontrast.inference.from_run import from_run, set_options
from mrcontrast.inference.sampling_options import SamplingOptions
from mrcontrast.metrics.structural import ssim
from mrcontrast.metrics.voxelwise import peak_signal_to_noise
from mrcontrast.runs.folder import software
from mrcontrast.storage.files import write_json
from mrcontrast.storage.volume import read_volume

SAMPLERS = ("euler_flow", "heun_flow", "dpm_solver_pp_2m", "ddim", "ddpm")
CALLS = (2, 4, 6, 10, 20)
SUBJECTS, DRAWS = 2, 4  # held-out subjects; samples per subject
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
        files = (record.images["flair"], record.images["t1w"], record.brain_mask)
        flair, t1w, brain = (read_volume(path).data for path in files)
        return cls(record.name, flair, t1w, brain > 0)

    def score(self, image: np.ndarray) -> tuple[float, float]:
        """Return PSNR (dB) and SSIM in the brain."""
        psnr = peak_signal_to_noise(image, self.t1w, 1.0, self.brain)
        return psnr, ssim(image, self.t1w, 1.0, self.brain)


def measure(sampler: Any, subjects: list[Subject], draws: int) -> dict[str, Any]:  # noqa: ANN401
    """Sample with the stage's current sampler; score single samples and their mean.

    Args:
        sampler: The translator's ``sampler``.
        subjects: Held-out subjects.
        draws: Samples per subject.
    """
    single, joint, seconds = [], [], []
    for subject in subjects:
        images = []
        for seed in range(draws):
            start = time.perf_counter()
            images.append(sampler.sample(subject.flair, subject.brain, seed, lambda part: None)[0])
            seconds.append(time.perf_counter() - start)
        single += [subject.score(drawn) for drawn in images]
        joint.append(subject.score(np.mean(images, 0)))
    found = {"seconds": float(np.median(seconds)), "draws": draws}
    for name, scores in (("one", single), ("mean", joint)):
        found[f"psnr_{name}"], found[f"ssim_{name}"] = map(float, np.mean(scores, 0))
    return found


def survey(stage: Any, sampler: Any, subjects: list[Subject]) -> list[dict[str, Any]]:  # noqa: ANN401
    """Measure the run's sampler (first and last), the others, and DDIM 200 with guidance."""
    found = []

    def add(name: str, calls: int, subjects: list[Subject] = subjects, draws: int = DRAWS) -> None:
        entry = {"sampler": name, "calls": calls, **measure(sampler, subjects, draws)}
        print(f"{name}, {calls} calls: {entry['seconds']:.2f} s per sample", flush=True)
        found.append(entry)

    own = stage.sampler
    add(OWN, own.num_calls)
    for name in SAMPLERS:
        for calls in CALLS:
            set_options(stage, SamplingOptions(sampler=name))
            stage.sampler.num_steps = (calls + 1) // 2 if name == "heun_flow" else calls
            add(name, stage.sampler.num_calls)
    stage.sampler = DDIM(DDIM_STEPS)
    add(REFERENCE, DDIM_STEPS)
    with guided(stage):
        add(GUIDED, 2 * DDIM_STEPS, subjects[:1], 1)
    stage.sampler = own
    add(OWN, own.num_calls)
    return found


@contextmanager
def guided(stage: Any) -> Iterator[None]:  # noqa: ANN401
    """Call the networks twice with FLAIR in both branches, as the original does.

    Our stages have no text, so both branches are equal: the time doubles, the image stays.
    """

    def network(condition: Sequence[Tensor], z_t: Tensor, t: Tensor) -> Tensor:
        empty, prompted = (type(stage).network(stage, condition, z_t, t) for _ in range(2))
        return empty + GUIDANCE * (prompted - empty)

    stage.network = network
    try:
        yield
    finally:
        del stage.network


def verdict(found: list[dict[str, Any]]) -> dict[str, Any]:
    """Compare the run's sampler with DDIM 200: loss of quality, gain in speed."""
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
    titles = ("PSNR, one sample", "SSIM", "PSNR, mean", "SSIM", "s per sample")
    table = Table("sampler", "calls", *titles)
    for entry in found:
        keys = ("psnr_one", "ssim_one", "psnr_mean", "ssim_mean", "seconds")
        digits = (2, 4, 2, 4, 2)
        values = (f"{entry[key]:.{n}f}" for key, n in zip(keys, digits, strict=True))
        table.add_row(entry["sampler"], str(entry["calls"]), *values)
    Console(width=110).print(table)
    print(", ".join(f"{name} {value:.4g}" for name, value in judged.items()))


def draw(found: list[dict[str, Any]], path: Path) -> None:
    """Plot PSNR and SSIM of one sample and of the mean over network calls."""
    figure = Figure(figsize=(10, 7), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, 2)
    for row, form in zip(axes, ("one", "mean"), strict=True):
        for axis, metric in zip(row, ("psnr", "ssim"), strict=True):
            for name in dict.fromkeys(entry["sampler"] for entry in found):
                entries = [entry for entry in found if entry["sampler"] == name]
                calls = [entry["calls"] for entry in entries]
                values = [entry[f"{metric}_{form}"] for entry in entries]
                if name != GUIDED:  # one subject only, same quality as REFERENCE
                    style = {OWN: "k*", REFERENCE: "rs"}.get(name, "o-")
                    axis.plot(calls, values, style, label=name)
            axis.set_xscale("log")
            axis.set_xlabel("network calls")
            title = "one sample" if form == "one" else f"mean of {DRAWS}"
            axis.set_title(f"{metric.upper()} in the brain, {title}")
    axes[0, 0].legend()
    figure.savefig(path, dpi=110)


def main() -> None:
    """Measure, print, and write ``curve.json`` and ``curve.png``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", default="outputs/study/demo/runs/controlnet")
    parser.add_argument("--data", type=Path, default=Path("outputs/study/demo/data"))
    parser.add_argument("--out", type=Path, default=Path("outputs/speed"))
    args = parser.parse_args()
    sampler = from_run(args.run).sampler
    records = Manifest.read(args.data).split("test")[:SUBJECTS]
    subjects = [Subject.read(record) for record in records]
    found = survey(sampler.stage, sampler, subjects)
    judged = verdict(found)
    facts = {"run": args.run, "subjects": [subject.name for subject in subjects]}
    facts |= {"device": describe_device(), "versions": software()["versions"]}
    write_json(args.out / "curve.json", facts | judged | {"samplers": found})
    draw(found, args.out / "curve.png")
    show(found, judged)


if __name__ == "__main__":
    main()
