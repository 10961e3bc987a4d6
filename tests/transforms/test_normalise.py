import json

import numpy as np
import pytest

from mrcontrast.errors import MrcontrastError, UsageError
from mrcontrast.transforms.normalise import (
    FittedNormaliser,
    MinMaxNormaliser,
    PercentileNormaliser,
    VolumeMinMaxNormaliser,
)
from mrcontrast.transforms.standardise import normaliser_from_name

SHAPE = (5, 6, 7)


def make_data() -> tuple[np.ndarray, np.ndarray]:
    data = np.random.default_rng(0).uniform(50, 900, SHAPE).astype(np.float32)
    mask = np.zeros(SHAPE, bool)
    mask[1:4, 1:5, 1:6] = True
    data[~mask] = -1e4  # must not count
    return data, mask


def test_percentiles_known_by_hand() -> None:
    data = np.arange(101, dtype=np.float32).reshape(1, 1, 101)
    fitted = PercentileNormaliser(lower=10, upper=90).fit(data, np.ones_like(data, bool))
    assert (fitted.low, fitted.high) == (10, 90)
    np.testing.assert_allclose(fitted.apply(np.array([0, 10, 50, 90, 100])), [0, 0, 0.5, 1, 1])


def test_only_the_brain_counts() -> None:
    data, mask = make_data()
    fitted = MinMaxNormaliser().fit(data, mask)
    assert fitted.low == data[mask].min()
    assert fitted.high == data[mask].max()


@pytest.mark.parametrize("clip", [True, False])
def test_inverse_is_identity_where_nothing_is_clipped(clip: bool) -> None:
    data, mask = make_data()
    fitted = PercentileNormaliser(0, 100, clip=clip).fit(data, mask)
    again = fitted.invert(fitted.apply(data))
    kept = mask if clip else np.ones_like(mask)
    np.testing.assert_allclose(again[kept], data[kept], rtol=1e-5, atol=1e-2)


def test_range_and_type() -> None:
    data, mask = make_data()
    scaled = PercentileNormaliser(1, 99).fit(data, mask).apply(data)
    assert scaled.dtype == np.float32
    assert scaled.min() == 0
    assert scaled.max() == 1
    loose = PercentileNormaliser(1, 99, clip=False).fit(data, mask).apply(data)
    assert loose[mask].max() > 1


def test_dict_survives_json() -> None:
    data, mask = make_data()
    fitted = PercentileNormaliser().fit(data, mask)
    assert FittedNormaliser(**json.loads(json.dumps(fitted.to_dict()))) == fitted


def test_name_rebuilds_the_normaliser() -> None:
    normaliser = PercentileNormaliser(0.5, 99.5)
    assert PercentileNormaliser.from_name(normaliser.name) == normaliser
    with pytest.raises(MrcontrastError, match="zscore"):
        PercentileNormaliser.from_name("zscore")


def test_faults() -> None:
    data, mask = make_data()
    with pytest.raises(MrcontrastError, match="empty"):
        PercentileNormaliser().fit(data, np.zeros_like(mask))
    with pytest.raises(MrcontrastError, match="vary"):
        PercentileNormaliser().fit(np.ones_like(data), mask)
    with pytest.raises(UsageError, match="lower < upper"):
        PercentileNormaliser(99, 1)


def test_the_whole_volume_counts() -> None:
    data = np.arange(24.0).reshape(2, 3, 4)
    mask = np.zeros(data.shape, bool)
    mask[0, 1, 1:3] = True
    fitted = VolumeMinMaxNormaliser().fit(data, mask)
    assert (fitted.low, fitted.high) == (0, 23)
    np.testing.assert_allclose(fitted.invert(fitted.apply(data)), data, atol=1e-5)


def test_the_name_says_all() -> None:
    name = VolumeMinMaxNormaliser(clip=False).name
    assert normaliser_from_name(name, False) == VolumeMinMaxNormaliser(clip=False)
    with pytest.raises(MrcontrastError, match="volume-0-100"):
        VolumeMinMaxNormaliser.from_name("volume-1-99")


def test_a_flat_volume_is_refused() -> None:
    with pytest.raises(MrcontrastError, match="that vary"):
        VolumeMinMaxNormaliser().fit(np.ones((2, 2, 2)), np.ones((2, 2, 2), bool))
