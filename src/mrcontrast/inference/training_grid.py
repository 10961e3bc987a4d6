"""The grid and the normalisers of the data that a run was trained on."""

from collections.abc import Sequence

from mrcontrast.errors import MrcontrastError
from mrcontrast.runs.folder import RunFolder
from mrcontrast.transforms.grid import ModelGrid
from mrcontrast.transforms.normalise import Normaliser
from mrcontrast.transforms.standardise import normaliser_from_name


def trained_on(
    folder: RunFolder, source: Sequence[str], factor: int
) -> tuple[ModelGrid, dict[str, Normaliser]]:
    """Return the grid of a run's training data, and its normalisers by contrast.

    Axes become multiples of ``factor``. Raises MrcontrastError if provenance does not say.
    """
    try:
        facts = folder.provenance["data"]
        settings = {name: facts[f"normaliser_{name}"] for name in source}
        grid = ModelGrid(facts["spacing_mm"], tuple(facts["shape"]), factor)
        return grid, {
            name: normaliser_from_name(node["name"], node["clip"])
            for name, node in settings.items()
        }
    except (KeyError, TypeError) as error:
        missing = error if isinstance(error, KeyError) else "data"
        raise MrcontrastError(
            f"Expected grid and normaliser of the training data, got no {missing} "
            f"({folder.provenance_path}). Train the run again."
        ) from error
