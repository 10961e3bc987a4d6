"""Time the preparation of phantoms with 1 and 2 processes, and after a kill.

python experiments/preparation/many_subjects.py --subjects 200
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
    args = parser.parse_args()
    print("| run | wall time (s) | seconds per subject | prepared | reused |")
    print("|---|---:|---:|---:|---:|")
    hashes = set()
    for workers in (1, 2):
        out = args.out / f"workers-{workers}"
        report(f"{workers} process(es)", *run(out, args.subjects, workers), args.subjects)
        hashes.add(data_hash(out))
    out = args.out / "killed"
    kill(out, args.subjects, after=args.subjects // 2)
    done = finished(out)
    times = {path.name: path.stat().st_mtime_ns for path in done}
    report(
        f"killed (-9) after {len(done)}, started again", *run(out, args.subjects, 1), args.subjects
    )
    again = {path.name: path.stat().st_mtime_ns for path in (out / "sessions").glob("*.json")}
    assert all(again[name] == stamp for name, stamp in times.items()), (
        "a finished session was repeated"
    )
    report("started once more", *run(out, args.subjects, 1), args.subjects)
    hashes.add(data_hash(out))
    print(f"\n{len(hashes)} different data hash(es): {', '.join(h[:12] for h in sorted(hashes))}")


def command(out: Path, subjects: int, workers: int) -> list[str]:
    """Return the command line."""
    settings = [f"recipe.sources.0.num_subjects={subjects}", f"workers={workers}", f"out={out}"]
    return [sys.executable, "-m", "mrcontrast", "prepare", "recipe=phantom", *GRID, *settings]


def run(out: Path, subjects: int, workers: int) -> tuple[float, str]:
    """Run once; return its seconds and its log."""
    began = time.monotonic()
    answer = subprocess.run(
        command(out, subjects, workers), capture_output=True, text=True, check=True, env=single()
    )
    return time.monotonic() - began, answer.stderr


def kill(out: Path, subjects: int, after: int) -> None:
    """Start a run and kill it with SIGKILL after some sessions."""
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
    """Return the files of finished sessions in an unfinished run."""
    return list((out.with_name(f".{out.name}.partial") / "sessions").glob("*.json"))


def single() -> dict[str, str]:
    """Return the environment with one thread per process."""
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def report(name: str, seconds: float, log: str, subjects: int) -> None:
    """Print one row."""
    prepared, reused = log.count("prepared sub-"), log.count("reused sub-")
    each = f"{seconds / max(prepared, 1):.1f}" if prepared else "-"
    print(f"| {name} | {seconds:.0f} | {each} | {prepared} | {reused} |", flush=True)
    assert prepared + reused == subjects


def data_hash(out: Path) -> str:
    """Return the hash of a data set."""
    from mrcontrast.data.manifest import Manifest

    return Manifest.read(out).data_hash


if __name__ == "__main__":
    main()
