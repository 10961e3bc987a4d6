"""Prepared data sets: manifest, splits, items, caches."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from monai.data import Dataset


def as_monai(
    root: str | Path, split: str, transform: Callable[[dict[str, Any]], Any] | None = None
) -> "Dataset":
    """Return one split of a prepared data set as a MONAI dataset, one dictionary a session.

    Dictionaries have the paths of all images by contrast, those of "brain_mask", "lesion_mask" and
    "labels" where the session has them, "subject", "session" ("" for none) and "tags".

    Args:
        root: Folder that ``mrcontrast prepare`` has written.
        split: "train", "val" or "test"; MrcontrastError for another one.
        transform: Applied to each dictionary, such as MONAI's ``LoadImaged(["flair", "t1w"])``.
    """
    from monai.data import Dataset

    from mrcontrast.data.manifest import Manifest

    items = []
    for record in Manifest.read(root).split(split):
        facts = {"subject": record.subject, "session": record.session or "", "tags": record.tags}
        items.append({name: str(path) for name, path in record.files.items()} | facts)
    return Dataset(items, transform)
