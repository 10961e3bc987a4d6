"""Time and memory of our training steps by resolution and width, in 2D and 3D."""

import argparse
import json
import resource
import subprocess
import sys
from functools import partial
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

import torch
from interleaving import timed
from omegaconf import DictConfig, open_dict
from outcome import describe_device
from peak_memory import GIB, peak_bytes
from rich.console import Console
from rich.table import Table
from torch import Tensor

from mrcontrast.config.build import build_stage, compose, resolve
from mrcontrast.runs.folder import software
from mrcontrast.storage.files import write_json

FIELD_MM = (182, 218, 182)  # field of view of the MNI152 template
SPACINGS_MM = (2.0, 1.5, 1.0)
WIDTHS = (32, 64)  # configs/stage has 64
BATCH = {2: 8, 3: 1}
CELL = 16  # images are padded to a multiple of this (voxels)
COUNTED_STEPS = 2
STAGES = ("autoencoder", "controlnet")


def image_shape(dims: int, spacing_mm: float) -> list[int]:
    """Return the shape of a slice or volume that covers the field of view."""
    return [-(-round(extent / spacing_mm) // CELL) * CELL for extent in FIELD_MM[:dims]]


def stage_config(stage: str, dims: int, width: int) -> DictConfig:
    """Return a stage of ``configs/stage`` with other channels."""
    half, twice, axes = width // 2, 2 * width, f"spatial_dims={dims}"
    channels = f"stage.autoencoder.channels=[{half},{width},{width}]"
    first = compose("train", ["stage=autoencoder", axes, channels])
    if stage == "autoencoder":
        return resolve(first).stage
    levels = f"[{width},{twice},{twice}]"
    second = compose("train", ["stage=latent_diffusion", axes, f"stage.denoiser.channels={levels}"])
    embedder = f"stage.condition.embedder_channels=[{half},{width},{twice}]"
    third = compose("train", ["stage=controlnet", axes, embedder])
    with open_dict(second), open_dict(third):
        second.stage.codec.autoencoder = first.stage.autoencoder
        second.stage.codec.contrasts = first.stage.contrasts
        third.stage.codec, third.stage.denoiser = second.stage.codec, second.stage.denoiser
        for part in ("schedule", "target"):
            third.stage.process[part] = second.stage.process[part]
    return resolve(third).stage


def batch_of(stage: Any, dims: int, shape: list[int]) -> dict[str, Tensor]:  # noqa: ANN401
    """Return random images, and latents as from a cache."""
    batch = {
        name: torch.rand(BATCH[dims], 1, *shape) for name in ("source", "target", "brain_mask")
    }
    if hasattr(stage, "codec"):
        z = torch.randn(BATCH[dims], *stage.noise_shape(shape))
        batch |= {"target_mean": z, "target_sigma": torch.full_like(z, 0.1)}
    place = "cuda" if torch.cuda.is_available() else "cpu"
    return {name: value.to(place) for name, value in batch.items()}


def take_steps(stage_name: str, dims: int, spacing_mm: float, width: int) -> dict[str, float]:
    """Return seconds of a training step and peak memory (GiB) of this process."""
    cuda = torch.cuda.is_available()
    stage: Any = build_stage(stage_config(stage_name, dims, width))
    stage = stage.to("cuda" if cuda else "cpu")
    if hasattr(stage, "codec"):
        stage.codec.std.fill_(1.0)
    batch = batch_of(stage, dims, image_shape(dims, spacing_mm))
    trained = [weight for weight in stage.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(trained)

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast("cuda", torch.bfloat16, enabled=cuda):
            loss = stage.loss(batch)
        loss.backward()
        optimizer.step()

    seconds = [timed(step) for _ in range(COUNTED_STEPS + 1)][1:]
    return {"seconds": median(seconds), "peak_gib": peak_bytes() / GIB}


def in_process(words: list[str], limit_gib: float) -> dict[str, float] | None:
    """Measure one line in its own process; None if it needs more than the limit."""
    limit = partial(resource.setrlimit, resource.RLIMIT_DATA, (int(limit_gib * GIB),) * 2)
    command = [sys.executable, __file__, "--one", *words]
    answer = subprocess.run(command, capture_output=True, text=True, check=False, preexec_fn=limit)
    if answer.returncode == 0:
        return json.loads(answer.stdout.splitlines()[-1])
    if "allocate memory" in answer.stderr or "MemoryError" in answer.stderr:
        return None
    raise RuntimeError(answer.stderr)


def survey(limit_gib: float) -> list[dict[str, Any]]:
    """Measure every line of the table; after one that does not fit, skip the larger ones."""
    found = []
    for dims, stage, width in product((2, 3), STAGES, WIDTHS):
        result: dict[str, float] | None = {}
        for spacing in SPACINGS_MM:
            words = [stage, str(dims), str(spacing), str(width)]
            result = None if result is None else in_process(words, limit_gib)
            print(*words, result, flush=True)
            entry = {"spatial_dims": dims, "stage": stage, "width": width, "spacing_mm": spacing}
            entry |= {"shape": image_shape(dims, spacing), "batch_size": BATCH[dims]}
            found.append(entry | (result or {"seconds": None, "peak_gib": None}))
    return found


def show(found: list[dict[str, Any]], limit_gib: float) -> None:
    """Print the table."""
    table = Table("dims", "stage", "width", "mm", "shape", "batch", "s per step", "GiB")
    for entry in found:
        fits = entry["seconds"] is not None
        values = (
            f"{entry['seconds']:.2f}" if fits else "-",
            f"{entry['peak_gib']:.1f}" if fits else f"more than {limit_gib:g}",
        )
        keys = ("spatial_dims", "stage", "width", "spacing_mm", "shape", "batch_size")
        table.add_row(*(str(entry[key]) for key in keys), *values)
    Console(width=110).print(table)


def main() -> None:
    """Measure, print, and write ``sizes.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--memory-gib", type=float, default=20.0, help="limit (%(default)s)")
    parser.add_argument("--out", type=Path, default=Path("outputs/speed"))
    parser.add_argument("--one", nargs=4, metavar="X", help="STAGE DIMS MM WIDTH, in this process")
    args = parser.parse_args()
    if args.one:
        stage, dims, spacing, width = args.one
        print(json.dumps(take_steps(stage, int(dims), float(spacing), int(width))))
        return
    found = survey(args.memory_gib)
    facts = {"device": describe_device(), "versions": software()["versions"]}
    write_json(args.out / "sizes.json", facts | {"sizes": found})
    show(found, args.memory_gib)


if __name__ == "__main__":
    main()
