"""Compare our rigid registration of T1w and FLAIR with the authors' transforms.

python -m experiments.preparation.registration /path/to/shared/data
"""

import time
from argparse import ArgumentParser
from pathlib import Path

import numpy as np
from experiments.preparation.motions import surface_points
from experiments.preparation.scans import RawSession, raw_sessions

from mrcontrast.imaging.alignment import displacement_mm
from mrcontrast.imaging.registration import register_rigid

COLUMNS = ("session", "way", "before", "median", "worst", "rotation", "translation", "CPU s")


def errors_mm(session: RawSession, matrix: np.ndarray) -> np.ndarray:
    """Return the target registration error at each point of the brain mask's surface."""
    return displacement_mm(
        matrix, session.to_t1w, surface_points(session.brain, session.flair.affine)
    )


def run(session: RawSession, reverse: bool) -> tuple[str, ...]:
    """Register one session in one direction; return a row."""
    started = time.process_time()
    if reverse:
        found = register_rigid(session.t1w, session.flair)
        matrix = np.linalg.inv(found.matrix)
    else:
        found = register_rigid(session.flair, session.t1w)
        matrix = found.matrix
    seconds = time.process_time() - started
    error = errors_mm(session, matrix)
    before = errors_mm(session, np.eye(4))
    way = "FLAIR to T1w" if reverse else "T1w to FLAIR"
    numbers = (
        before.max(),
        np.median(error),
        error.max(),
        found.rotation_deg,
        found.translation_mm,
    )
    return session.name, way, *(f"{value:.2f}" for value in numbers), f"{seconds:.1f}"


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    print("| " + " | ".join(COLUMNS) + " |")
    print("|---|---|" + "---:|" * (len(COLUMNS) - 2))
    for session in raw_sessions(parser.parse_args().data):
        for reverse in (False, True):
            print("| " + " | ".join(run(session, reverse)) + " |", flush=True)


if __name__ == "__main__":
    main()
