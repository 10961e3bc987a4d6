from collections.abc import Callable

import numpy as np
import pytest

from mrcontrast.errors import MrcontrastError
from mrcontrast.metrics.diversity import choose_pairs, mean_ms_ssim
from mrcontrast.metrics.multiscale import ms_ssim

MakePair = Callable[..., tuple[np.ndarray, np.ndarray]]

SHAPE = (24, 26, 23)


def test_mean_over_pairs(make_pair: MakePair) -> None:
    first, second = make_pair(SHAPE)
    third = first[::-1].copy()
    pairs = [(first, second), (first, third), (second, third)]
    expected = np.mean([ms_ssim(a, b, 1.0) for a, b in pairs])
    assert mean_ms_ssim([first, second, third], 1.0) == pytest.approx(expected)


def test_copies_have_no_diversity(make_pair: MakePair) -> None:
    image, _ = make_pair(SHAPE)
    assert mean_ms_ssim([image, image, image], 1.0) == pytest.approx(1)
    with pytest.raises(MrcontrastError, match="at least two images"):
        mean_ms_ssim([image], 1.0)


def test_many_subjects_are_sampled() -> None:
    names = [f"sub-{index}" for index in range(40)]
    chosen = choose_pairs(names, most=25)
    assert len(set(chosen)) == 25
    assert len({name for pair in chosen for name in pair}) > 20
    assert len(choose_pairs(names[:5], most=25)) == 10
