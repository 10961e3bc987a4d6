import pytest
import torch
from tests.stages.conftest import make_autoencoder, make_batch, make_codec, make_stage
from torch import nn

from mrcontrast.errors import UsageError
from mrcontrast.latent.codec import AutoencoderCodec
from mrcontrast.networks.shared_norms import SharedNorms
from mrcontrast.networks.tiling import CODEC_PASSES, Tiling, fades


@pytest.fixture(scope="module")
def trained():
    """An autoencoder that has learnt blobs for 60 steps, in 2D."""
    autoencoder = make_autoencoder(2)
    image = make_batch((40, 48), size=4)["source"]
    optimizer = torch.optim.Adam(autoencoder.parameters(), 5e-3)
    for _ in range(60):
        loss = (autoencoder.decode(autoencoder.encode(image)[0]) - image).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.1
    codec = AutoencoderCodec(autoencoder, latent_multiple=2)
    codec.std.fill_(1.0)
    return codec


@pytest.mark.parametrize("count", range(1, 40))
@pytest.mark.parametrize("overlap", [0.1, 0.25, 0.5])
def test_windows_cover_every_cell_and_weights_sum_to_one(count, overlap):
    tiling = Tiling(24, overlap, 4)
    spans = tiling.spans(count)
    assert spans[0].start == 0
    assert spans[-1].stop == count
    assert all(span.stop - span.start <= 6 for span in spans)
    total, cores = torch.zeros(3 * count), torch.zeros(count)
    for span, weight in zip(spans, fades(spans, 3), strict=True):
        total[3 * span.start : 3 * span.stop] += weight
        size = span.stop - span.start
        start, stop = (round(edge * size) for edge in (span.core.start, span.core.stop))
        cores[span.start + start : span.start + stop] += 1
    torch.testing.assert_close(total, torch.ones(3 * count))
    assert torch.equal(cores, torch.ones(count))  # each voxel counts once for the norms


def test_convolutions_without_norm_come_out_exact():
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv3d(2, 4, 3, padding=1), nn.SiLU(), nn.ConvTranspose3d(4, 1, 2, stride=2)
    ).double()
    x = torch.randn(2, 2, 11, 30, 23, dtype=torch.float64)
    tiling = Tiling(24, 0.5, 2)  # 12 cells, 6 shared, 1.5 thrown away: the field reaches 1
    assert len(tiling.windows(x.shape[2:])) > 4
    with torch.no_grad():
        torch.testing.assert_close(
            tiling(network, [x], x.shape[2:]), network(x), rtol=0, atol=1e-6
        )  # weights are float32


def test_a_tile_larger_than_the_grid_changes_no_bit():
    codec, image = make_codec(3), make_batch((13, 17, 9))["source"]
    z = codec.encode(image)
    whole = codec.decode(z, image.shape[2:])
    codec.tiling = Tiling(20, 0.25, codec.multiple, CODEC_PASSES)
    assert torch.equal(codec.encode(image), z)
    assert torch.equal(codec.decode(z, image.shape[2:]), whole)


def errors(codec, image, passes):
    codec.tiling = Tiling(None, 0.25, codec.multiple)
    z = codec.encode(image)
    whole = codec.decode(z, image.shape[2:])
    codec.tiling = Tiling(24, 0.34, codec.multiple, passes)
    encoded = (codec.encode(image) - z).abs().mean() / z.std()
    decoded = (codec.decode(z, image.shape[2:]) - whole).abs()
    return float(encoded), float(decoded.mean()), float(decoded.max())


def test_tiles_agree_with_the_whole_once_norms_are_shared(trained):
    image = make_batch((57, 70))["source"]
    alone, shared = errors(trained, image, 0), errors(trained, image, CODEC_PASSES)
    assert alone[1] > 0.01  # of the range: what tiles do without
    assert shared[0] < 0.03
    assert shared[1] < 2e-3
    assert shared[2] < 0.03


def test_shared_statistics_over_cores_are_those_of_the_whole():
    norm = nn.GroupNorm(2, 4).double()
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    x = torch.randn(2, 4, 12, 20, dtype=torch.float64) * 3 + 5
    tiling = Tiling(8, 0.25, 1, passes=1)
    with torch.no_grad():
        torch.testing.assert_close(
            tiling(norm, [x], x.shape[2:], norm), norm(x), rtol=1e-6, atol=1e-6
        )
    assert "forward" not in norm.__dict__


def test_norms_are_put_back_after_an_error():
    norm = nn.GroupNorm(1, 2)
    with pytest.raises(RuntimeError), SharedNorms(norm).installed():
        raise RuntimeError
    assert "forward" not in norm.__dict__


@pytest.mark.parametrize("name", ["latent_diffusion", "controlnet"])
def test_fused_tiles_come_near_the_whole_draw(name):
    stage, batch = make_stage(name, 3).eval(), make_batch((20, 24, 12))
    noise = torch.randn(2, *stage.noise_shape((20, 24, 12)))
    nn.init.normal_(stage.denoiser.out[-1].conv.weight, std=0.1)  # a trained one is not silent
    whole = stage(batch, noise)
    stage.tiling = Tiling(16, 0.5, stage.factor, 2)
    fused = stage(batch, noise)
    assert fused.shape == whole.shape
    assert not torch.equal(fused, whole)
    assert (fused - whole).abs().mean() < 0.02
    assert torch.equal(fused, stage(batch, noise))


@pytest.mark.parametrize(("tile", "overlap"), [(7, 0.25), (16, 0.0), (16, 0.6)])
def test_impossible_tiles_are_refused(tile, overlap):
    with pytest.raises(UsageError, match="Expected"):
        Tiling(tile, overlap, 4)
