"""What a trained model must know of its data to meet a new volume."""

from collections.abc import Sequence
from typing import Any

from mrcontrast.data.manifest import Manifest
from mrcontrast.errors import MrcontrastError


def data_facts(
    manifest: Manifest, source: Sequence[str], target: str, optional: Sequence[str] = ()
) -> dict[str, Any]:
    """Return contrasts, grid and normalisers of a data set, for ``provenance.json`` under "data".

    Returns:
        "source" (list of names), "optional" (likewise, where there are any), "target",
        "spacing_mm" (float), "shape" (x, y, z voxels), and for each contrast the settings "name"
        and "clip" under "normaliser_<contrast>", without values of one subject.

    Raises:
        MrcontrastError: Subjects were normalised in different ways.
    """
    first = manifest.records[0]
    return {
        "source": list(source),
        **({"optional": list(optional)} if optional else {}),
        "target": target,
        "spacing_mm": float(first.spacing_mm),
        "shape": [int(size) for size in first.shape],
        **{f"normaliser_{name}": _shared_settings(manifest, name) for name in manifest.contrasts},
    }


def _shared_settings(manifest: Manifest, contrast: str) -> dict[str, Any]:
    """Return the settings of a normaliser that all records share."""
    records = [record for record in manifest.records if contrast in record.images]
    fitted = [record.normalisers[contrast] for record in records]
    settings = [{"name": values["name"], "clip": values["clip"]} for values in fitted]
    for record, found in zip(records, settings, strict=True):
        if found != settings[0]:
            raise MrcontrastError(
                f"Expected one normaliser_{contrast} for all subjects, got {settings[0]} and "
                f"{found} ({record.name}). Prepare the data set again."
            )
    return settings[0]
