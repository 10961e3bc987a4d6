"""The original's training steps and sampling beside ours, in one run, in 2D and in 3D."""

import argparse
import ctypes
import gc
import time
from pathlib import Path
from typing import Any

from architectures import SETTINGS, Setting, setting
from efficiency import measure_peaks
from measure import ORIGINALS, measure_sampling, measure_step
from ours import prepare_phantoms
from outcome import draw, headline, judge, show
from peak_memory import measure_memory

from mrcontrast.storage.files import write_json


def measure(what: Setting, quick: bool, out: Path) -> dict[str, Any]:
    """Return all figures of one setting."""
    turns = 2 if quick else 7
    prepare_phantoms(what, out)
    peaks = [measure_peaks(turns)]
    found: dict[str, Any] = {}
    for stage in ORIGINALS:
        found[stage] = measure_step(what, stage, out, turns, favour=not quick)
        tell(f"{what.name} {stage}: {found[stage]['ratio']:.2f} times")
        release()
    found["sampling"] = measure_sampling(what, out, turns, whole=not quick)
    tell(f"{what.name} sampling: {found['sampling']['ratio']:.1f} times")
    peaks.append(measure_peaks(turns))
    found["peaks"] = {kind: max(peak[kind] for peak in peaks) for kind in peaks[0]}
    best = max(found["peaks"].values())
    for stage in ORIGINALS:
        found[stage]["peak_share"] = found[stage]["flops_per_s"] / best
    stages = list(ORIGINALS)[: 1 if quick else 2]
    release()
    found["memory_gib"] = {stage: measure_memory(stage, what.name, quick, out) for stage in stages}
    return found


def release() -> None:
    """Give memory back: what was freed below malloc's threshold else stays with the process."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of glibc
    if trim is not None:
        trim(0)


def tell(text: str) -> None:
    """Print a line at once, with the time of day."""
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def main() -> None:
    """Measure, print, and write ``results.json`` and ``speed.png``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="half the batch, two turns")
    parser.add_argument("--out", type=Path, default=Path("outputs/speed"))
    parser.add_argument("--only", choices=list(SETTINGS), help="2d or 3d alone")
    args = parser.parse_args()
    began = time.monotonic()
    names = [args.only] if args.only else list(SETTINGS)
    dims = {name: measure(setting(name, args.quick), args.quick, args.out) for name in names}
    found = headline(dims) | {"quick": args.quick, "seconds": time.monotonic() - began} | dims
    write_json(args.out / "results.json", found)
    draw(dims, args.out / "speed.png")
    show(dims)
    for sentence in judge(found):
        print(sentence)
    print(f"{found['seconds']:.0f} s -> {args.out / 'results.json'}, speed.png")


if __name__ == "__main__":
    main()
