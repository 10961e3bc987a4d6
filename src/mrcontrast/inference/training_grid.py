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
    """Return the grid of the data that a run was trained on, and its normalisers by contrast.

    Args:
        folder: A finished run, with ``data_facts`` under "data" in its provenance.
        source: Contrasts that the stage takes.
        factor: What the stage's image axes must be multiples of.

    Raises:
        MrcontrastError: The run does not say.
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
