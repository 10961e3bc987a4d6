"""Peak memory of one side's training step, in a process of its own: a peak never falls."""

import argparse
import json
import resource
import subprocess
import sys
from pathlib import Path

import torch
from architectures import Setting, setting
from measure import ORIGINALS, device
from ours import build_data, build_ours, fit, images_of, stage_config

STEPS = 2  # the first makes the optimiser's state
GIB = 1024**3


def measure_memory(name: str, quick: bool, out: Path) -> dict[str, dict[str, float]]:
    """Return the peak (GiB) by stage and side, each from a process of its own."""
    return {
        stage: {side: in_process(side, stage, name, quick, out) for side in ("original", "ours")}
        for stage in ORIGINALS
    }


def in_process(side: str, stage: str, name: str, quick: bool, out: Path) -> float:
    """Run this file and read what it prints."""
    words = [side, stage, name, "--out", str(out), *(["--quick"] if quick else [])]
    command = [sys.executable, __file__, *words]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(json.loads(answer.stdout.splitlines()[-1])["peak_gib"])


def take_steps(side: str, stage: str, what: Setting, out: Path) -> None:
    """Build one side and train two steps."""
    config = stage_config(what, stage, out, STEPS)
    data = build_data(config)
    if side == "ours":
        fit(build_ours(config, what), data, config, [])
        return
    original = ORIGINALS[stage](config, what).to(device())
    original.start()
    images = images_of(data, what.batch_size, device())
    for _ in range(STEPS):
        original.step(images)


def peak_bytes() -> int:
    """Return the device's peak: allocated on CUDA, else the resident set of this process."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    """Measure what the command line asks for and print it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("side", choices=["original", "ours"])
    parser.add_argument("stage", choices=list(ORIGINALS))
    parser.add_argument("name", choices=["2d", "3d"])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--quick", action="store_true")
    args = parser.parse_args()
    take_steps(args.side, args.stage, setting(args.name, args.quick), args.out)
    print(json.dumps({"peak_gib": peak_bytes() / GIB}))


if __name__ == "__main__":
    main()
