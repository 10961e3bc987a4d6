"""Wall time of preparing phantoms with 1 and 2 processes, and what a killed run has left.

    python experiments/preparation/many_subjects.py --subjects 200 --out outputs/preparation

Each line is one command run to its end in a fresh folder; the killed one is started again.
"""

import argparse
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

GRID = ["recipe.grid.spacing_mm=2.0", "recipe.grid.shape=[96,112,96]"]


def main() -> None:
    """Time the runs and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--subjects", type=int, default=200)
    parser.add_argument("--out", type=Path, default=Path("outputs/preparation"))
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    args = parser.parse_args()
    print("| run | wall time (s) | seconds a subject | prepared | reused |")
    print("|---|---:|---:|---:|---:|")
    hashes = set()
    for workers in args.workers:
        out = args.out / f"workers-{workers}"
        tell(f"{workers} process(es)", *run(out, args.subjects, workers), args.subjects)
        hashes.add(data_hash(out))
    out = args.out / "killed"
    kill(out, args.subjects, after=args.subjects // 2)
    done = finished(out)
    times = {path.name: path.stat().st_mtime_ns for path in done}
    tell(
        f"killed (-9) after {len(done)}, started again", *run(out, args.subjects, 1), args.subjects
    )
    again = {path.name: path.stat().st_mtime_ns for path in (out / "sessions").glob("*.json")}
    assert all(again[name] == stamp for name, stamp in times.items()), "a finished one was redone"
    tell("started once more", *run(out, args.subjects, 1), args.subjects)
    hashes.add(data_hash(out))
    print(f"\n{len(hashes)} different data hash(es): {', '.join(h[:12] for h in sorted(hashes))}")


def command(out: Path, subjects: int, workers: int) -> list[str]:
    """Return the command line."""
    settings = [f"recipe.sources.0.num_subjects={subjects}", f"workers={workers}", f"out={out}"]
    return [sys.executable, "-m", "mrcontrast", "prepare", "recipe=phantom", *GRID, *settings]


def run(out: Path, subjects: int, workers: int) -> tuple[float, str]:
    """Return the seconds that a run takes, and what it says."""
    began = time.monotonic()
    answer = subprocess.run(
        command(out, subjects, workers), capture_output=True, text=True, check=True, env=single()
    )
    return time.monotonic() - began, answer.stderr


def kill(out: Path, subjects: int, after: int) -> None:
    """Start a run and kill it by SIGKILL once some sessions are finished."""
    process = subprocess.Popen(
        command(out, subjects, 1),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=single(),
    )
    while len(finished(out)) < after and process.poll() is None:
        time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.wait()


def finished(out: Path) -> list[Path]:
    """Return the files of the sessions that an unfinished run has finished."""
    return list((out.with_name(f".{out.name}.partial") / "sessions").glob("*.json"))


def single() -> dict[str, str]:
    """Return the environment with one thread a process, so that processes can be compared."""
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def tell(name: str, seconds: float, said: str, subjects: int) -> None:
    """Print one row."""
    prepared, reused = said.count("prepared sub-"), said.count("reused sub-")
    each = f"{seconds / max(prepared, 1):.1f}" if prepared else "-"
    print(f"| {name} | {seconds:.0f} | {each} | {prepared} | {reused} |", flush=True)
    assert prepared + reused == subjects


def data_hash(out: Path) -> str:
    """Return the hash of a data set."""
    from mrcontrast.data.manifest import Manifest

    return Manifest.read(out).data_hash


if __name__ == "__main__":
    main()
