"""In which cuts do single draws of slices look unlike real images?"""

import argparse
from pathlib import Path

import numpy as np

from mrcontrast.data.manifest import Manifest, Record
from mrcontrast.evaluation.feature_scores import FeatureScorer
from mrcontrast.evaluation.protocol import read_features
from mrcontrast.metrics.feature_distances import kernel_distance
from mrcontrast.storage.volume import read_volume

CUTS = ("all", "sagittal", "coronal", "axial")


def main() -> None:
    """Print the KID of methods to the real images, over all cuts and in each, in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="+", help="of predictions, below that of the study")
    parser.add_argument("--study", type=Path, default=Path("outputs/study/release_2d"))
    parser.add_argument("--split", default="test", help="train, val or test (%(default)s)")
    args = parser.parse_args()
    records = Manifest.read(args.study / "data").split(args.split)
    node = read_features("efficientnet_lite0")
    assert node is not None
    scorer = FeatureScorer(node)
    real = np.stack([vectors(scorer, record.images["t1w"], record) for record in records])
    print(f"| method | {' | '.join(CUTS)} |\n|---|---:|---:|---:|---:|")
    for name in args.folders:
        folder = args.study / name
        drawn = np.stack(
            [vectors(scorer, folder / f"{r.name}_desc-synth_T1w.nii.gz", r) for r in records]
        )
        pairs = [(real, drawn), *((real[:, cut], drawn[:, cut]) for cut in range(3))]
        scores = " | ".join(f"{kid(*pair):.3f}" for pair in pairs)
        print(f"| {folder.name} | {scores} |", flush=True)


def vectors(scorer: FeatureScorer, path: Path, record: Record) -> np.ndarray:
    """Return the feature vectors of an image by cut, (3, slices, dim)."""
    brain = read_volume(record.brain_mask).data > 0
    found = scorer.vectors(scorer.view(read_volume(path).data, brain, (0.0, 1.0)))
    return found.reshape(3, len(found) // 3, -1)


def kid(real: np.ndarray, drawn: np.ndarray) -> float:
    """Return the KID of two sets of vectors (subjects, ..., dim)."""
    first, second = (each.reshape(-1, each.shape[-1]) for each in (real, drawn))
    return kernel_distance(first, second)


if __name__ == "__main__":
    main()
