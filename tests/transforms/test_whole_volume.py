import numpy as np
import pytest

from mrcontrast.errors import MrcontrastError
from mrcontrast.transforms.standardise import normaliser_from_name
from mrcontrast.transforms.whole_volume import VolumeMinMaxNormaliser


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
