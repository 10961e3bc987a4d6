"""Table and plot of the ablation: what the eighteen ControlNets of the sweep have reached."""

import argparse
from pathlib import Path

from mrcontrast.sweeps.jobs import FINISHED, Job, read_jobs

TARGETS = ("data", "v", "epsilon")
SCHEDULES = ("rectified_flow", "cosine_beta", "scaled_linear_beta")
EMBEDDERS = ("pixel", "latent")

Scores = dict[tuple[str, str, str], float]  # by schedule, target, embedder


def main() -> None:
    """Print the table in Markdown, best first, and draw the plot."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sweep", type=Path, default=Path("outputs/sweeps/ablation"))
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("ablation.png"))
    args = parser.parse_args()
    scores = {
        choices_of(job): job.score
        for job in read_jobs(args.sweep)
        if job.state == FINISHED and job.score is not None
    }
    print("| schedule | target | embedder | PSNR (dB) |\n|---|---|---|---:|")
    for choices, score in sorted(scores.items(), key=lambda item: -item[1]):
        print(f"| {' | '.join(choices)} | {score:.2f} |")
    print("\n| factor | its means (dB) | range |\n|---|---|---:|")
    for place, (factor, levels) in enumerate(
        (("schedule", SCHEDULES), ("target", TARGETS), ("embedder", EMBEDDERS))
    ):
        means = {level: mean_of(scores, place, level) for level in levels}
        told = ", ".join(f"{level} {mean:.2f}" for level, mean in means.items())
        print(f"| {factor} | {told} | {max(means.values()) - min(means.values()):.2f} |")
    draw(scores, args.out)


def choices_of(job: Job) -> tuple[str, str, str]:
    """Return schedule, target and embedder of a ControlNet, the first two from its base."""
    base = Job.read(job.varied["diffusion"]).varied
    embedder = job.varied["experiment"].removeprefix("ablation/")
    return base["stage/process/schedule"], base["stage/process/target"], embedder


def mean_of(scores: Scores, place: int, level: str) -> float:
    """Return the mean score of one level of a factor, over all levels of the others."""
    found = [score for choices, score in scores.items() if choices[place] == level]
    return sum(found) / len(found)


def draw(scores: Scores, path: Path) -> None:
    """Draw a panel for each schedule: targets along the axis, a bar for each embedder."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, panels = plt.subplots(1, len(SCHEDULES), figsize=(9, 3), sharey=True)
    for panel, schedule in zip(panels, SCHEDULES, strict=True):
        for number, (embedder, colour) in enumerate(zip(EMBEDDERS, ("C0", "C1"), strict=True)):
            heights = [scores.get((schedule, target, embedder), 0.0) for target in TARGETS]
            places = [place + 0.4 * number - 0.2 for place in range(len(TARGETS))]
            bars = panel.bar(places, heights, 0.38, color=colour, label=embedder)
            panel.bar_label(bars, fmt="%.1f", fontsize=7)
        panel.set_xticks(range(len(TARGETS)), TARGETS)
        panel.set_title(schedule, fontsize=9)
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("PSNR in the brain (dB)")
    panels[0].set_ylim(bottom=min(scores.values()) - 1)
    panels[-1].legend(title="FLAIR as", fontsize=7, title_fontsize=7, frameon=False)
    figure.tight_layout()
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    main()
