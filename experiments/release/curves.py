"""Learning curves of the release: what each training's validation said, from its metrics.csv."""

import argparse
import csv
from pathlib import Path

PANELS = {  # title -> metric, runs
    "PSNR in the brain (dB)": (
        "val/psnr",
        ("autoencoder_patches", "autoencoder", "unet_patches", "unet"),
    ),
    "PSNR of one draw (dB)": ("val/psnr", ("controlnet_pixel", "controlnet", "residual")),
    "loss of the ControlNets": ("val/loss", ("controlnet_pixel", "controlnet")),
}


def main() -> None:
    """Draw a panel for each kind of score."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=Path, default=Path("outputs/study/release_2d/runs"))
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("curves.png"))
    args = parser.parse_args()
    figure, panels = plt.subplots(1, len(PANELS), figsize=(11, 3.2))
    for panel, (title, (metric, runs)) in zip(panels, PANELS.items(), strict=True):
        for run in runs:
            if not (args.runs / run).is_dir():
                continue
            steps, values = read_curve(args.runs / run / "metrics.csv", metric)
            panel.plot(steps, values, marker="o", markersize=3, label=run)
        panel.set_title(title, fontsize=9)
        panel.set_xlabel("steps", fontsize=8)
        panel.tick_params(labelsize=8)
        panel.spines[["top", "right"]].set_visible(False)
        panel.legend(fontsize=7, frameon=False)
    figure.tight_layout()
    figure.savefig(args.out, dpi=130)


def read_curve(path: Path, metric: str) -> tuple[list[int], list[float]]:
    """Return steps done and values of a metric."""
    with path.open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["metric"] == metric]
    return [int(row["step"]) + 1 for row in rows], [float(row["value"]) for row in rows]


if __name__ == "__main__":
    main()
