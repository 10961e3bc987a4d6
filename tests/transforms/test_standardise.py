import json

import numpy as np
import pytest

from mrcontrast.errors import MrcontrastError, UsageError
from mrcontrast.phantom import PhantomSubject
from mrcontrast.transforms.normalise import FittedNormaliser, PercentileNormaliser
from mrcontrast.transforms.standardise import (
    WhiteStripeNormaliser,
    ZScoreNormaliser,
    find_mode,
    normaliser_from_name,
)

SHAPE = (5, 6, 7)
WM = 3


def make_data() -> tuple[np.ndarray, np.ndarray]:
    data = np.random.default_rng(0).uniform(50, 900, SHAPE).astype(np.float32)
    mask = np.zeros(SHAPE, bool)
    mask[1:4, 1:5, 1:6] = True
    data[~mask] = -1e4  # must not count
    return data, mask


def two_tissues() -> np.ndarray:
    """Grey matter: more voxels, at 400; white matter: brighter, at 800."""
    rng = np.random.default_rng(1)
    return np.concatenate([rng.normal(400, 40, 40_000), rng.normal(800, 40, 20_000)])


def test_zscore_known_by_hand() -> None:
    data = np.array([1.0, 3.0, 99.0]).reshape(1, 1, 3)
    fitted = ZScoreNormaliser().fit(data, np.array([1, 1, 0]).reshape(1, 1, 3))
    np.testing.assert_allclose(fitted.apply(data).ravel(), [-1, 1, 97])
    wide = ZScoreNormaliser(below_sd=3, above_sd=3).fit(data, np.ones_like(data, bool))
    assert wide.apply(np.array([data.mean()])) == pytest.approx(0.5)


def test_zscore_of_the_mask_alone() -> None:
    data, mask = make_data()
    scaled = ZScoreNormaliser().fit(data, mask).apply(data)
    assert scaled[mask].mean() == pytest.approx(0, abs=1e-5)
    assert scaled[mask].std() == pytest.approx(1, rel=1e-5)


@pytest.mark.parametrize(("peak", "mode"), [("last", 800), ("largest", 400)])
def test_the_mode_is_found(peak: str, mode: float) -> None:
    assert find_mode(two_tissues(), peak) == pytest.approx(mode, abs=12)


def test_the_stripe_becomes_mean_0_and_sd_1() -> None:
    values = two_tissues().reshape(30, 40, 50)
    fitted = WhiteStripeNormaliser("last", width=0.05).fit(values, np.ones(values.shape, bool))
    ranks = np.quantile(values, [5 / 6 - 0.05, 5 / 6 + 0.05])
    stripe = values[(values >= ranks[0]) & (values <= ranks[1])]
    scaled = fitted.apply(stripe)
    assert scaled.mean() == pytest.approx(0, abs=0.25)
    assert scaled.std() == pytest.approx(1, abs=0.15)


def test_white_matter_of_a_phantom_lands_at_zero_whatever_the_gain(
    phantoms: list[PhantomSubject],
) -> None:
    for subject in phantoms:
        data, mask = subject.images["t1w"].data, subject.brain_mask
        fitted = WhiteStripeNormaliser("last").fit(data, mask)
        white = fitted.apply(data)[subject.labels == WM]
        grey = fitted.apply(data)[subject.labels == WM - 1]
        assert abs(np.median(white)) < 0.25 * abs(np.median(white) - np.median(grey))
        again = WhiteStripeNormaliser("last").fit(7 * data, mask)
        np.testing.assert_allclose(again.apply(7 * data), fitted.apply(data), atol=1e-3)


@pytest.mark.parametrize("normaliser", [ZScoreNormaliser(), WhiteStripeNormaliser("largest")])
def test_inverse_and_storage(normaliser: ZScoreNormaliser | WhiteStripeNormaliser) -> None:
    data, mask = make_data()
    fitted = normaliser.fit(data, mask)
    again = FittedNormaliser(**json.loads(json.dumps(fitted.to_dict())))
    np.testing.assert_allclose(again.invert(again.apply(data)), data, rtol=1e-4, atol=0.5)
    assert normaliser_from_name(fitted.name, clip=False) == normaliser


def test_percentiles_by_name_too() -> None:
    assert normaliser_from_name("percentile-1-99", clip=True) == PercentileNormaliser(1, 99)
    with pytest.raises(MrcontrastError, match='got "median"'):
        normaliser_from_name("median", clip=True)


def test_faults() -> None:
    data, mask = make_data()
    for normaliser in (ZScoreNormaliser(), WhiteStripeNormaliser()):
        with pytest.raises(MrcontrastError, match="empty"):
            normaliser.fit(data, np.zeros(SHAPE, bool))
        with pytest.raises(MrcontrastError, match="intensities that vary"):
            normaliser.fit(np.ones(SHAPE), mask)
        with pytest.raises(MrcontrastError, match="Prepare the data set again"):
            type(normaliser).from_name("percentile-0-99.5")
    with pytest.raises(UsageError, match="below_sd"):
        ZScoreNormaliser(0, 0)
    with pytest.raises(UsageError, match="peak"):
        WhiteStripeNormaliser("first")
