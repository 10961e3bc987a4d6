"""Images from Python: files, nibabel images and arrays, all read as files."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from tempfile import TemporaryDirectory

import nibabel as nib
import numpy as np
from nibabel.spatialimages import SpatialImage

from mrcontrast.errors import MrcontrastError, UsageError
from mrcontrast.storage.nifti import open_nifti
from mrcontrast.storage.volume import Volume, write_volume

Image = str | PathLike[str] | SpatialImage | np.ndarray
MASK = "brain mask"


@contextmanager
def as_files(
    images: Mapping[str, Image], affine: np.ndarray | None, usual: np.ndarray | None = None
) -> Iterator[dict[str, Path]]:
    """Store images in memory as temporary NIfTI files, so that all forms are read alike.

    Args:
        images: By name, for messages.
        affine: (4, 4) of arrays; None takes that of the first image that has one.
        usual: Affine where no image has one; None raises UsageError then.
    """
    with TemporaryDirectory(prefix="mrcontrast-") as folder:
        if affine is None:
            known = (affine_of(image) for image in images.values())
            affine = next((each for each in known if each is not None), usual)
        files = {}
        for number, (name, image) in enumerate(images.items()):
            files[name] = as_file(image, Path(folder) / f"image{number}.nii", name, affine)
        try:
            yield dict(files)
        except MrcontrastError as error:
            text = str(error)
            for name, path in files.items():
                text = text.replace(str(path), name) if path.parent == Path(folder) else text
            raise type(error)(text) from error


def affine_of(image: Image) -> np.ndarray | None:
    """Return the affine of an image; None for an array."""
    if isinstance(image, str | PathLike):
        image = open_nifti(Path(image))
    return image.affine if isinstance(image, SpatialImage) else None


def as_file(image: Image, path: Path, name: str, affine: np.ndarray | None) -> Path:
    """Return the file of an image; one in memory is written to ``path`` first."""
    if isinstance(image, str | PathLike):
        return Path(image)
    if isinstance(image, SpatialImage):
        like = image if isinstance(image, nib.Nifti1Image) else None
        data = image.get_fdata(dtype=np.float32, caching="unchanged")
        write_volume(path, Volume(data, image.affine), like)
        return path
    if affine is None or np.shape(affine) != (4, 4):
        got = "none" if affine is None else f"one of shape {np.shape(affine)}"
        raise UsageError(
            f"Expected an affine (4, 4) for an array, got {got} ({name}). Add affine=, or give a "
            "file or a nibabel image."
        )
    write_volume(path, Volume(np.asarray(image, np.float32), np.asarray(affine, float)))
    return path


def as_volume(image: nib.Nifti1Image) -> Volume:
    """Return an image in memory as a volume."""
    return Volume(np.asarray(image.dataobj), image.affine)
