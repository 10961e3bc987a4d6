"""Print the bias of thin slices with intervals over subjects; several draws are averaged.

The last number of a cell is the bias of full slices at the same depths below the surface.

python -m experiments.norms.thin unet:local+t:400 controlnet:local+t:400 --data DATA
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from experiments.norms.judge import SHARES, sort_slices
from experiments.norms.run import held_out, train_stage
from scipy import ndimage

from mrcontrast.inference.sampling_options import SamplingOptions
from mrcontrast.inference.volume_sampler import VolumeSampler

THIN = SHARES[:3]
DEEPEST = 6  # voxels below the brain's surface, one class from there on
ROUNDS = 2000  # of the bootstrap


def errors_of(
    stage: torch.nn.Module, args: argparse.Namespace
) -> tuple[list[dict[str, np.ndarray]], list[dict[str, np.ndarray]]]:
    """Return the errors of brain voxels by share of the slice, and depths (voxels), by subject."""
    sampler = VolumeSampler(stage, SamplingOptions(args.samples), 16, torch.device("cpu"), None)
    found, depths = [], []
    for case in held_out(args.data, args.subjects, False):
        image = sampler.sample(case.source, case.mask, 0, lambda part: None)[0]
        share: dict[str, list[np.ndarray]] = {name: [] for name in SHARES}
        sort_slices(image - case.target, case.mask, share)
        found.append({name: np.concatenate(parts) for name, parts in share.items() if parts})
        depth: dict[str, list[np.ndarray]] = {name: [] for name in SHARES}
        inside = np.pad(case.mask, 1)
        distance = ndimage.distance_transform_edt(inside)[1:-1, 1:-1, 1:-1]
        sort_slices(np.minimum(np.round(distance), DEEPEST), case.mask, depth)
        depths.append({name: np.concatenate(parts) for name, parts in depth.items() if parts})
    return found, depths


def by_depth(
    found: list[dict[str, np.ndarray]], depths: list[dict[str, np.ndarray]], share: str
) -> float:
    """Return the bias that voxels of full slices would have at the depths of a share's voxels."""
    full = SHARES[-1]
    error = np.concatenate([each[full] for each in found])
    depth = np.concatenate([each[full] for each in depths])
    wanted = np.concatenate([each[share] for each in depths if share in each])
    levels, counts = np.unique(wanted, return_counts=True)
    means = [error[depth == level].mean() for level in levels]
    return float(np.average(means, weights=counts))


def cell(errors: list[np.ndarray]) -> str:
    """Return bias, 95 % interval over subjects (bootstrap) and the number of voxels."""
    sums = np.array([[part.sum(), part.size] for part in errors])
    chosen = np.random.default_rng(0).integers(len(sums), size=(ROUNDS, len(sums)))
    totals = sums[chosen].sum(1)
    low, high = np.percentile(totals[:, 0] / totals[:, 1], [2.5, 97.5])
    total, count = sums.sum(0)
    return f"{total / count:+.3f} [{low:+.3f}, {high:+.3f}], {count:.0f} voxels"


def main() -> None:
    """Run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stages", nargs="+", metavar="STAGE:VARIANT:STEPS")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--runs", type=Path, default=Path("outputs/norms/runs"))
    parser.add_argument("--precision", default="bf16-mixed", help="32-true: no bf16 units")
    parser.add_argument("--subjects", type=int, default=6)
    parser.add_argument("--samples", type=int, default=4)
    args = parser.parse_args()
    args.dims = 2
    torch.set_num_threads(1)
    print(f"| | {' | '.join(THIN)} |\n|---|---|---|---|")
    for text in args.stages:
        name, variant, steps = text.split(":")
        args.steps = int(steps)
        stage = train_stage(name, variant, args)
        samples, args.samples = args.samples, 1 if name == "unet" else args.samples
        subjects, depths = errors_of(stage, args)
        args.samples = samples
        cells = [
            f"{cell([each[share] for each in subjects if share in each])}, "
            f"{by_depth(subjects, depths, share):+.3f}"
            for share in THIN
        ]
        print(f"| {name}, {variant}, {steps} steps | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
