"""Report results as a table, a plot and JSON."""

import os
import platform
from pathlib import Path
from typing import Any

import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

from mrcontrast.runs.folder import software

BARS = {"stage2_step_ratio": 2.5, "stage3_step_ratio": 2.0, "sampling_ratio": 20.0}
STAGES = {"latent_diffusion": "stage 2 step", "controlnet": "stage 3 step"}
COLOURS = {"original": "#b0b0b0", "ours": "#2a6f97"}


def headline(dims: dict[str, Any]) -> dict[str, Any]:
    """Return the ratios that have a bar, all in 2D, with device and versions."""
    found = dims.get("2d") or next(iter(dims.values()))
    return {
        "stage2_step_ratio": found["latent_diffusion"]["ratio"],
        "stage3_step_ratio": found["controlnet"]["ratio"],
        "sampling_ratio": found["sampling"]["ratio"],
        "peak_share": found["latent_diffusion"]["peak_share"],
        "device": describe_device(),
        "versions": software()["versions"],
    }


def describe_device() -> dict[str, Any]:
    """Describe the device of the measurements."""
    if torch.cuda.is_available():
        return {"name": torch.cuda.get_device_name(), "kind": "cuda", "precision": "bf16"}
    return {
        "name": processor(),
        "kind": "cpu",
        "precision": "float32",
        "threads": torch.get_num_threads(),
        "load_1min": os.getloadavg()[0],
    }


def processor() -> str:
    """Return the processor's name from Linux, else from Python."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())


def rows(dims: dict[str, Any]) -> list[tuple[str, ...]]:
    """Return the table's lines: title, original, ours, ratio, remark."""
    lines = []
    for name, found in dims.items():
        for stage, title in STAGES.items():
            step = found[stage]
            peak = f"{step['flops_per_s'] / 1e9:.0f} GFLOP/s, {step['peak_share']:.0%} of peak"
            lines.append(line(f"{name} {title}, batch {step['batch_size']}", step, peak))
        sampling = found["sampling"]
        calls = f"{sampling['original_calls']} v {sampling['ours_calls']} network calls"
        lines.append(line(f"{name} sampling one image", sampling, calls))
        for stage, peaks in found["memory_gib"].items():
            memory = {f"{side}_s": gib for side, gib in peaks.items()}
            memory["ratio"] = peaks["original"] / peaks["ours"]
            lines.append(line(f"{name} memory of {STAGES[stage]}", memory, "", "GiB"))
    return lines


def line(what: str, found: dict[str, Any], remark: str, unit: str = "s") -> tuple[str, ...]:
    """Format one line of the table."""
    values = [f"{found[f'{side}_s']:.3g} {unit}" for side in ("original", "ours")]
    return (what, *values, f"{found['ratio']:.2f}", remark)


def show(dims: dict[str, Any]) -> None:
    """Print the table and the time of our step by operator."""
    table = Table("", "original", "ours", "ratio", "")
    for cells in rows(dims):
        table.add_row(*cells)
    console = Console(width=110)
    console.print(table)
    for name, found in dims.items():
        peaks = ", ".join(f"{kind} {rate / 1e9:.0f}" for kind, rate in found["peaks"].items())
        console.print(f"{name} measured peaks (GFLOP/s): {peaks}")
        for stage, title in STAGES.items():
            groups = found[stage]["operators"].items()
            shares = ", ".join(f"{group} {share:.0%}" for group, share in groups if share > 0.01)
            console.print(f"{name} {title}, ours: {shares}")


def judge(found: dict[str, Any]) -> list[str]:
    """Return a line for each bar: held or missed."""
    return [
        f"{key} {found[key]:.2f}, bar {bar:g}: {'held' if found[key] >= bar else 'MISSED'}"
        for key, bar in BARS.items()
    ]


def draw(dims: dict[str, Any], path: Path) -> None:
    """Plot seconds, memory, and operators of our step."""
    figure = Figure(figsize=(11, 3.4 * len(dims)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(dims), 3, squeeze=False)
    for (name, found), (seconds, memory, groups) in zip(dims.items(), axes, strict=True):
        works = {**STAGES, "sampling": "sampling"}
        heights = {side: [found[work][f"{side}_s"] for work in works] for side in COLOURS}
        bars(seconds, list(works.values()), heights, f"{name}: seconds")
        seconds.set_yscale("log")
        peaks = found["memory_gib"]
        heights = {side: [peaks[stage][side] for stage in peaks] for side in COLOURS}
        bars(memory, [STAGES[stage] for stage in peaks], heights, f"{name}: peak memory (GiB)")
        shares = found["latent_diffusion"]["operators"]
        groups.barh(list(shares)[::-1], list(shares.values())[::-1], color=COLOURS["ours"])
        groups.set_title(f"{name}: our stage 2 step, share of time")
    figure.savefig(path, dpi=110)


def bars(axis: Any, names: list[str], heights: dict[str, list[float]], title: str) -> None:  # noqa: ANN401
    """Plot both sides as grouped bars."""
    for shift, (side, values) in zip((-0.2, 0.2), heights.items(), strict=True):
        places = [index + shift for index in range(len(names))]
        axis.bar(places, values, 0.4, color=COLOURS[side], label=side)
    axis.set_xticks(range(len(names)), names)
    axis.set_title(title)
    axis.legend()
