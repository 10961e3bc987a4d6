"""Dice of the tissue segmenter against the labels of phantoms.

python experiments/metrics/segmenter.py
"""

import numpy as np

from mrcontrast.imaging.tissue_classes import TISSUES, segment_tissues
from mrcontrast.metrics.overlap import dice, volume_change_percent
from mrcontrast.phantom import PhantomConfig, make_subject

SUBJECTS, LESION = 10, 4


def main() -> None:
    print("| grid | tissue | Dice, mean | Dice, least | volume, mean error (%) |")
    print("|---|---|---:|---:|---:|")
    for spacing_mm in (1.0, 2.0, 3.0):
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in TISSUES}
        for seed in range(SUBJECTS):
            subject = make_subject(seed, PhantomConfig(spacing_mm=spacing_mm))
            labels = segment_tissues(
                subject.images["t1w"].data, subject.brain_mask, (spacing_mm,) * 3
            )
            healthy = subject.labels != LESION
            for name, value in TISSUES.items():
                ours, truth = (labels == value) & healthy, subject.labels == value
                change = volume_change_percent(float(ours.sum()), float(truth.sum()))
                found[name].append((dice(ours, truth), change))
        for name, figures in found.items():
            scores, changes = np.array(figures).T
            cells = f"{scores.mean():.3f} | {scores.min():.3f} | {changes.mean():+.1f}"
            print(f"| {spacing_mm:g} mm | {name.upper()} | {cells} |")


if __name__ == "__main__":
    main()
