"""Peak memory of one side's training step, in its own process, since a peak never falls."""

import argparse
import json
import resource
import subprocess
import sys
from pathlib import Path

import torch
from architectures import SETTINGS, Setting
from measure import ORIGINALS, device
from ours import build_data, build_ours, fit, images_of, stage_config

GIB = 1024**3


def measure_memory(stage: str, name: str, out: Path) -> dict[str, float]:
    """Return the peak (GiB) of both sides, each from its own process."""
    return {side: in_process(side, stage, name, out) for side in ("original", "ours")}


def in_process(side: str, stage: str, name: str, out: Path) -> float:
    """Run this file and return the printed peak."""
    command = [sys.executable, __file__, side, stage, name, "--out", str(out)]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(json.loads(answer.stdout.splitlines()[-1])["peak_gib"])


def take_step(side: str, stage: str, what: Setting, out: Path) -> None:
    """Build one side and train one step, which also allocates the optimiser's state."""
    config = stage_config(what, stage, out)
    data = build_data(config)
    if side == "ours":
        fit(build_ours(config, what), data, config, [])
        return
    original = ORIGINALS[stage](config, what).to(device())
    original.start()
    images = images_of(data, what.batch_size, device())
    original.step(images)


def peak_bytes() -> int:
    """Return peak memory: allocated on CUDA, else the resident set of this process.

    On Linux ``ru_maxrss`` also counts memory of the parent at the start of this process.
    """
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    peaks = [int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")]
    return peaks[0] if peaks else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    """Measure one side and print its peak as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("side", choices=["original", "ours"])
    parser.add_argument("stage", choices=list(ORIGINALS))
    parser.add_argument("name", choices=["2d", "3d"])
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    take_step(args.side, args.stage, SETTINGS[args.name], args.out)
    print(json.dumps({"peak_gib": peak_bytes() / GIB}))


if __name__ == "__main__":
    main()
