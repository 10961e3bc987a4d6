import base64
import gzip
import io

import nibabel as nib
import numpy as np
import pytest

from mrcontrast.report.viewer import embed
from mrcontrast.storage.volume import Volume

AFFINE = np.array([[-2.0, 0, 0, 9], [0, 2, 0, -7], [0, 0.5, 3, 1], [0, 0, 0, 1]])


def unpack(text: str) -> nib.Nifti1Image:
    data = gzip.decompress(base64.b64decode(text))
    return nib.Nifti1Image.from_stream(io.BytesIO(data))


@pytest.mark.parametrize(("outlier", "bits"), [(1.9, 8), (40.0, 16)])
def test_every_voxel_comes_back_to_half_a_step(outlier: float, bits: int) -> None:
    image = np.random.default_rng(0).normal(0.5, 0.2, (7, 8, 9)).clip(-0.1, 1.1)
    image[3, 4, 5] = outlier
    embedded = embed(Volume(image.astype(np.float32), AFFINE), width=1.0)
    back = unpack(embedded.text)
    assert embedded.bits == bits == back.get_data_dtype().itemsize * 8
    assert embedded.step == pytest.approx(np.ptp(image) / (2**bits - 1), rel=1e-5)
    assert np.abs(back.get_fdata() - image).max() <= 0.501 * embedded.step
    np.testing.assert_array_equal(back.affine, AFFINE)


def test_the_same_volume_gives_the_same_text_and_its_size() -> None:
    volume = Volume(np.arange(504, dtype=np.float32).reshape(7, 8, 9), AFFINE)
    first = embed(volume, 500.0)
    assert first == embed(volume, 500.0)
    assert first.megabytes == len(first.text) / 1e6


def test_a_constant_volume_comes_back() -> None:
    embedded = embed(Volume(np.full((3, 4, 5), 0.25, np.float32), AFFINE), 1.0)
    np.testing.assert_allclose(unpack(embedded.text).get_fdata(), 0.25, atol=1e-6)


def test_ten_subjects_at_two_millimetres_fit_into_sixty_megabytes() -> None:
    """Six volumes a subject, of noise in the brain, which compresses worst."""
    shape = (91, 109, 91)
    axes = np.meshgrid(*(np.linspace(-1, 1, size) for size in shape), indexing="ij")
    brain = sum((axis / 0.8) ** 2 for axis in axes) < 1
    noise = np.random.default_rng(0).random(shape, np.float32) * brain
    assert 10 * 6 * embed(Volume(noise, AFFINE), 1.0).megabytes < 57
