"""One run on disk: the config it was built from, its weights, and where they come from."""

import importlib.metadata
import logging
import platform
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from mrcontrast.config.build import module_name
from mrcontrast.errors import MrcontrastError
from mrcontrast.runs.model_config import checked_config, read_config
from mrcontrast.runs.provenance import read_provenance
from mrcontrast.storage.files import sha256_file, write_json, write_text
from mrcontrast.storage.tensor_file import check_neighbours, read_tensors, write_tensors

if TYPE_CHECKING:
    from torch import Tensor

log = logging.getLogger(__name__)

WEIGHTS_HASH, CONFIG_HASH = "weights_sha256", "config_sha256"  # keys of the provenance
PACKAGES = ("mrcontrast", "torch", "monai", "lightning", "numpy", "nibabel")


class RunFolder:
    """A folder that one training run fills; a stage is rebuilt from it alone.

    ``config.yaml`` is resolved and holds the whole object tree, the parts taken from earlier
    stages included; ``weights.safetensors`` holds all tensors. No other run is needed.

    Args:
        path: The folder; it need not exist yet.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.config_path = self.path / "config.yaml"
        self.weights_path = self.path / "weights.safetensors"
        self.provenance_path = self.path / "provenance.json"
        self.checkpoints = self.path / "checkpoints"
        self.last_checkpoint = self.checkpoints / "last.ckpt"
        self.best_checkpoint = self.checkpoints / "best.ckpt"
        self.pictures = self.path / "pictures"
        self.metrics_path = self.path / "metrics.csv"

    @property
    def config(self) -> DictConfig:
        """The resolved config as it lies there, to compare and to show; see ``checked_config``.

        Raises:
            MrcontrastError: There is no run here, or its config cannot be read.
        """
        if not self.config_path.is_file():
            raise MrcontrastError(
                f"Expected a run folder, got no config.yaml ({self.path}). Check the path."
            )
        return read_config(self.config_path)

    def checked_config(self) -> DictConfig:
        """Return the config to build from; the one way from a run folder to objects.

        Raises:
            MrcontrastError: It has changed since the run was finished, or names code that is not
                known and not trusted; see ``model_config``.
        """
        recorded = self.provenance.get(CONFIG_HASH)
        if recorded is None:
            warn_without_hash(self.path)
        elif recorded != (found := sha256_file(self.config_path)):
            raise MrcontrastError(
                f"Expected a config with SHA-256 {recorded[:12]}, got {found[:12]} "
                f"({self.config_path}). Restore the file or train again."
            )
        return checked_config(self.config, self.config_path)

    @property
    def provenance(self) -> dict[str, Any]:
        """Where the run comes from; empty before it starts, without weights until it ends.

        Keys: stage, weights_sha256, config_sha256, parents (name -> sha256), start_from
        (weights_sha256 and path; of an exported run seconds; or null), data_hash, split_hash,
        git_sha, versions, seed, command, mlflow_run_id, score (monitor, mode, value).

        Raises:
            MrcontrastError: The file is not JSON, or a value is of another type.
        """
        return read_provenance(self.provenance_path) if self.provenance_path.is_file() else {}

    @property
    def stage_name(self) -> str:
        """Name of the stage's module, such as "latent_diffusion"."""
        return module_name(str(OmegaConf.select(self.config, "stage._target_", default="?.?")))

    @property
    def finished(self) -> bool:
        """Whether training came to its end and its weights are here."""
        return self.weights_path.is_file() and WEIGHTS_HASH in self.provenance

    def write_config(self, config: DictConfig) -> None:
        """Write the config, every value resolved.

        Raises:
            MrcontrastError: The folder cannot be written.
        """
        write_text(self.config_path, OmegaConf.to_yaml(config, resolve=True))

    @property
    def weights_mb(self) -> float:
        """Size in MB (10^6 bytes) of the weights here, in however many files they lie."""
        return sum(file.stat().st_size for file in self.path.glob("*.safetensors")) / 1e6

    def parents_beside(self) -> list[Path]:
        """Return the folders of this run's parents, which lie beside it where a model is whole.

        A parent that lies elsewhere is named by its hash: a folder that is not there.
        """
        beside = (RunFolder(path.parent) for path in self.path.parent.glob("*/provenance.json"))
        known = {run.provenance.get("weights_sha256"): run.path for run in beside}
        wanted = self.provenance.get("parents", {}).values()
        return [known.get(sha256, self.path.parent / sha256) for sha256 in wanted]

    def write_weights(self, state_dict: Mapping[str, "Tensor"]) -> str:
        """Write all tensors of a stage, equal ones once.

        Returns:
            The SHA-256 of the file, which belongs in the provenance.
        """
        return write_tensors(self.weights_path, state_dict)

    def read_weights(self, device: str = "cpu") -> dict[str, "Tensor"]:
        """Read all tensors of the stage to a device, once ``verify`` has passed."""
        self.verify()
        return read_tensors(self.weights_path, device)

    def copy_alone(self, path: Path) -> "RunFolder":
        """Copy the run to a folder, its weights whole, so that it needs no run beside it."""
        copy = RunFolder(path)
        copy.write_config(self.config)
        sha256 = copy.write_weights(self.read_weights())
        copy.write_provenance(self.provenance | {"weights_sha256": sha256})
        return copy

    def write_provenance(self, provenance: Mapping[str, Any]) -> None:
        """Write where the run comes from; of a finished one with the hash of its config."""
        facts = dict(provenance)
        if WEIGHTS_HASH in facts:
            facts[CONFIG_HASH] = sha256_file(self.config_path)
        write_json(self.provenance_path, facts)

    def verify(self) -> str:
        """Refuse a run that is absent, unfinished or changed since it was written.

        Returns:
            The SHA-256 of the weights.

        Raises:
            MrcontrastError: The config or the weights are missing, their hash is not the recorded
                one, or the config names unknown code; or so it is with the weights of a run beside
                this one that holds a part of them.
        """
        if not self.path.is_dir():
            raise MrcontrastError(f"Expected a run folder, got none ({self.path}). Check the path.")
        if not self.config_path.is_file():
            raise MrcontrastError(
                f"Expected a run folder, got one without config.yaml ({self.path}). Name a run, "
                "such as outputs/runs/controlnet or outputs/study/demo/runs/controlnet."
            )
        if not self.finished:
            raise MrcontrastError(
                f"Expected a finished run, got one without weights ({self.path}). "
                "Train it to its end first."
            )
        self.checked_config()
        recorded, found = self.provenance[WEIGHTS_HASH], sha256_file(self.weights_path)
        if recorded != found:
            raise MrcontrastError(
                f"Expected weights with SHA-256 {recorded[:12]}, got {found[:12]} "
                f"({self.weights_path}). Restore the file or train again."
            )
        check_neighbours(self.weights_path)
        return found


