"""Signals at their placements: folded pixels, anchors, regressions, and the keys of caches."""

import pytest
import torch
from tests.stages.conftest import (
    SHAPES,
    folded,
    latents,
    make_batch,
    make_codec,
    make_regressor,
    regressed,
    regression_anchor,
    source_anchor,
)

from mrcontrast.errors import UsageError
from mrcontrast.latent.conditions import AtLatentSize, Condition, fold
from mrcontrast.latent.signals import (
    Latent,
    Pixels,
    Regression,
    RegressionAnchor,
    SourceAnchor,
)
from mrcontrast.latent.stored_caches import PRECISION


def attached(condition, codec, source=("flair",), context_slices=0):
    condition.attach(codec, source, context_slices)
    return condition


def value_of(condition, source, codec):
    return condition(condition.compute({"source": source}, codec), codec)


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
    source = torch.ones(2, 1, *(size - 1 for size in SHAPES[dims]))
    condition = attached(folded(), codec)
    value = value_of(condition, source, codec)
    assert value.shape == (2, 2**dims, *codec.latent_shape(source.shape[2:])[1:])
    assert condition.channels(codec) == 2**dims
    assert value.max() == 1
    assert value.min() == -1  # the padding
    assert (value == 1).sum() == source.numel()


def test_a_slab_of_two_sources_is_anchored_at_the_middle_of_the_first():
    codec, slab = make_codec(2), torch.rand(2, 6, 20, 24)
    condition = attached(source_anchor(), codec, ("flair", "t2w"), 1)
    batch = condition.compute({"source": slab}, codec)
    torch.testing.assert_close(batch["anchor"], codec.encode(slab[:, 1:2]))
    value = condition(batch, codec)
    assert torch.equal(value[:, :3], batch["anchor"])
    assert torch.equal(value[:, 3:], fold(2 * slab - 1, 2))
    assert value.shape[1] == condition.channels(codec) == 3 + 6 * 4


@pytest.mark.parametrize("dims", [2, 3])
def test_a_regressions_image_is_the_anchor(dims):
    codec, regressor = make_codec(dims), make_regressor(dims)
    source = make_batch(SHAPES[dims])["source"]
    condition = attached(regression_anchor(regressor), codec)
    image = regressor(source).clamp(0, 1)
    batch = condition.prepare({"source": source}, codec)
    torch.testing.assert_close(batch["anchor"], codec.encode(image))
    decoded = codec.decode(batch["anchor"], source.shape[2:])
    torch.testing.assert_close(decoded + batch["lost"], image)
    assert not any(weight.requires_grad for weight in condition.parameters())
    assert not condition.train().regressor.training
    assert all(name.startswith("regressor.network.") for name in condition.state_dict())


@pytest.mark.parametrize("condition", [latents(), source_anchor()])
def test_a_source_goes_through_no_autoencoder_that_is_not_trained_on_it(condition):
    codec = make_codec(2)
    codec.contrasts = ["t1w"]
    with pytest.raises(UsageError, match=r"stage\.contrasts=\[t1w,flair\]"):
        attached(condition, codec)
    codec.contrasts = ["t1w", "flair"]
    attached(condition, codec)
    attached(folded(), codec)


@pytest.mark.parametrize("dims", [2, 3])
def test_a_regression_follows_the_pixels_of_its_source(dims):
    codec, regressor = make_codec(dims), make_regressor(dims)
    condition = attached(regressed(regressor), codec)
    source = make_batch(SHAPES[dims])["source"]
    value = value_of(condition, source, codec)
    images = [source, regressor.image_of({"source": source})]
    torch.testing.assert_close(value, 2 * torch.cat(images, dim=1) - 1)
    assert condition.channels(codec) == value.shape[1] == 2
    assert not any(weight.requires_grad for weight in condition.parameters())


def test_two_regressions_are_refused():
    signals = {"anchor": RegressionAnchor(make_regressor(2)), "two": Regression(make_regressor(2))}
    with pytest.raises(UsageError, match="at most one signal of a regression, got 2"):
        Condition(signals, AtLatentSize())


@pytest.mark.parametrize("dims", [2, 3])
def test_only_the_changes_of_a_sample_lose_detail(dims):
    codec, regressor = make_codec(dims), make_regressor(dims)
    source = make_batch(SHAPES[dims])["source"]
    image = regressor.image_of({"source": source})
    batch = regressed(regressor).prepare({"source": source}, codec)
    assert torch.equal(batch["guess"], codec.encode(image))
    unchanged = codec.decode(batch["guess"], source.shape[2:])
    assert not torch.allclose(unchanged, image, atol=1e-3)
    assert torch.allclose(unchanged + batch["lost"], image, atol=1e-5)
    assert "lost" not in regressed(regressor, keep_detail=False).prepare({"source": source}, codec)


def test_what_is_prepared_is_not_computed_again():
    codec, source = make_codec(2), make_batch(SHAPES[2])["source"]
    for condition in (folded(), regressed(make_regressor(2)), regression_anchor(make_regressor(2))):
        once = condition.prepare({"source": source}, codec)
        twice = condition.prepare(once, codec)
        assert once.keys() == twice.keys()
        assert all(twice[key] is value for key, value in once.items())


def test_a_cache_can_hold_each_signal():
    kinds = (Latent, Pixels, Regression, RegressionAnchor, SourceAnchor)
    assert {kind.key for kind in kinds} <= set(PRECISION)
