"""Scores of synthetic images."""

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from mrcontrast.api.images import MASK, Image, as_files
from mrcontrast.commands import evaluate as command
from mrcontrast.errors import UsageError
from mrcontrast.evaluation.collection import Collection
from mrcontrast.evaluation.comparison import compare
from mrcontrast.evaluation.pairing import Case
from mrcontrast.evaluation.protocol import (
    USUAL,
    Protocol,
    check_normaliser,
    name_predictions,
    read_features,
)

METHOD = "prediction"  # name of the method of a single image


def evaluate(
    prediction: "Image | Mapping[str, str | PathLike[str]]",
    reference: "Image",
    *,
    mask: "Image | None" = None,
    affine: np.ndarray | None = None,
    normalise_references: str | None = None,
    out: str | PathLike[str] | None = None,
) -> dict[str, Any]:
    """Score synthetic images against real ones; see ``mrcontrast evaluate``.

    Args:
        prediction: A file, a nibabel image or an array; or a folder of files, or a dict of folders
            by method.
        reference: The real image, or the folder of real images.
        mask: Brain mask or folder of masks; None takes those next to the references, else the
            non-zero voxels.
        affine: (4, 4) of arrays; None takes voxels of 1 mm.
        normalise_references: Normaliser of references in scanner units, such as
            "percentile-0.5-99.5"; None for references in [0, 1].
        out: Folder for the tables; None writes none.

    Returns each metric in the brain for images, and the content of summary.json for folders. Raises
    UsageError where options do not fit, MrcontrastError for images that are missing, unreadable or
    on different grids.

    >>> image = np.random.default_rng(0).uniform(0.1, 0.9, (16, 18, 20))
    >>> round(evaluate(image + 0.1, image, mask=np.ones(image.shape))["psnr"], 3)
    20.0
    """
    several = isinstance(prediction, Mapping) or is_folder(prediction) or is_folder(reference)
    with TemporaryDirectory(prefix="mrcontrast-") as folder:
        place = Path(folder if out is None else out)
        if several:
            protocol = Protocol(None, normalise_references, features=read_features())
            if isinstance(prediction, Mapping):
                methods = {name: folder_of(each) for name, each in prediction.items()}
            else:
                methods = name_predictions([str(folder_of(prediction))])
            references = folder_of(reference)
            masks = None if mask is None else folder_of(mask)
            return command.evaluate(methods, references, place, masks, protocol=protocol)
        protocol = Protocol(reference_normaliser=normalise_references, target=USUAL)
        check_normaliser(protocol, prepared=False)
        images: dict[str, Any] = {"prediction": prediction, "reference": reference}
        images |= {} if mask is None else {MASK: mask}
        with as_files(images, affine, np.eye(4)) as files:
            made = {METHOD: files["prediction"]}
            case = Case("image", files["reference"], files.get(MASK), made)
            found = "non-zero voxels of the reference" if mask is None else "given"
            inputs: dict[str, Any] = {"predictions": {METHOD: "an image"}}
            inputs |= {"references": "an image", "masks": found, "splits": None}
            summary = compare(Collection([case], found, {}), inputs, place, protocol)
        scores = summary["methods"][METHOD]["brain"]
        return {name: values["mean"] for name, values in scores.items()}


def folder_of(image: Any) -> Path:  # noqa: ANN401 - any form of an image
    """Return the path of a folder; raise UsageError for anything else."""
    if not is_folder(image):
        found = image if isinstance(image, str | PathLike) else type(image).__name__
        raise UsageError(
            f"Expected folders of predictions, references and masks, or images alone, got {found} "
            "beside a folder. Check the path."
        )
    return Path(image)


def is_folder(image: Any) -> bool:  # noqa: ANN401 - any form of an image
    """Return whether an image is the path of a folder."""
    return isinstance(image, str | PathLike) and Path(image).is_dir()
