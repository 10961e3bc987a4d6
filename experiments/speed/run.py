"""Compare training steps and sampling of the original with ours, in 2D and 3D."""

import argparse
import ctypes
import gc
import time
from pathlib import Path
from typing import Any

from architectures import SETTINGS, Setting
from efficiency import measure_peaks
from measure import ORIGINALS, measure_sampling, measure_step
from ours import prepare_phantoms
from outcome import draw, headline, judge, show
from peak_memory import measure_memory

from mrcontrast.storage.files import write_json

TURNS = 7  # counted measurements per side


def measure(what: Setting, out: Path) -> dict[str, Any]:
    """Return all results of one setting."""
    prepare_phantoms(what, out)
    peaks = [measure_peaks(TURNS)]
    found: dict[str, Any] = {}
    for stage in ORIGINALS:
        found[stage] = measure_step(what, stage, out, TURNS)
        log(f"{what.name} {stage}: {found[stage]['ratio']:.2f} times")
        release()
    found["sampling"] = measure_sampling(what, out, TURNS)
    log(f"{what.name} sampling: {found['sampling']['ratio']:.1f} times")
    peaks.append(measure_peaks(TURNS))
    found["peaks"] = {kind: max(peak[kind] for peak in peaks) for kind in peaks[0]}
    best = max(found["peaks"].values())
    for stage in ORIGINALS:
        found[stage]["peak_share"] = found[stage]["flops_per_s"] / best
    release()
    found["memory_gib"] = {stage: measure_memory(stage, what.name, out) for stage in ORIGINALS}
    return found


def release() -> None:
    """Return freed memory to the system, also blocks below malloc's threshold."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc
    if trim is not None:
        trim(0)


def log(text: str) -> None:
    """Print a line with the time of day."""
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def main() -> None:
    """Measure, print, and write ``results.json`` and ``speed.png``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("outputs/speed"))
    parser.add_argument("--only", choices=list(SETTINGS), help="measure one setting")
    args = parser.parse_args()
    began = time.monotonic()
    names = [args.only] if args.only else list(SETTINGS)
    dims = {name: measure(SETTINGS[name], args.out) for name in names}
    found = headline(dims) | {"seconds": time.monotonic() - began} | dims
    write_json(args.out / "results.json", found)
    draw(dims, args.out / "speed.png")
    show(dims)
    for sentence in judge(found):
        print(sentence)
    print(f"{found['seconds']:.0f} s -> {args.out / 'results.json'}, speed.png")


if __name__ == "__main__":
    main()
