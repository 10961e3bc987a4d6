"""What others compute on the same phantoms: scikit-image in 3D, torchmetrics' MS-SSIM."""

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from tests.metrics.conftest import ms_ssim
from torchmetrics.functional.image import multiscale_structural_similarity_index_measure

from mrcontrast.metrics.multiscale import count_scales, scale_weights
from mrcontrast.metrics.structural import ssim
from mrcontrast.metrics.voxelwise import peak_signal_to_noise
from mrcontrast.phantom import PhantomSubject

Pair = tuple[np.ndarray, np.ndarray]


@pytest.fixture(scope="module")
def volumes(phantoms: list[PhantomSubject]) -> Pair:
    """The T1w of one phantom, and a blend of it with another: both have brain and background."""
    first, second = (s.images["t1w"].data.astype(float) for s in phantoms)
    x, y, z = np.minimum(first.shape, second.shape)
    target = first[:x, :y, :z] / first.max()
    return 0.8 * target + 0.2 * second[:x, :y, :z] / second.max(), target


@pytest.mark.parametrize("plane", [None, 30], ids=["3d", "2d"])
def test_psnr_and_ssim_agree_with_scikit_image(volumes: Pair, plane: int | None) -> None:
    prediction, target = volumes if plane is None else (v[..., plane] for v in volumes)
    psnr = peak_signal_noise_ratio(target, prediction, data_range=1.0)
    assert peak_signal_to_noise(prediction, target, 1.0) == pytest.approx(psnr, abs=1e-5)
    expected = structural_similarity(
        target,
        prediction,
        data_range=1.0,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
    )
    assert ssim(prediction, target, 1.0) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("plane", [None, 30], ids=["3d", "2d"])
def test_ms_ssim_agrees_with_torchmetrics(volumes: Pair, plane: int | None) -> None:
    """In 3D on a piece: the reference's dense kernel takes its time."""
    box = (slice(14, 40), slice(10, 36), slice(20, 44))
    prediction, target = (v[box] if plane is None else v[..., plane] for v in volumes)
    weights = scale_weights(count_scales(target.shape))
    expected = multiscale_structural_similarity_index_measure(
        torch.from_numpy(prediction.copy())[None, None],
        torch.from_numpy(target.copy())[None, None],
        data_range=1.0,
        betas=weights,
    )
    assert len(weights) > 1
    assert ms_ssim(prediction, target, 1.0) == pytest.approx(expected.item(), abs=1e-5)
