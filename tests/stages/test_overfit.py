"""Each stage drives its loss down on one batch, in 2D and in 3D."""

import pytest
import torch
from tests.stages.conftest import make_stage

# (steps, share of the first loss that may be left)
GOALS = {
    "autoencoder": (60, 0.35),
    "latent_diffusion": (80, 0.7),
    "controlnet": (160, 0.7),
    "unet_regression": (60, 0.35),
    "pix2pix": (60, 0.35),
    "concat_diffusion": (80, 0.75),
    "latent_bridge": (80, 0.75),
    "residual_diffusion": (80, 0.75),
}


@pytest.mark.parametrize("name", GOALS)
def test_one_batch_is_learnt(name, dims, batch):
    stage = make_stage(name, dims)
    steps, share = GOALS[name]
    parameters = [value for value in stage.parameters() if value.requires_grad]
    optimizer = torch.optim.Adam(parameters, lr=5e-3)
    losses = []
    for step in range(steps):
        torch.manual_seed(step % 4)
        loss = stage.loss(batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-4:]) < share * sum(losses[:4])


@pytest.mark.parametrize("name", GOALS)
def test_forward_returns_an_image_in_range(name, dims, batch):
    stage = make_stage(name, dims).eval()
    image = stage(batch)
    assert image.shape == batch["target"].shape
    assert image.min() >= 0
    assert image.max() <= 1


def test_given_noise_decides_the_draw(dims, batch):
    stage = make_stage("controlnet", dims).eval()
    shape = stage.noise_shape(batch["source"].shape[2:])
    one, other = torch.randn(2, 2, *shape)
    assert torch.equal(stage(batch, one), stage(batch, one))
    assert not torch.equal(stage(batch, one), stage(batch, other))


def test_a_batch_mate_does_not_change_a_draw(dims, batch):
    stage = make_stage("controlnet", dims).eval()
    noise = torch.randn(2, *stage.noise_shape(batch["source"].shape[2:]))
    alone = {key: value[:1] for key, value in batch.items()}
    torch.testing.assert_close(stage(batch, noise)[:1], stage(alone, noise[:1]), rtol=0, atol=1e-5)
