"""Do drawn volumes look like heads? Middle slices of sets of volumes, one set a row."""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from mrcontrast.storage.volume import read_volume

COLUMNS = 8


def main() -> None:
    """Write a picture of the first volumes of each folder: axial and sagittal in turn."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="+", help="NAME=FOLDER of *_T1w.nii.gz")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    figure, axes = plt.subplots(
        len(args.folders), COLUMNS, figsize=(1.6 * COLUMNS, 1.7 * len(args.folders)), squeeze=False
    )
    for row, folder in zip(axes, args.folders, strict=True):
        name, _, path = folder.partition("=")
        for column, (axis, file) in enumerate(zip(row, volumes(Path(path)), strict=False)):
            axis.imshow(middle(file, column % 2 == 0), cmap="gray", vmin=0, vmax=1)
        for axis in row:
            axis.set(xticks=[], yticks=[])
        row[0].set_ylabel(name)
    figure.tight_layout()
    figure.savefig(args.out, dpi=70)


def volumes(folder: Path) -> list[Path]:
    """Return the first volumes below a folder, by path."""
    return sorted(folder.rglob("*_T1w.nii.gz"))[:COLUMNS]


def middle(file: Path, axial: bool) -> np.ndarray:
    """Return the middle axial slice, else the middle sagittal one, upright."""
    image = read_volume(file).data
    return np.rot90(image[:, :, image.shape[2] // 2] if axial else image[image.shape[0] // 2])


if __name__ == "__main__":
    main()
