"""Compare deepbet's masks with the authors'.

python -m experiments.preparation.skull_strip /path/to/shared/data
"""

import time
from argparse import ArgumentParser
from pathlib import Path

import numpy as np
from experiments.preparation.scans import RawSession, raw_sessions

from mrcontrast.imaging.registration import register_rigid
from mrcontrast.imaging.skull_strip import strip_skull
from mrcontrast.metrics.overlap import dice
from mrcontrast.storage.volume import Volume
from mrcontrast.transforms.grid import resample_to


def masks_of(session: RawSession) -> dict[str, tuple[np.ndarray, float]]:
    """Return masks on the FLAIR's grid, each with its CPU seconds."""
    started = time.process_time()
    of_flair = strip_skull(session.flair)
    between = time.process_time()
    of_t1w = strip_skull(session.t1w)
    after = time.process_time()
    matrix = register_rigid(session.flair, session.t1w).matrix
    share = Volume(of_t1w.astype(np.float32), np.linalg.inv(matrix) @ session.t1w.affine)
    carried = resample_to(share, session.flair.affine, session.flair.shape) > 0.5
    return {"FLAIR": (of_flair, between - started), "T1w": (carried, after - between)}


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    print("| session | stripped | Dice | ours (ml) | authors' (ml) | CPU s |")
    print("|---|---|---:|---:|---:|---:|")
    for session in raw_sessions(parser.parse_args().data):
        voxel_ml = abs(float(np.linalg.det(session.flair.affine[:3, :3]))) / 1000
        for stripped, (mask, seconds) in masks_of(session).items():
            sizes = (voxel_ml * float(m.sum()) for m in (mask, session.brain))
            volumes = " | ".join(f"{size:.0f}" for size in sizes)
            score = float(dice(mask, session.brain))
            print(
                f"| {session.name} | {stripped} | {score:.3f} | {volumes} | {seconds:.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
