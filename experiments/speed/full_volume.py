"""Translate a 1 mm volume with a 3D model: time, and peak memory against the estimate."""

import argparse
import re
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from outcome import describe_device
from peak_memory import GIB
from random_run import write_random_run
from sizes import FIELD_MM, stage_config

from mrcontrast.runs.folder import software
from mrcontrast.storage.files import write_json
from mrcontrast.storage.volume import Volume, write_volume

WIDTH = 64  # the denoiser's first level; autoencoder 32, 64, 64, f = 4
MOST_GIB, MOST_OFF = 24.0, 0.2


def write_flair(path: Path, shape: tuple[int, ...]) -> None:
    """Write an ellipsoid of smooth noise at 1 mm, 0 outside, as a stand-in for a brain."""
    coarse = torch.rand(1, 1, *(size // 8 for size in shape), generator=torch.manual_seed(0))
    smooth = torch.nn.functional.interpolate(coarse, size=shape, mode="trilinear")[0, 0]
    axes = torch.meshgrid(*(torch.linspace(-1, 1, size) for size in shape), indexing="ij")
    brain = sum((axis / 0.8) ** 2 for axis in axes) < 1
    data = (100 * (smooth + 0.5) * brain).numpy().astype(np.float32)
    affine = np.diag([1.0, 1.0, 1.0, 1.0])
    affine[:3, 3] = [-size / 2 for size in shape]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_volume(path, Volume(data, affine))


def translate(flair: Path, run: Path, out: Path, steps: int) -> dict[str, Any]:
    """Run the command and return its seconds, its peak and its own estimate (GiB)."""
    command = [sys.executable, "-m", "mrcontrast", "translate", str(flair), str(out)]
    command += ["--model", str(run), "--overwrite", "--device", "cpu", "--steps", str(steps)]
    start = time.monotonic()
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    seconds = time.monotonic() - start
    if answer.returncode:
        raise RuntimeError(answer.stderr)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / GIB
    line = next(line for line in answer.stdout.splitlines() if "GiB of memory" in line)
    found = re.search(r"about ([\d.]+) GiB", line)
    assert found is not None
    return {"seconds": seconds, "peak_gib": peak, "estimated_gib": float(found[1]), "line": line}


def main() -> None:
    """Translate once, print, and write ``full_volume.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("outputs/speed"))
    parser.add_argument("--steps", type=int, default=4, help="sampler steps (%(default)s)")
    parser.add_argument(
        "--spacing-mm", type=float, default=1.0, help="a larger value makes a smaller volume"
    )
    args = parser.parse_args()
    shape = tuple(round(extent / args.spacing_mm) for extent in FIELD_MM)
    flair, run = args.out / "full_volume" / "sub-01_FLAIR.nii.gz", args.out / "runs" / "random_3d"
    write_flair(flair, shape)
    write_random_run(run, stage_config("controlnet", 3, WIDTH), 1.0, shape)
    found = translate(flair, run, flair.with_name("sub-01_desc-synth_T1w.nii.gz"), args.steps)
    off = found["peak_gib"] / found["estimated_gib"] - 1
    found |= {"shape": shape, "steps": args.steps, "off": off}
    found["held"] = found["peak_gib"] <= MOST_GIB and abs(off) <= MOST_OFF
    facts = {"device": describe_device(), "versions": software()["versions"]}
    write_json(args.out / "full_volume.json", facts | found)
    print(found["line"])
    print(
        f"{shape}: {found['seconds']:.0f} s, {args.steps} steps, peak {found['peak_gib']:.1f} GiB"
    )
    print(f"{off:+.0%} of the estimate; {'held' if found['held'] else 'MISSED'}")


if __name__ == "__main__":
    main()
