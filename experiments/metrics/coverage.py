"""Simulated coverage of 95 % intervals: percentile bootstrap, Student's t and ours."""

from collections.abc import Callable

import numpy as np
from scipy import stats

from mrcontrast.metrics.intervals import mean_interval

SUBJECTS = (5, 8, 16, 48)
STUDIES, BOOTSTRAP_STUDIES, RESAMPLES = 20_000, 2_000, 1_000
Draw = Callable[[np.random.Generator, tuple[int, int]], np.ndarray]
DISTRIBUTIONS: dict[str, tuple[Draw, float]] = {  # sampler, true mean
    "normal": (lambda rng, size: rng.standard_normal(size), 0.0),
    "PSNR, some bad scans": (
        lambda rng, size: 20 + rng.standard_normal(size) - rng.exponential(1.0, size),
        19.0,
    ),
    "log-normal, sigma 0.5": (lambda rng, s: rng.lognormal(0, 0.5, s), float(np.exp(0.125))),
    "log-normal, sigma 0.75": (lambda rng, s: rng.lognormal(0, 0.75, s), float(np.exp(0.28125))),
    "log-normal, sigma 1": (lambda rng, s: rng.lognormal(0, 1.0, s), float(np.exp(0.5))),
}


def student(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the limits of Student's interval, (S,) each, for values (S, N)."""
    return stats.t.interval(
        0.95, values.shape[1] - 1, values.mean(axis=1), stats.sem(values, axis=1)
    )


def percentile_bootstrap(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the limits of the percentile bootstrap, (S,) each, for values (S, N)."""
    rng = np.random.default_rng(1)
    n = values.shape[1]
    means = [row[rng.integers(n, size=(RESAMPLES, n))].mean(axis=1) for row in values]
    low, high = np.percentile(means, [2.5, 97.5], axis=1)
    return low, high


def main() -> None:
    """Print coverage (%) by distribution and number of subjects."""
    print("| distribution | interval |", " | ".join(f"n = {n}" for n in SUBJECTS), "|")
    print("|---|---|" + "---:|" * len(SUBJECTS))
    methods = {"bootstrap": percentile_bootstrap, "Student's t": student, "ours": mean_interval}
    for name, (draw, mean) in DISTRIBUTIONS.items():
        for title, interval in methods.items():
            cells = []
            for n in SUBJECTS:
                studies = BOOTSTRAP_STUDIES if title == "bootstrap" else STUDIES
                low, high = interval(draw(np.random.default_rng(n), (studies, n)))
                cells.append(f"{100 * np.mean((low <= mean) & (mean <= high)):.1f}")
            print(f"| {name} | {title} |", " | ".join(cells), "|")


if __name__ == "__main__":
    main()
