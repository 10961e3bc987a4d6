"""Where a run comes from, as tags that MLflow can search."""

from collections.abc import Mapping
from typing import Any

KEYS = ("stage", "data_hash", "split_hash", "weights_sha256")


def origin_tags(origin: Mapping[str, Any]) -> dict[str, str]:
    """Return tags of what is known in a run's provenance.

    >>> origin_tags({"stage": "controlnet", "data_hash": None, "git_sha": "12ab"})
    {'mrcontrast.stage': 'controlnet', 'mlflow.source.git.commit': '12ab'}
    """
    tags = {f"mrcontrast.{key}": origin.get(key) for key in KEYS}
    parents: Mapping[str, str] = origin.get("parents") or {}
    tags |= {f"mrcontrast.{name}": sha256 for name, sha256 in parents.items()}
    tags["mlflow.source.git.commit"] = origin.get("git_sha")
    return {key: str(value) for key, value in tags.items() if value}
