from pathlib import Path

import numpy as np
import pytest

from mrcontrast.evaluation.statistics import Row
from mrcontrast.report.agreement import (
    Agreement,
    IntensityAgreement,
    Pair,
    scored_agreements,
)
from mrcontrast.report.evaluation import Evaluation
from mrcontrast.report.sessions import Images
from mrcontrast.storage.volume import Volume


def test_bias_and_limits_by_hand() -> None:
    """Differences 1, 2, 3, 4, 5: mean 3, standard deviation sqrt(2.5)."""
    pairs = [Pair(str(i), 10.0 * i, 10.0 * i + i) for i in range(1, 6)]
    found = Agreement("q", "m", pairs)
    assert found.bias == 3
    assert found.limits == pytest.approx((3 - 1.96 * 2.5**0.5, 3 + 1.96 * 2.5**0.5))
    assert Agreement("q", "m", pairs[:4]).limits is None


def test_means_of_brain_and_tissues_and_one_value_a_subject() -> None:
    labels = np.zeros((4, 5, 6))
    labels[:2], labels[2] = 1, 3
    real = np.where(labels == 1, 0.2, np.where(labels == 3, 0.8, 0)).astype(np.float32)
    gathered = IntensityAgreement()
    for shift in (0.1, 0.3):  # two sessions of one person
        synthetic = {"ours": Volume((real + np.float32(shift)), np.eye(4))}
        images = Images(Volume(real, np.eye(4)), labels > 0, synthetic, {}, None, labels)
        gathered.add("sub-1", images)
    found = {item.quantity: item.pairs for item in gathered.results()}
    assert set(found) == {f"mean intensity, {r}" for r in ("brain", "CSF", "WM")}
    for region, value in (("brain", 0.4), ("CSF", 0.2), ("WM", 0.8)):
        (pair,) = found[f"mean intensity, {region}"]
        assert (pair.real, pair.synthetic) == pytest.approx((value, value + 0.2), abs=1e-6)


def test_columns_of_real_and_synthetic_values_are_compared() -> None:
    rows = [
        Row(f"sub-{i}", f"sub-{i}", "ours", region, 9, 0, 1, values)
        for i in (1, 2)
        for region, values in (
            ("brain", {"gm_ml_real": 10.0 * i, "gm_ml_synthetic": 11.0 * i, "psnr": 20.0}),
            ("image", {"psnr": 30.0, "alone_real": 1.0}),
        )
    ]
    (found,) = scored_agreements(Evaluation(Path(), {"methods": {"ours": {}}}, rows))
    assert found.quantity == "GM volume (ml), brain"
    assert found.pairs == [Pair("sub-1", 10, 11), Pair("sub-2", 20, 22)]
