"""Fixtures that the whole suite shares: a tiny prepared data set, made of smooth blobs."""

import json
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ["MRCONTRAST_TRUST"] = "toy,torch.nn"  # of the toys' run folders

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import ndimage

from mrcontrast.data.contrasts import ending_of
from mrcontrast.data.manifest import Manifest
from mrcontrast.data.record import Record
from mrcontrast.phantom import PhantomConfig, PhantomSubject, make_subject
from mrcontrast.storage.files import sha256_file, write_text
from mrcontrast.storage.volume import Volume, write_labels, write_volume

torch.set_num_threads(1)

SHAPE = (32, 40, 24)  # never cubic
SPACING_MM = 5.0
SPLITS = ("train", "train", "train", "val", "test", "test")
PAIR = ("flair", "t1w")
LESION_CENTRE = (19, 24, 13)


@pytest.fixture(scope="session")
def prepared_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a prepared data set of six subjects; treat it as read-only."""
    return make_prepared(tmp_path_factory.mktemp("prepared"), SPLITS)


@pytest.fixture(scope="session")
def tiny_records(prepared_root: Path) -> list[Record]:
    """Records of `prepared_root`: three to train, one to validate, two to test."""
    return Manifest.read(prepared_root).records


@pytest.fixture
def make_root(tmp_path: Path) -> Callable[..., Path]:
    """Return a function of splits that makes a prepared data set of a test's own."""
    return lambda *splits: make_prepared(tmp_path / "prepared", splits)


@pytest.fixture(scope="session")
def phantoms() -> list[PhantomSubject]:
    """Two phantoms at 3 mm with known tissues and lesions; treat them as read-only."""
    config = PhantomConfig(spacing_mm=3.0, anatomy_spacing_mm=1.5)
    return [make_subject(seed, config) for seed in (1, 2)]


@pytest.fixture(scope="session")
def three_contrasts_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a prepared data set of FLAIR, T1w and T2w; treat it as read-only."""
    root = tmp_path_factory.mktemp("three")
    return make_prepared(root, SPLITS, ("flair", "t1w", "t2w"))


def make_prepared(root: Path, splits: tuple[str, ...], contrasts: tuple[str, ...] = PAIR) -> Path:
    records = [make_record(root, number, side, contrasts) for number, side in enumerate(splits, 1)]
    Manifest(records, root).write()
    description = {"Name": "blobs", "BIDSVersion": "1.10.0", "DatasetType": "derivative"}
    write_text(root / "dataset_description.json", json.dumps(description))
    write_text(root / "dropped.tsv", "subject\toperator\treason\n")
    write_text(root / "recipe.yaml", "recipe: blobs\n")
    return root


def make_record(root: Path, index: int, split: str, contrasts: tuple[str, ...] = PAIR) -> Record:
    subject = f"sub-{index:02d}"
    stem = root / subject / "anat" / subject
    images = make_images(seed=index)
    affine = np.diag([SPACING_MM] * 3 + [1.0])
    affine[:3, 3] = -SPACING_MM * (np.array(SHAPE) - 1) / 2
    paths = {}
    for column in contrasts:
        paths[column] = Path(f"{stem}_{ending_of(column)}.nii.gz")
        write_volume(paths[column], Volume(images[column], affine))
    masks = {"brain_mask": "desc-brain_mask", "lesion_mask": "label-lesion_mask", "labels": "dseg"}
    for column, suffix in masks.items():
        paths[column] = Path(f"{stem}_{suffix}.nii.gz")
        write_labels(paths[column], images[column], affine)
    hashes = {name: sha256_file(paths[name]) for name in contrasts}
    normaliser = {"name": "percentile-0-99.5", "low": 0.0, "high": 100.0, "clip": True}
    return Record(
        subject=subject,
        session=None,
        split=split,
        site="blobs",
        images={name: paths.pop(name) for name in contrasts},
        **paths,
        sha256=hashes,
        shape=SHAPE,
        spacing_mm=SPACING_MM,
        normalisers=dict.fromkeys(contrasts, normaliser),
        tags={"field_strength_t": 3.0},
        measures={"brain_ml": float(images["brain_mask"].sum()) * SPACING_MM**3 / 1000},
    )


def make_images(seed: int) -> dict[str, np.ndarray]:
    """Make an ellipsoid brain of smooth tissue classes; all arrays are (32, 40, 24)."""
    rng = np.random.default_rng(seed)
    axes = np.meshgrid(*(np.linspace(-1, 1, size) for size in SHAPE), indexing="ij")
    radii = rng.uniform(0.78, 0.88, size=3)
    brain = sum((axis / radius) ** 2 for axis, radius in zip(axes, radii, strict=True)) < 1
    field = ndimage.gaussian_filter(rng.standard_normal(SHAPE), 3)
    field = (field - field[brain].min()) / np.ptp(field[brain])
    labels = np.where(brain, 1 + (field > 0.4) + (field > 0.6), 0).astype(np.uint8)
    places = np.indices(SHAPE) - np.array(LESION_CENTRE).reshape(3, 1, 1, 1)
    lesion = brain & ((places**2).sum(axis=0) <= 5)
    labels[lesion] = 4
    flair = np.choose(labels, [0, 0.15, 0.7, 0.55, 0.95]) * (0.9 + 0.1 * field)
    t1w = np.choose(labels, [0, 0.2, 0.55, 0.9, 0.5]) * (0.9 + 0.1 * field)
    t2w = np.choose(labels, [0, 0.95, 0.6, 0.4, 0.9]) * (0.9 + 0.1 * field)
    images = {"flair": flair, "t1w": t1w, "t2w": t2w}
    blurred = {key: ndimage.gaussian_filter(image, 0.6) * brain for key, image in images.items()}
    smooth = {key: image.astype(np.float32).clip(0, 1) for key, image in blurred.items()}
    return smooth | {"brain_mask": brain, "lesion_mask": lesion, "labels": labels}