@cache
def warn_without_hash(path: Path) -> None:
    """Say once of a run of an earlier version that its config cannot be verified."""
    log.warning("%s has no hash of its config.yaml: only its weights are verified.", path)


def first_difference(
    ours: Any,  # noqa: ANN401 - any nest of dicts, lists and scalars
    theirs: Any,  # noqa: ANN401
    key: str = "",
) -> tuple[str, Any, Any] | None:
    """Return the first place where two nests of plain values differ: key, ours, theirs.

    >>> first_difference({"a": 1, "b": {"c": [1, 2]}}, {"a": 1, "b": {"c": [1, 3]}})
    ('b.c.1', 2, 3)
    >>> first_difference({"a": 1}, {"a": 1}) is None
    True
    """
    if isinstance(ours, list) and isinstance(theirs, list):
        ours, theirs = dict(enumerate(ours)), dict(enumerate(theirs))
    if not (isinstance(ours, dict) and isinstance(theirs, dict)):
        same = type(ours) is type(theirs) and ours == theirs
        return None if same else (key, ours, theirs)
    for name in [*ours, *(name for name in theirs if name not in ours)]:
        inner = f"{key}.{name}" if key else str(name)
        found = first_difference(ours.get(name), theirs.get(name), inner)
        if found is not None:
            return found
    return None


def software() -> dict[str, Any]:
    """Return the versions of Python and the packages in use, and the commit of a checkout."""
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = "not installed"
    return {"git_sha": git_sha(), "versions": versions}


def git_sha() -> str | None:
    """Return the commit of the checkout that holds the code, with "-dirty" when it was changed.

    None for an installed package: its version says it all.
    """
    package = Path(__file__).resolve().parents[1]
    if not (package.parents[1] / ".git").exists():
        return None
    command = ["git", "-C", str(package), "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() or None
