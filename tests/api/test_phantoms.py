"""Phantoms in Python are those of the recipe."""

import numpy as np
import pytest

import mrcontrast
from mrcontrast.errors import UsageError
from mrcontrast.phantom import PhantomConfig, make_subject


def test_a_phantom_is_that_of_its_seed() -> None:
    phantom = mrcontrast.make_phantom(2, ["t1w", "pd"], spacing_mm=4.0)
    subject = make_subject(2, PhantomConfig(4.0, 2.0), ["t1w", "pd"])
    assert list(phantom.images) == ["t1w", "pd"]
    for name, image in phantom.images.items():
        assert np.array_equal(image.get_fdata(), subject.images[name].data)
        assert np.array_equal(image.affine, subject.images[name].affine)
    assert np.array_equal(phantom.labels.get_fdata() == 4, subject.lesion_mask)
    assert np.array_equal(phantom.lesion_mask.get_fdata() > 0, subject.lesion_mask)
    assert np.array_equal(phantom.brain_mask.get_fdata() > 0, subject.brain_mask)


def test_what_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(UsageError, match="seed >= 0"):
        mrcontrast.make_phantom(-1)
    with pytest.raises(UsageError, match="cest"):
        mrcontrast.make_phantom(0, ["cest"], spacing_mm=12.0)
