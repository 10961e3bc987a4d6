"""Print how far tags of the T1w tell the mean levels of its tissues, by a quadratic regression.

python -m experiments.tags.ceiling outputs/study/tags/data
"""

import argparse
from pathlib import Path

import numpy as np

from mrcontrast.data.manifest import Manifest
from mrcontrast.storage.volume import read_volume

TISSUES = {"CSF": 1, "GM": 2, "WM": 3}
TAGS = ("field_strength_t", "t1w_tr_ms", "t1w_ti_ms", "t1w_flip_deg")
FOLDS = 10


def terms(values: np.ndarray) -> np.ndarray:
    """Return constant, linear and quadratic terms (N, M) of values (N, K)."""
    scaled = (values - values.mean(0)) / values.std(0)
    rows, columns = np.triu_indices(values.shape[1])
    return np.column_stack([np.ones(len(values)), scaled, scaled[:, rows] * scaled[:, columns]])


def main() -> None:
    """Run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    levels, tags, shares = [], [], []
    for record in Manifest.read(parser.parse_args().data).records:
        image, labels = (read_volume(p).data for p in (record.images["t1w"], record.labels))
        inside = [labels == label for label in TISSUES.values()]
        levels.append([image[voxels].mean() for voxels in inside])
        shares.append([voxels.sum() / (labels > 0).sum() for voxels in inside])
        tags.append([record.known[name] for name in TAGS])
    known, wanted, share = terms(np.array(tags)), np.array(levels), np.mean(shares, axis=0)
    order, left = np.random.default_rng(0).permutation(len(wanted)), np.zeros_like(wanted)
    for fold in range(FOLDS):
        tested = order[fold::FOLDS]
        trained = np.setdiff1d(order, tested)
        fit = np.linalg.lstsq(known[trained], wanted[trained], rcond=None)[0]
        left[tested] = wanted[tested] - known[tested] @ fit
    print(f"n = {len(wanted)}; standard deviation of the mean level between subjects")
    for column, name in enumerate(TISSUES):
        print(f"{name}: {wanted[:, column].std():.4f}, {left[:, column].std():.4f} given the tags")
    gain = share @ (wanted.var(0) - left.var(0))
    print(f"squared error that the tags save: {gain:.5f}")
    for psnr in (20.0, 22.0, 24.0):
        error = 10 ** (-psnr / 10)
        none, wrong = (10 * np.log10((error + n * gain) / error) for n in (1, 2))
        print(f"at {psnr:g} dB: {none:.2f} dB against no tags, {wrong:.2f} against wrong ones")


if __name__ == "__main__":
    main()
