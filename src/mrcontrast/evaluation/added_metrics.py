"""Metrics from a YAML of the user: the same objects as those of the list."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from mrcontrast.config.arguments import check_exists
from mrcontrast.config.build import build
from mrcontrast.config.trust import is_trusted
from mrcontrast.errors import UsageError
from mrcontrast.evaluation.metric_list import BY_NAME
from mrcontrast.evaluation.statistics import FIXED_COLUMNS
from mrcontrast.metrics.metric import Metric
from mrcontrast.runs.model_config import PLAIN_KEYS, read_config, walk

OWN = ("mrcontrast.metrics",)  # needs no trust: its functions only compute
TARGET = f"{Metric.__module__}.{Metric.__qualname__}"


def read_nodes(path: Path | str | None) -> dict[str, Any]:
    """Return the content of a YAML of metrics, name to attributes; {} without a path.

    Raises:
        MrcontrastError: The file is no plain YAML, or a trusted module cannot be imported.
        UsageError: There is no file, or it names code of a module that is not trusted.
    """
    if path is None:
        return {}
    check_exists({"--metrics or study.metrics": path})
    found: Any = OmegaConf.to_container(read_config(Path(path)))
    for key, node in walk(found):
        if not isinstance(node, dict):
            continue
        special = {str(name) for name in node if str(name).startswith("_")}
        target = str(node.get("_target_", ""))
        if special and not (special <= PLAIN_KEYS and is_trusted(target, OWN)):
            raise UsageError(
                f"Expected a function of {OWN[0]} or of a module that you trust, got "
                f"{target or ', '.join(sorted(special))} ({path}, {key}). Read that "
                "module, then add --trust MODULE."
            )
    return dict(found)


def build_metrics(found: Mapping[str, Any]) -> tuple[Metric, ...]:
    """Build the metrics of ``read_nodes``.

    Raises:
        UsageError: A metric of this name exists, or an attribute is unknown or missing.
        MrcontrastError: A value is out of its range.
    """
    return tuple(_build(name, node) for name, node in found.items())


def _build(name: str, node: Any) -> Metric:  # noqa: ANN401 - any value of a YAML
    if name in BY_NAME or name in FIXED_COLUMNS:
        raise UsageError(f"Expected a new metric, got {name} (--metrics). Choose another name.")
    if isinstance(node, dict) and "_target_" not in node:
        metric: Metric = build({"_target_": TARGET, "name": name, **node})
        if callable(metric.function):
            return metric
    raise UsageError(
        f"Expected title, description and a function of a metric, got {node} (--metrics, {name}). "
        "See docs/extending.md."
    )
