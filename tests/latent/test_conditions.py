"""Conditions at the latent's size: folded pixels, anchors, and what caches know them by."""

import pytest
import torch
from tests.stages.conftest import SHAPES, make_batch, make_codec, make_regressor

from mrcontrast.errors import UsageError
from mrcontrast.latent.cache import PRECISION
from mrcontrast.latent.conditions import (
    FlairAnchor,
    FoldedCondition,
    LatentCondition,
    PixelCondition,
    RegressedPixels,
    RegressionAnchor,
    fold,
)


@pytest.mark.parametrize("shape", [(6, 4), (4, 6, 2)])
def test_folding_keeps_each_voxel_at_its_cell(shape):
    image = torch.rand(2, 3, *shape)
    folded = fold(image, 2)
    assert folded.shape == (2, 3 * 2 ** len(shape), *(size // 2 for size in shape))
    cell = (slice(None), 1, *(slice(2 * at, 2 * at + 2) for at in (1, 0, 0)[: len(shape)]))
    channels = slice(2 ** len(shape), 2 * 2 ** len(shape))
    at = (slice(None), channels, *(1, 0, 0)[: len(shape)])
    assert torch.equal(folded[at], image[cell].flatten(1))


@pytest.mark.parametrize("dims", [2, 3])
def test_folded_pixels_are_padded_and_centred(dims):
    codec = make_codec(dims)
    flair = torch.ones(2, 1, *(size - 1 for size in SHAPES[dims]))
    condition = FoldedCondition(2**dims)
    condition.check(codec, context_slices=0)
    value = condition({"source": flair}, codec)
    assert value.shape == (2, 2**dims, *codec.latent_shape(flair.shape[2:])[1:])
    assert value.max() == 1
    assert value.min() == -1  # the padding
    assert (value == 1).sum() == flair.numel()


def test_a_slab_is_anchored_at_its_middle():
    codec, slab = make_codec(2), torch.rand(2, 3, 20, 24)
    condition = FlairAnchor(3 + 3 * 4)
    condition.check(codec, context_slices=1)
    value = condition({"source": slab}, codec)
    torch.testing.assert_close(condition.anchor(value, codec), codec.encode(slab[:, 1:2]))
    assert torch.equal(value[:, 3:], fold(2 * slab - 1, 2))
    assert torch.equal(condition({"anchor": value}, codec), value)


@pytest.mark.parametrize("dims", [2, 3])
def test_a_regressions_image_is_the_anchor(dims):
    codec, regressor = make_codec(dims), make_regressor(dims)
    flair = make_batch(SHAPES[dims])["source"]
    condition = RegressionAnchor(regressor, 3 + 2**dims)
    condition.check(codec, context_slices=0)
    expected = codec.encode(regressor(flair).clamp(0, 1))
    value = condition({"source": flair}, codec)
    torch.testing.assert_close(condition.anchor(value, codec), expected)
    assert not any(weight.requires_grad for weight in condition.parameters())
    assert not condition.train().regressor.training


@pytest.mark.parametrize(
    ("condition", "expected"), [(FoldedCondition(3), "4"), (FlairAnchor(6), "7")]
)
def test_wrong_channels_are_refused(condition, expected):
    with pytest.raises(UsageError, match=f"Expected an embedder of {expected} channels"):
        condition.check(make_codec(2), context_slices=0)


@pytest.mark.parametrize("condition", [LatentCondition(3), FlairAnchor(7)])
def test_flair_goes_through_no_autoencoder_that_has_seen_none(condition):
    codec = make_codec(2)
    codec.contrasts = ["target"]
    with pytest.raises(UsageError, match=r"stage\.contrasts=\[t1w,flair\]"):
        condition.check(codec, context_slices=0)
    codec.contrasts = ["t1w", "flair"]
    condition.check(codec, context_slices=0)
    FoldedCondition(4).check(codec, context_slices=0)


@pytest.mark.parametrize("dims", [2, 3])
def test_a_regression_stands_beside_the_pixels_it_was_made_of(dims):
    codec, regressor = make_codec(dims), make_regressor(dims)
    condition = RegressedPixels(regressor, 2, [4, 8])
    condition.check(codec, context_slices=0)
    flair = make_batch(SHAPES[dims])["source"]
    value = condition.compute({"source": flair}, codec)
    assert torch.equal(value[:, :1], flair)
    assert torch.equal(value[:, 1:], regressor.image(flair))
    assert torch.equal(condition({"regressed": value}, codec), condition({"source": flair}, codec))
    assert not any(weight.requires_grad for weight in condition.parameters())
    with pytest.raises(UsageError, match="Expected an embedder of 2 channels"):
        RegressedPixels(regressor, 1, [4, 8]).check(codec, context_slices=0)


@pytest.mark.parametrize("dims", [2, 3])
def test_the_autoencoder_blurs_only_what_a_draw_changes_in_the_regression(dims):
    codec, regressor = make_codec(dims), make_regressor(dims)
    flair = make_batch(SHAPES[dims])["source"]
    regressed = regressor.image(flair)
    batch = RegressedPixels(regressor, 2, [4, 8]).prepare({"source": flair}, codec)
    assert torch.equal(batch["guess"], codec.encode(regressed))
    unchanged = codec.decode(batch["guess"], flair.shape[2:])
    assert not torch.allclose(unchanged, regressed, atol=1e-3)
    assert torch.allclose(unchanged + batch["lost"], regressed, atol=1e-5)
    blurred = RegressedPixels(regressor, 2, [4, 8], keep_detail=False)
    assert "lost" not in blurred.prepare({"source": flair}, codec)


def test_what_is_prepared_is_not_computed_again():
    codec, flair = make_codec(2), make_batch(SHAPES[2])["source"]
    for kind in (FoldedCondition(4), RegressedPixels(make_regressor(2), 2, [4, 8])):
        once = kind.prepare({"source": flair}, codec)
        twice = kind.prepare(once, codec)
        assert once.keys() == twice.keys()
        assert all(twice[key] is value for key, value in once.items())


def test_a_cache_can_hold_what_each_condition_computes():
    kinds = (FlairAnchor, FoldedCondition, LatentCondition, RegressedPixels, RegressionAnchor)
    assert {kind.key for kind in (*kinds, PixelCondition)} <= set(PRECISION)
