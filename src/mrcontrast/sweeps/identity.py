"""Identity of a job: hashes of its config, its data and the runs that it starts from."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mrcontrast.errors import MrcontrastError
from mrcontrast.runs.identity import FREE_KEYS, deciding, without
from mrcontrast.storage.files import json_hash
from mrcontrast.study.runs import outside_names

FREE = (*FREE_KEYS, "name")  # keys without influence on the result of a job
PARENTS = ("autoencoder", "diffusion", "regression", "start_from")
PARTS = ("data", "parents", "config")  # of an identity, in the order of messages


def identity_of(command: str, config: DictConfig) -> dict[str, str]:
    """Return hashes of a job's prepared data, earlier runs and config; equal ones, equal results.

    Folders, names and logging are left out, and so are paths of data and runs with a hash.
    """
    try:
        plain: Any = OmegaConf.to_container(config, resolve=True)
    except OmegaConfBaseException:
        plain = OmegaConf.to_container(config, resolve=False)
    data = data_hashes(plain)
    named = {key: plain[key] for key in PARENTS if plain.get(key)}
    if command == "study":
        named |= {name: name for name in outside_names(plain["study"])}
    runs = {key: weights_of(reference) for key, reference in named.items()}
    decides = deciding(plain, (*FREE, *(key for key, found in runs.items() if found)))
    if data is not None:
        decides = without(decides, ["data.root"])
    return {
        "data": json_hash(data),
        "parents": json_hash(runs),
        "config": json_hash([command, decides]),
    }


def difference(ours: Mapping[str, str], theirs: Mapping[str, str]) -> str | None:
    """Return the first part in which two identities differ, None if they are equal."""
    return next((part for part in PARTS if ours.get(part) != theirs.get(part)), None)


def data_hashes(plain: Mapping[str, Any]) -> list[str] | None:
    """Return the hashes of data and split of a training; None without readable data."""
    root = (plain.get("data") or {}).get("root")
    if root is None or not Path(root).is_dir():
        return None
    from mrcontrast.data.manifest import Manifest

    try:
        manifest = Manifest.read(root)
    except MrcontrastError:  # the job itself reports it
        return None
    return [manifest.data_hash, manifest.split_hash]


def weights_of(path: str) -> str | None:
    """Return the hash of a run's weights, None for an unfinished or missing run."""
    from mrcontrast.tracking.references import open_run

    try:
        found: str | None = open_run(path).provenance.get("weights_sha256")
    except MrcontrastError:  # the job itself reports it
        return None
    return found
