"""Time and memory of an evaluation by number of subjects at 2 mm, with two workers.

python experiments/metrics/hundred.py [--subjects 25 100] [--features none]

Subjects are four phantoms with different noise each. Memory is the peak resident size; the
parent's includes the generation of the phantoms.
"""

import resource
import time
from argparse import ArgumentParser
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from mrcontrast.commands.evaluate import evaluate
from mrcontrast.evaluation.protocol import Protocol, read_features
from mrcontrast.phantom import PhantomConfig, PhantomSubject, make_subject
from mrcontrast.storage.volume import Volume, write_labels, write_volume

WORKERS = 2


def write_subjects(folder: Path, phantoms: list[PhantomSubject], count: int) -> None:
    """Write real and synthetic volumes, brain masks and lesion masks."""
    for index in range(count):
        subject, rng = phantoms[index % len(phantoms)], np.random.default_rng(index)
        name, mask = f"sub-{index:03d}", subject.brain_mask
        top = np.percentile(subject.images["t1w"].data[mask], 99.5)
        real = np.clip(subject.images["t1w"].data / top, 0, 1)
        for kind, level in (("real", 0.01), ("ours", 0.05)):
            noisy = np.clip(real + rng.normal(0, level, real.shape), 0, 1) * mask
            volume = Volume(noisy.astype(np.float32), subject.images["t1w"].affine)
            write_volume(folder / kind / f"{name}_T1w.nii", volume)
        parts = {"desc-brain_mask": mask, "label-lesion_mask": subject.lesion_mask}
        for suffix, labels in parts.items():
            write_labels(
                folder / "real" / f"{name}_{suffix}.nii", labels, subject.images["t1w"].affine
            )


def forget_peak() -> None:
    """Reset the peak resident size of this process (Linux)."""
    Path("/proc/self/clear_refs").write_text("5")


def peaks_mib() -> tuple[float, float]:
    """Return the peak resident size of this process and of its finished workers (MiB)."""
    status = Path("/proc/self/status").read_text()
    own = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    workers = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return int(own.split()[1]) / 1024, workers / 1024


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--subjects", type=int, nargs="+", default=[25, 100])
    parser.add_argument("--features", default="none")
    args = parser.parse_args()
    config = PhantomConfig(spacing_mm=2.0)
    phantoms = [make_subject(seed, config) for seed in range(4)]
    protocol = Protocol(num_workers=WORKERS, features=read_features(args.features))
    print("| subjects | features | workers | s | s per subject | MiB, parent | MiB, worker |")
    print("|---:|---|---:|---:|---:|---:|---:|")
    for count in args.subjects:
        with TemporaryDirectory() as name:
            folder = Path(name)
            write_subjects(folder, phantoms, count)
            forget_peak()
            start = time.perf_counter()
            evaluate({"ours": folder / "ours"}, folder / "real", folder / "out", protocol=protocol)
            seconds = time.perf_counter() - start
        cells = f"{args.features} | {WORKERS} | {seconds:.0f} | {seconds / count:.2f}"
        own, workers = peaks_mib()
        print(f"| {count} | {cells} | {own:.0f} | {workers:.0f} |", flush=True)


if __name__ == "__main__":
    main()
