"""Volumes made by a formula, and the files around them, for the fixtures of earlier versions.

The formula adds, multiplies and divides only, which every machine rounds alike, and the files are
not compressed: the bytes, and so the hashes in a manifest, are the same everywhere.
"""

import csv
import hashlib
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from unittest import mock

import nibabel
import numpy as np

from mrcontrast.cli import main

NATIVE_SHAPE = (44, 50, 40)
NATIVE_AFFINE = np.array([[-3.8, 0, 0, 82], [0, 3.8, 0, -93], [0, 0, 3.8, -74], [0, 0, 0, 1]])
PACKAGED_GRIDS = {"small": ((32, 38, 22), 1.9), "fine": ((64, 76, 8), 0.95)}
BRAIN = 0.8  # squared radius
VOXELS = 64
DIGITS = 8
VOLUMES = ("flair", "t1w", "brain_mask", "lesion_mask", "labels")


def images(shape: tuple[int, ...], seed: int) -> dict[str, np.ndarray]:
    """Return an ellipsoid brain of three tissues in blocks, with a lesion, in about [0, 1]."""
    i, j, k = np.indices(shape)
    u, v, w = ((2 * at - (n - 1)) / n for at, n in zip((i, j, k), shape, strict=True))
    radius = u * u + v * v + w * w
    brain = radius < BRAIN
    blocks = (3 * (i // 4) + 5 * (j // 3) + 7 * (k // 4) + 2 * seed + (i // 8) * (j // 8)) % 3
    labels = np.where(brain, 1 + blocks, 0)
    lesion = brain & (abs(i - shape[0] // 3) <= 2) & (abs(j - shape[1] // 3) <= 1 + seed % 3)
    lesion &= abs(k - shape[2] // 2) <= 2
    labels[lesion] = 4
    shading = 1 - radius / 4 + (2 * i + (1 + seed % 4) * j) / 1024
    found = {
        "flair": np.array([0, 0.15, 0.7, 0.5, 0.9])[labels] * shading,
        "t1w": np.array([0, 0.2, 0.55, 0.85, 0.45])[labels] * shading,
    }
    masks = {"brain_mask": brain, "lesion_mask": lesion, "labels": labels}
    return {key: value.astype(np.float32) for key, value in found.items()} | {
        key: value.astype(np.uint8) for key, value in masks.items()
    }


def write(path: Path, data: np.ndarray, affine: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nibabel.Nifti1Image(data, affine)
    image.header.set_xyzt_units("mm")
    nibabel.save(image, path)


def write_native(folder: Path) -> None:
    """Write FLAIR, T1w and brain mask on grids that are no model's own.

    ``native_*`` is a whole head at 3.8 mm with its first axis reversed, ``other_*`` another one,
    ``small_*`` a small one at 1.9 mm for the packaged models of 2 mm, ``fine_*`` a slab at 0.95 mm
    for that of 1 mm.
    """
    grids = {"native": (NATIVE_SHAPE, NATIVE_AFFINE, 3), "other": (NATIVE_SHAPE, NATIVE_AFFINE, 4)}
    for name, (shape, step) in PACKAGED_GRIDS.items():
        grids[name] = (shape, np.diag([step, step, step, 1.0]), 3)
    for name, (shape, affine, seed) in grids.items():
        found = images(shape, seed)
        write(folder / f"{name}_FLAIR.nii", 700 * found["flair"], affine)
        write(folder / f"{name}_T1w.nii", 300 * found["t1w"], affine)
        write(folder / f"{name}_mask.nii", found["brain_mask"], affine)


def write_bids(root: Path) -> None:
    """Write a BIDS tree of four good pairs, two of one subject, and one of two grids."""
    affine = np.diag([4.0, 4.0, 4.0, 1.0])
    sessions = ["sub-01/ses-1", "sub-01/ses-2", "sub-02/ses-1", "sub-03/ses-1", "sub-04/ses-1"]
    for seed, session in enumerate(sessions):
        stem = session.replace("/", "_")
        found = images((36, 44, 34), seed)
        shape = (36, 44, 30) if session.startswith("sub-04") else (36, 44, 34)
        anat = root / session / "anat"
        write(anat / f"{stem}_FLAIR.nii", 900 * found["flair"], affine)
        write(anat / f"{stem}_T1w.nii", 400 * images(shape, seed)["t1w"], affine)
        write(anat / f"{stem}_desc-brain_mask.nii", found["brain_mask"], affine)
        write(anat / f"{stem}_label-lesion_mask.nii", found["lesion_mask"], affine)
    rows = ["participant_id\tage\tsex\tsite"]
    rows += [f"sub-0{n}\t{30 + n}\t{'FM'[n % 2]}\tsite{n % 2}" for n in range(1, 5)]
    (root / "participants.tsv").write_text("\n".join(rows) + "\n")
    (root / "dataset_description.json").write_text('{"Name": "blocks", "BIDSVersion": "1.9.0"}')


def refill(prepared: Path, target: Path) -> Path:
    """Copy a prepared data set without its volumes and put volumes of the formula there.

    Only the endings and the hashes of the volumes change in its manifest.
    """
    shutil.copytree(prepared, target)
    manifest = target / "manifest.tsv"
    with manifest.open(newline="") as file:
        table = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        columns, rows = list(table.fieldnames or ()), list(table)
    for seed, row in enumerate(rows):
        shape = tuple(map(int, row["shape"].split("x")))
        step = float(row["spacing_mm"])
        affine = np.diag([step, step, step, 1.0])
        affine[:3, 3] = [-step * (n - 1) / 2 for n in shape]
        for column in VOLUMES:
            if row[column] != "n/a":
                row[column] = row[column].removesuffix(".gz")
                write(target / row[column], images(shape, seed)[column], affine)
        for column in ("flair", "t1w"):
            data = (target / row[column]).read_bytes()
            row[f"sha256_{column}"] = hashlib.sha256(data).hexdigest()
    lines = ["\t".join(columns), *("\t".join(row[column] for column in columns) for row in rows)]
    manifest.write_text("\n".join(lines) + "\n")
    return target


def summary(path: Path) -> dict:
    """Return the shape, mean, standard deviation and 64 voxels of the brain of a volume."""
    data = np.asarray(nibabel.load(path).dataobj, np.float64)
    brain = np.flatnonzero(images(data.shape, seed=0)["brain_mask"])
    chosen = brain[np.linspace(0, len(brain) - 1, VOXELS).astype(int)]
    inside = data.ravel()[brain]
    return {
        "shape": list(data.shape),
        "mean": round(inside.mean(), DIGITS),
        "std": round(inside.std(), DIGITS),
        "voxels": np.round(data.ravel()[chosen], DIGITS).tolist(),
    }


def run(*words: str) -> None:
    """Run a command of `mrcontrast`, which must succeed."""
    with mock.patch.object(sys, "argv", ["mrcontrast", *words]):
        assert main(list(words)) == 0, " ".join(words)


def translate(
    model: str, native: Path, volume: str, options: Sequence[str], out: Path
) -> list[Path]:
    """Translate a volume of `write_native`; return the image, and its spread if there is one."""
    name = "_".join([*Path(model).parts[-2:], volume, *options])
    target = out / f"{name}_desc-synth_T1w.nii"
    mask = native / f"{volume.partition('_')[0]}_mask.nii"
    words = ["--model", model, "--mask", str(mask), "--device", "cpu", "--seed", "7", *options]
    if not target.is_file():
        run("translate", str(native / f"{volume}.nii"), str(target), *words)
    spread = sorted(set(out.glob(f"{name}_desc*.nii*")) - {target})
    return [target, *spread]
