"""Who follows FLAIR: a noisy truth does; a constant, a mean brain and a copy of FLAIR do not."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mrcontrast.commands.evaluate import evaluate
from mrcontrast.data.manifest import Manifest
from mrcontrast.data.record import Record
from mrcontrast.evaluation.anatomy import Anatomy
from mrcontrast.evaluation.check_sheets import check_sheets
from mrcontrast.evaluation.condition import Swap, check_condition, compare_swap
from mrcontrast.storage.volume import Volume, read_mask, read_volume, write_volume

Make = Callable[[Record], np.ndarray]


def noise() -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.1, (32, 40, 24)).astype(np.float32)


METHODS: dict[str, Make] = {
    "ours": lambda record: read_volume(record.images["t1w"]).data + noise(),
    "constant": lambda _: np.full((32, 40, 24), 0.5, np.float32),
    "flair": lambda record: read_volume(record.images["flair"]).data,
    "dim_flair": lambda record: (
        0.7 * np.sqrt(read_volume(record.images["flair"]).data) + np.float32(0.1)
    ),
    "mean_brain": lambda _: noise(),
}


def write_swapped(folder: Path, records: list[Record], make: Make, shift: int) -> Path:
    """Write the image of each subject, or of the next one, in the brain that it was made in."""
    for index, record in enumerate(records):
        giver = records[(index + shift) % len(records)]
        real = read_volume(giver.images["t1w"])
        image = make(giver) * read_mask(giver.brain_mask, real)
        write_volume(folder / f"{record.name}_T1w.nii.gz", Volume(image, real.affine))
    return folder


@pytest.mark.parametrize("subjects", [4, 6])
def test_only_a_translation_follows_flair(
    make_root: Callable[..., Path], tmp_path: Path, subjects: int
) -> None:
    root = make_root(*["test"] * subjects)
    records = Manifest.read(root).records
    folders = {
        name + suffix: write_swapped(tmp_path / (name + suffix), records, make, shift)
        for name, make in METHODS.items()
        for suffix, shift in (("", 0), ("_shuffled", 1))
    }
    check = evaluate(folders, root, tmp_path / "out")["checks"]["shuffled_source"]
    verdicts = {name: found["follows_source"] for name, found in check["methods"].items()}
    assert verdicts == {name: None if subjects < 5 else name == "ours" for name in METHODS}
    assert check["untested"] == []
    constant = check["methods"]["constant"]["change"]
    assert [constant[name]["mean"] for name in ("psnr", "mae", "correlation")] == [0, 0, 0]
    assert 0.6 < check["methods"]["constant"]["share"]["mean"] < 1
    words = ["unknown"] * 5 if subjects < 5 else ["yes", "NO", "NO", "NO", "NO"]
    sheet = next(s for s in check_sheets({"checks": {"shuffled_source": check}}))
    assert [row[1] for row in sheet.rows] == words


def test_voxels_outside_either_brain_do_not_count() -> None:
    rng = np.random.default_rng(0)
    real, own, other = rng.random((3, 12, 14, 10))
    brain, other_brain = np.zeros((2, 12, 14, 10), bool)
    brain[1:9, 1:-1, 1:-1] = other_brain[4:11, 1:-1, 1:-1] = True
    anatomy = Anatomy(real, brain, (1.0, 1.0, 1.0), 2)
    anatomy.__dict__["tissues"] = np.where(brain, 2, 0)  # all of it grey matter
    before = compare_swap(own, other, other_brain, anatomy, 1.0)
    for image in (own, other):
        image[:4], image[9:] = 7.0, -3.0
    after = compare_swap(own, other, other_brain, anatomy, 1.0)
    assert before == after
    assert before is not None
    assert before.share == pytest.approx(5 / 8)
    assert before.own["psnr"] == pytest.approx(
        -10 * np.log10(((own - real)[4:9, 1:-1, 1:-1] ** 2).mean())
    )
    assert compare_swap(own, other, np.zeros_like(brain), anatomy, 1.0) is None


def test_a_small_gain_of_all_subjects_is_no_verdict_of_following() -> None:
    """Bias fields that both scans share correlate a little, and in every subject."""

    def swaps(gain: float) -> dict[str, Swap]:
        other = {"psnr": 12.0, "mae": 0.2, "correlation": 0.1}
        own = other | {"correlation": 0.1 + gain}
        return {f"sub-{n}_ses-{s}": Swap(own, other, 0.9) for n in range(5) for s in (1, 2)}

    found = check_condition({"a": swaps(0.05), "b": swaps(0.3)}, ["a", "a_shuffled", "b", "c"])
    assert [found["methods"][name]["follows_source"] for name in "ab"] == [False, True]
    assert found["methods"]["a"]["change"]["correlation"]["n"] == 5
    assert found["untested"] == ["c"]
