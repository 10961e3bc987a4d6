"""All that decides the voxels of training items."""

from collections.abc import Callable, Sequence
from typing import Any

from mrcontrast.data.scanned import scanned_slices
from mrcontrast.data.volume_store import record_key
from mrcontrast.storage.identity import UnidentifiedError, hashed, identity


def fingerprint_of(module: Any) -> dict[str, Any]:  # noqa: ANN401 - a ``ContrastDataModule``
    """Return all that decides the voxels of the training items of a data module, as JSON.

    Raises:
        UnidentifiedError: Something that an augmentation does cannot be known.
    """
    if isinstance(module.augmentation_identity, UnidentifiedError):
        raise module.augmentation_identity
    records = module.manifest.split("train")
    stored = [record_key(record, module.contrasts, module.optional) for record in records]
    dropout = {"optional": list(module.optional), "optional_dropout": module.optional_dropout}
    scanned = [scanned_slices(record) for record in module.manifest.records]
    return {
        "store": hashed(*stored),
        "data": module.manifest.data_hash,
        **({"scanned_slices": scanned} if module.context_slices and any(scanned) else {}),
        "split": module.manifest.split_hash,
        "source": list(module.source),
        "target": module.target,
        **(dropout if module.optional else {}),
        "spatial_dims": module.spatial_dims,
        "context_slices": module.context_slices,
        "min_brain_fraction": module.items.min_brain_fraction,
        "patch_size": None if module.items.patch_size is None else list(module.items.patch_size),
        "augmentation": module.augmentation_identity,
    }


def identity_or_error(transforms: Sequence[Callable]) -> str | UnidentifiedError:
    """Return the hash of transforms that nothing has used yet, or why they have none."""
    try:
        return identity(list(transforms))
    except UnidentifiedError as error:
        return error
