"""What a trained model must know of its data to meet a new volume."""

from typing import Any

from mrcontrast.data.manifest import Manifest
from mrcontrast.errors import MrcontrastError


def data_facts(manifest: Manifest) -> dict[str, Any]:
    """Return grid and normalisers of a prepared data set, for ``provenance.json`` under "data".

    Returns:
        "spacing_mm" (float), "shape" (x, y, z voxels), and the settings "name" and "clip" under
        "normaliser_flair" and "normaliser_t1w"; what was fitted to each subject is left out.

    Raises:
        MrcontrastError: Subjects were normalised in different ways.
    """
    first = manifest.records[0]
    return {
        "spacing_mm": float(first.spacing_mm),
        "shape": [int(size) for size in first.shape],
        "normaliser_flair": _shared_settings(manifest, "normaliser_flair"),
        "normaliser_t1w": _shared_settings(manifest, "normaliser_t1w"),
    }


def _shared_settings(manifest: Manifest, column: str) -> dict[str, Any]:
    """Return the settings of a normaliser that all records share."""
    fitted = [getattr(record, column) for record in manifest.records]
    settings = [{"name": values["name"], "clip": values["clip"]} for values in fitted]
    for record, found in zip(manifest.records, settings, strict=True):
        if found != settings[0]:
            raise MrcontrastError(
                f"Expected one {column} for all subjects, got {settings[0]} and {found} "
                f"({record.name}). Prepare the data set again."
            )
    return settings[0]
