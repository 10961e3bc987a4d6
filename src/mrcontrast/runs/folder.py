"""A run on disk: its config, weights and provenance."""

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

warn_once = cache(logging.getLogger(__name__).warning)

WEIGHTS_HASH, CONFIG_HASH = "weights_sha256", "config_sha256"  # keys of the provenance
PACKAGES = ("mrcontrast", "torch", "monai", "lightning", "numpy", "nibabel")


class RunFolder:
    """A folder of one training, from which its stage is rebuilt without any other run.

    ``config.yaml`` is resolved and holds the whole object tree, parts of earlier stages included;
    ``weights.safetensors`` holds all tensors. The folder need not exist yet.
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
        """The resolved config, unchecked; MrcontrastError if it is missing or damaged."""
        if not self.config_path.is_file():
            raise MrcontrastError(
                f"Expected a run folder, got no config.yaml ({self.path}). Check the path."
            )
        return read_config(self.config_path)

    def checked_config(self) -> DictConfig:
        """Return the config after its checks; objects are built from this one only.

        Raises:
            MrcontrastError: It has changed since the end of training, or names code that is neither
                known nor trusted; see ``model_config``.
        """
        recorded = self.provenance.get(CONFIG_HASH)
        if recorded is None:
            warn_once(f"{self.path} has no hash of its config.yaml: only its weights are verified.")
        elif recorded != (found := sha256_file(self.config_path)):
            raise MrcontrastError(
                f"Expected a config with SHA-256 {recorded[:12]}, got {found[:12]} "
                f"({self.config_path}). Restore the file or train again."
            )
        return checked_config(self.config, self.config_path)

    @property
    def provenance(self) -> dict[str, Any]:
        """Origin of the run; empty before it starts, without hash of the weights until it ends.

        Keys: stage, weights_sha256, config_sha256, parents (name -> sha256), start_from
        (weights_sha256 and path; of an exported run seconds; or null), data_hash, split_hash,
        git_sha, versions, seed, command, mlflow_run_id, score (monitor, mode, value).
        """
        return read_provenance(self.provenance_path) if self.provenance_path.is_file() else {}

    @property
    def stage_name(self) -> str:
        """Name of the stage's module, such as "latent_diffusion"."""
        return module_name(str(OmegaConf.select(self.config, "stage._target_", default="?.?")))

    @property
    def finished(self) -> bool:
        """Whether training has ended and its weights are here."""
        return self.weights_path.is_file() and WEIGHTS_HASH in self.provenance

    def write_config(self, config: DictConfig) -> None:
        """Write the config with all values resolved."""
        write_text(self.config_path, OmegaConf.to_yaml(config, resolve=True))

    @property
    def weights_mb(self) -> float:
        """Size of all files of weights here, in MB (10^6 bytes)."""
        return sum(file.stat().st_size for file in self.path.glob("*.safetensors")) / 1e6

    def parents_beside(self) -> list[Path]:
        """Return the folders of this run's parents, which lie next to it in a whole model.

        A parent elsewhere is returned as a missing folder named by its hash.
        """
        beside = (RunFolder(path.parent) for path in self.path.parent.glob("*/provenance.json"))
        known = {run.provenance.get("weights_sha256"): run.path for run in beside}
        wanted = self.provenance.get("parents", {}).values()
        return [known.get(sha256, self.path.parent / sha256) for sha256 in wanted]

    def write_weights(self, state_dict: Mapping[str, "Tensor"]) -> str:
        """Write all tensors of a stage and return the SHA-256 of the file, for the provenance."""
        return write_tensors(self.weights_path, state_dict)

    def read_weights(self, device: str = "cpu") -> dict[str, "Tensor"]:
        """Verify the run, and read all tensors of the stage to a device."""
        self.verify()
        return read_tensors(self.weights_path, device)

    def copy_alone(self, path: Path) -> "RunFolder":
        """Copy the run to a folder with all its weights, so that it refers to no other run."""
        copy = RunFolder(path)
        copy.write_config(self.config)
        sha256 = copy.write_weights(self.read_weights())
        copy.write_provenance(self.provenance | {"weights_sha256": sha256})
        return copy

    def write_provenance(self, provenance: Mapping[str, Any]) -> None:
        """Write the provenance, of a finished run with the hash of its config."""
        facts = dict(provenance)
        if WEIGHTS_HASH in facts:
            facts[CONFIG_HASH] = sha256_file(self.config_path)
        write_json(self.provenance_path, facts)

    def verify(self) -> str:
        """Check that the run is finished and unchanged, and return the SHA-256 of its weights.

        Raises:
            MrcontrastError: A file is missing or has another hash than the recorded one, also of a
                run that the weights refer to, or the config names unknown code.
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
    """Return the commit of the checkout, with "-dirty" if changed; None when installed."""
    package = Path(__file__).resolve().parents[1]
    if not (package.parents[1] / ".git").exists():
        return None
    command = ["git", "-C", str(package), "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() or None
