"""All that decides the voxels of training items."""

from typing import Any

from mrcontrast.data.volume_store import record_key
from mrcontrast.storage.identity import UnidentifiedError, hashed


def fingerprint_of(module: Any) -> dict[str, Any]:  # noqa: ANN401 - a ``ContrastDataModule``
    """Return all that decides the voxels of training items, or raise UnidentifiedError."""
    if isinstance(module.augmentation_identity, UnidentifiedError):
        raise module.augmentation_identity
    records = module.manifest.split("train")
    stored = [record_key(record, module.contrasts, module.optional) for record in records]
    dropout = {"optional": list(module.optional), "optional_dropout": module.optional_dropout}
    scanned = [record.scanned_slices for record in module.manifest.records]
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
