"""What is measured, what is required, and the trail of what has changed."""

from pathlib import Path

import numpy as np
import pytest

from mrcontrast.errors import UsageError
from mrcontrast.preparation.bids import BidsPairs
from mrcontrast.preparation.dataset import prepare_dataset
from mrcontrast.preparation.operators import MeasureGeometry, MeasureQuality, Require
from mrcontrast.preparation.subject import RefusedError, Subject
from mrcontrast.storage.volume import Volume
from preparation_files import AFFINE, brain, raw_volume, recipe_of


def subject_with(**measures: float) -> Subject:
    volume = raw_volume(0, 100)
    return Subject({"flair": volume, "t1w": volume}, brain(), measures=dict(measures))


@pytest.mark.parametrize(
    ("bounds", "threshold"),
    [({"least": 5}, ">= 5"), ({"most": 3}, "<= 3"), ({"least": 5, "most": 9}, ">= 5")],
)
def test_a_measure_outside_its_bounds_refuses(bounds: dict, threshold: str) -> None:
    with pytest.raises(RefusedError, match=f"flair_snr {threshold}") as caught:
        Require("flair_snr", **bounds)(subject_with(flair_snr=4.0))
    assert (caught.value.measure, caught.value.value) == ("flair_snr", 4.0)
    assert caught.value.threshold == threshold


def test_nan_is_outside_every_bound() -> None:
    with pytest.raises(RefusedError):
        Require("x", least=0)(subject_with(x=float("nan")))


def test_inside_the_bounds_nothing_happens() -> None:
    subject = subject_with(x=4.0)
    assert Require("x", least=4, most=4)(subject) is subject


def test_faults_of_the_recipe() -> None:
    with pytest.raises(UsageError, match="Give least or most"):
        Require("x")
    with pytest.raises(UsageError, match="among brain_ml, got lesion_ml"):
        Require("lesion_ml", least=1)(subject_with(brain_ml=1.0))


def test_geometry_by_hand() -> None:
    affine = np.diag([1.0, 2.0, 5.0, 1.0])
    subject = Subject({"flair": Volume(np.ones((100, 60, 30)), affine), "t1w": raw_volume(0, 1)})
    measures = MeasureGeometry()(subject).measures
    assert measures["flair_spacing_min_mm"] == 1
    assert measures["flair_spacing_max_mm"] == 5
    assert measures["flair_fov_min_mm"] == 100
    assert measures["t1w_fov_min_mm"] == 60


def test_quality_is_measured_where_each_contrast_lies() -> None:
    flair = raw_volume(0, 100)
    t1w = Volume(
        flair.data[2:], AFFINE @ np.array([[1, 0, 0, 2], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    )
    measures = MeasureQuality()(Subject({"flair": flair, "t1w": t1w}, brain())).measures
    assert measures["t1w_snr"] == pytest.approx(measures["flair_snr"], rel=0.05)
    assert measures["flair_mask_ml"] == pytest.approx(brain().sum() * 0.027, rel=1e-3)


def test_the_trail_tells_before_and_after(tmp_path: Path, bids: Path) -> None:
    out = tmp_path / "out"
    prepare_dataset(recipe_of(BidsPairs(str(bids))), out, "x\n", 1, lambda line: None)
    lines = (out / "measures.tsv").read_text().splitlines()
    rows = [dict(zip(lines[0].split("\t"), line.split("\t"), strict=True)) for line in lines[1:]]
    found = {(row["item"], row["operator"], row["measure"]): row for row in rows}
    assert found["sub-01", "FilePair", "flair_orientation"]["after"] == "LAS"
    assert found["sub-01", "ToGrid", "flair_orientation"]["before"] == "LAS"
    assert found["sub-01", "ToGrid", "flair_spacing_mm"]["after"] == "4x4x4"
    assert float(found["sub-01", "Normalise", "t1w_max"]["before"]) > 100
    assert found["sub-01", "Normalise", "t1w_max"]["after"] == "1"
    assert ("sub-01", "BrainMask", "flair_max") not in found, "only what changes is told"
    assert found["sub-02", "MeasureVolumes", "brain_ml"]["before"] == "n/a"
    assert {row["item"] for row in rows} == {"sub-01", "sub-02", "sub-03"}
