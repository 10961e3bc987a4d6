"""Convert to and from SimpleITK, whose world axes are LPS."""

import importlib
import importlib.util
from types import ModuleType
from typing import Any

import numpy as np

from mrcontrast.errors import MrcontrastError, UsageError
from mrcontrast.storage.volume import Volume

LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
SHEAR_TOLERANCE = 1e-3

Image = Any  # SimpleITK.Image, of an optional package
Transform = Any  # SimpleITK.Transform


def load_extra(name: str) -> ModuleType:
    """Import a module of the extra ``prep``; raise MrcontrastError if it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MrcontrastError(
            f"Expected the package {name} for this operator, got none. "
            'Run pip install "mrcontrast[prep]".'
        ) from error


def check_extra(name: str, user: str) -> None:
    """Raise UsageError if a package of the extra ``prep`` is not installed, before any work."""
    if importlib.util.find_spec(name) is None:
        raise UsageError(
            f'Expected the package {name} for {user}, got none. Run pip install "mrcontrast[prep]".'
        )


def load_itk() -> ModuleType:
    """Import SimpleITK with one thread, since its sums depend on the number of threads."""
    itk = load_extra("SimpleITK")
    itk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    return itk


def is_sheared(affine: np.ndarray) -> bool:
    """Return whether the axes of an affine (4, 4) are not at right angles, as ITK requires."""
    axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    return bool(np.abs(axes.T @ axes - np.eye(3)).max() > SHEAR_TOLERANCE)


def to_image(volume: Volume) -> Image:
    """Return a volume as a float32 SimpleITK image; MrcontrastError for a sheared affine."""
    if is_sheared(volume.affine):
        raise MrcontrastError(
            "Expected axes at right angles, got a sheared affine. Resample the volume first."
        )
    image = load_itk().GetImageFromArray(np.asarray(volume.data, np.float32).T)
    left, _, right = np.linalg.svd(LPS[:3, :3] @ volume.affine[:3, :3] / volume.spacing_mm)
    image.SetDirection((left @ right).ravel().tolist())
    image.SetSpacing(volume.spacing_mm)
    image.SetOrigin((LPS @ volume.affine)[:3, 3].tolist())
    return image


def to_array(image: Image) -> np.ndarray:
    """Return the voxels of a SimpleITK image, (X, Y, Z), float32."""
    return np.ascontiguousarray(load_itk().GetArrayFromImage(image).T, np.float32)


def matrix_of(transform: Transform) -> np.ndarray:
    """Return a linear SimpleITK transform as (4, 4) between RAS points in mm."""
    origin = np.array(transform.TransformPoint((0.0, 0.0, 0.0)))
    columns = [np.array(transform.TransformPoint(tuple(axis))) - origin for axis in np.eye(3)]
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = np.stack(columns, axis=1), origin
    return LPS @ matrix @ LPS


def to_transform(matrix: np.ndarray) -> Transform:
    """Return (4, 4) between RAS points in mm as a linear SimpleITK transform."""
    affine, moved = load_itk().AffineTransform(3), LPS @ matrix @ LPS
    affine.SetMatrix(moved[:3, :3].ravel().tolist())
    affine.SetTranslation(moved[:3, 3].tolist())
    return affine
