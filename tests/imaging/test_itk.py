import importlib

import numpy as np
import pytest
from experiments.preparation.motions import rigid_matrix

from mrcontrast.errors import MrcontrastError
from mrcontrast.imaging import itk
from mrcontrast.storage.volume import Volume

SHAPE = (5, 7, 9)


def oblique() -> Volume:
    affine = rigid_matrix((10, -20, 30), (5, 6, 7), (0, 0, 0)) @ np.diag([-0.7, 0.7, 3.0, 1])
    return Volume(np.random.default_rng(0).random(SHAPE).astype(np.float32), affine)


def test_voxels_and_places_survive() -> None:
    pytest.importorskip("SimpleITK")
    volume = oblique()
    image = itk.to_image(volume)
    np.testing.assert_array_equal(itk.to_array(image), volume.data)
    place = image.TransformIndexToPhysicalPoint((4, 2, 8))
    np.testing.assert_allclose(
        itk.LPS[:3, :3] @ place, (volume.affine @ [4, 2, 8, 1])[:3], atol=1e-4
    )


def test_a_transform_becomes_a_matrix() -> None:
    sitk = pytest.importorskip("SimpleITK")
    transform = sitk.Euler3DTransform((1.0, 2.0, 3.0), 0.1, -0.2, 0.3, (4.0, 5.0, 6.0))
    matrix = itk.matrix_of(transform)
    there = transform.TransformPoint((7.0, 8.0, 9.0))
    np.testing.assert_allclose(matrix @ [-7, -8, 9, 1], [-there[0], -there[1], there[2], 1])
    np.testing.assert_allclose(itk.matrix_of(itk.to_transform(matrix)), matrix, atol=1e-12)


def test_a_sheared_grid_is_refused() -> None:
    volume = oblique()
    shear = np.eye(4)
    shear[0, 1] = 0.2
    assert itk.is_sheared(shear)
    assert not itk.is_sheared(volume.affine)
    with pytest.raises(MrcontrastError, match="right angles"):
        itk.to_image(Volume(volume.data, shear))


def test_the_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", refuse)
    with pytest.raises(MrcontrastError, match=r'pip install "mrcontrast\[prep\]"'):
        itk.load_itk()
