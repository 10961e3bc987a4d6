"""The score by which a sweep ranks its jobs."""

import json
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from mrcontrast.config.option_names import renamed_node
from mrcontrast.errors import MrcontrastError


def monitor_of(command: str, config: DictConfig) -> tuple[str, str]:
    """Return the name of the score, and "min" or "max" for the better direction."""
    if command == "train":
        return str(config.stage.checkpoint.monitor), str(config.stage.checkpoint.mode)
    wanted = config.objective
    return f"{method_of(config)}/{wanted.region}/{wanted.metric}", str(wanted.mode)


def method_of(config: DictConfig) -> str:
    """Return the method that ranks a study: the configured one, or the last unshuffled one."""
    if config.objective.method is not None:
        return str(config.objective.method)
    predicted = {name: renamed_node(node) for name, node in config.study.predict.items()}
    return str([name for name, node in predicted.items() if not node.get("shuffle_source")][-1])


def score_of(config: DictConfig) -> float:
    """Return the mean score of a finished study; MrcontrastError if it is not in its results."""
    method, wanted = method_of(config), config.objective
    keys = ("methods", method, wanted.region, wanted.metric, "mean")
    for path in sorted(Path(config.out).glob("evaluation*/summary.json")):
        node: Any = json.loads(path.read_text(encoding="utf-8"))
        for key in keys:
            node = node.get(key) if isinstance(node, dict) else None
        if node is not None:
            return float(node)
    raise MrcontrastError(
        f"Expected {'/'.join(keys[1:4])} in the study's evaluation, got none ({config.out}). "
        "Set objective.method, objective.region and objective.metric."
    )
