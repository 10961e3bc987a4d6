"""The tables of this page: main scores of an evaluation by method, or error by predicted spread."""

import argparse
import json
from pathlib import Path
from typing import Any

COLUMNS = {
    "gradient W1 ↓": ("brain", "gradient_w1", 4),
    "sharpness → 1": ("brain", "sharpness", 2),
    "through-plane → 1": ("brain", "through_plane", 2),
    "perceptual ↓": ("brain", "perceptual_efficientnet_lite0_2.5d", 3),
    "KID ↓": ("features", "kid", 3),
    "Dice GM ↑": ("brain", "dice_gm", 3),
    "Dice WM ↑": ("brain", "dice_wm", 3),
    "lesion contrast kept → 1": ("lesion", "contrast_kept", 2),
}


def with_interval(score: dict[str, Any], digits: int) -> str:
    """Return "mean [low, high]" of a score of ``summary.json``."""
    low, high = score["ci95"]
    return f"{score['mean']:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def cell(summary: dict[str, Any], method: str, region: str, name: str, digits: int) -> str:
    """Return one score of a method; empty where the evaluation has none."""
    if region == "features":
        distances = summary.get("features", {}).get("methods", {}).get(method, {})
        found = [value for key, value in distances.items() if key.startswith(name)]
        return f"{found[0]['value']:.{digits}f}" if found else ""
    score = summary["methods"][method].get(region, {}).get(name)
    return "" if score is None else f"{score['mean']:.{digits}f}"


def scores(summary: dict[str, Any], methods: list[str]) -> list[list[str]]:
    """Return head and rows of the table of scores."""
    rows = [["method", "PSNR (dB) ↑", "SSIM ↑", *COLUMNS]]
    for method in methods:
        brain = summary["methods"][method]["brain"]
        main = [with_interval(brain["psnr"], 2), with_interval(brain["ssim"], 3)]
        rows.append([method, *main, *(cell(summary, method, *at) for at in COLUMNS.values())])
    return rows


def spread(summary: dict[str, Any], methods: list[str]) -> list[list[str]]:
    """Return head and rows of the table of errors by tenths of voxels of growing spread."""
    rows = [["spread of", *([""] * 10), "scale → 1"]]
    for method in methods:
        checked = summary["checks"]["uncertainty"]["methods"][method]
        for title, key, scale in (
            ("predicted", "predicted_sd", f"{checked['scale']['mean']:.2f}"),
            ("error", "rmse", ""),
        ):
            tenths = [f"{tenth[key]:.3f}".lstrip("0") for tenth in checked["bins"]]
            rows.append([f"{method}, {title}", *tenths, scale])
    return rows


def main() -> None:
    """Print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("evaluation", type=Path, help="folder with summary.json")
    parser.add_argument("methods", nargs="+")
    parser.add_argument("--spread", action="store_true", help="error by predicted spread instead")
    args = parser.parse_args()
    summary = json.loads((args.evaluation / "summary.json").read_text())
    head, *rows = (spread if args.spread else scores)(summary, args.methods)
    ruler = ["---", *(["---:"] * (len(head) - 1))]
    for row in (head, ruler, *rows):
        print(f"| {' | '.join(row)} |")


if __name__ == "__main__":
    main()
