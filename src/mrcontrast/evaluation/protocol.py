"""How an evaluation is done: what a paper would have to say about it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mrcontrast.config.build import config_dir
from mrcontrast.errors import MrcontrastError, UsageError, printable
from mrcontrast.metrics.intensity import FixedRange
from mrcontrast.transforms.standardise import normaliser_from_name

FEATURES = "efficientnet_lite0"
RangeChoice = tuple[float, float] | Literal["reference"] | None


@dataclass(frozen=True)
class Protocol:
    """The choices of one evaluation.

    Attributes:
        intensity_range: (low, high), or "reference" for each reference's own percentiles; None
            takes (0, 1) if all references lie in it.
        reference_normaliser: Name of what brings raw references to [0, 1] in their masks, such as
            "percentile-0.5-99.5"; 0 outside. None takes them as they are stored.
        num_workers: Processes; 0 works in this one.
        features: A node of ``configs/features`` as plain values, or None for no measure that looks
            through a feature network; see ``read_features``.
        dims: 3 compares volumes; 2 each axial slice, of which a subject's figure is the mean.
    """

    intensity_range: RangeChoice = None
    reference_normaliser: str | None = None
    num_workers: int = 0
    features: Mapping[str, Any] | None = None
    dims: int = 3


def name_predictions(values: list[str], method: str | None = None) -> dict[str, Path]:
    """Read what follows ``--predictions``: one folder, or several as NAME=DIR.

    Args:
        values: As typed.
        method: Name of the only folder, from ``--method``; its own name when None.

    Raises:
        UsageError: Several folders without names, a name twice, or a name given in two ways.

    Example:
        >>> sorted(name_predictions(["lookup=a", "controlnet=b"]))
        ['controlnet', 'lookup']
    """
    if len(values) == 1 and not _is_named(values[0]):
        folder = Path(values[0])
        return {method or printable(folder.resolve().name): folder}
    named = dict(value.split("=", 1) for value in values if _is_named(value))
    if method or len(named) < len(values) or "" in named or "" in named.values():
        raise UsageError(
            f"Expected NAME=DIR with a name of its own for each of several predictions and no "
            f"--method, got {' '.join(values)} (--predictions)."
        )
    return {name: Path(folder) for name, folder in named.items()}


def _is_named(value: str) -> bool:
    """Return whether a value is NAME=DIR, and not a folder whose own path holds an equals sign."""
    name, equals, folder = value.partition("=")
    if not equals or "/" in name:
        return False
    return not Path(value).is_dir() or (bool(folder) and Path(folder).is_dir())


def read_range(values: list[str] | None) -> RangeChoice:
    """Read what follows ``--range``: LO HI, or the word reference.

    Raises:
        UsageError: It is neither, or LO is not below HI.

    Example:
        >>> read_range(["0", "255"])
        (0.0, 255.0)
    """
    if values is None:
        return None
    if values == ["reference"]:
        return "reference"
    try:
        low, high = map(float, values)
        FixedRange(low, high)
    except (ValueError, MrcontrastError) as error:
        raise UsageError(
            f"Expected LO HI with LO < HI, or reference, got {' '.join(values)} (--range)."
        ) from error
    return low, high


def read_features(
    name: str = FEATURES, weights: Path | None = None, sha256: str | None = None
) -> dict[str, Any] | None:
    """Return the node of a feature network as plain values; None for "none".

    Args:
        name: Of a file in ``configs/features``.
        weights: File of its weights; None takes those that ship with it.
        sha256: What its SHA-256 has to be; None takes any and notes it.

    Raises:
        UsageError: There is no such network, or it needs a file.
    """
    from omegaconf import OmegaConf

    if name == "none":
        return None
    folder = config_dir() / "features"
    if not (file := folder / f"{name}.yaml").is_file():
        known = ", ".join(sorted(path.stem for path in folder.glob("*.yaml")))
        raise UsageError(f"Expected one of {known} or none, got {name} (--features).")
    config = OmegaConf.load(file)
    given = {"path": None if weights is None else str(weights), "sha256": sha256}
    for key, value in given.items():
        if value is not None:
            config.network[key] = value
        elif OmegaConf.is_missing(config.network, key):
            option = "--feature-weights FILE" if key == "path" else "--feature-sha256 HEX"
            raise UsageError(f"Expected {option} for the features {name}, got none. Add it.")
    node: Any = OmegaConf.to_container(config, resolve=True)
    return dict(node)


def check_normaliser(protocol: Protocol, prepared: bool) -> None:
    """Refuse a normaliser of the references that does not exist or scales them a second time.

    Args:
        protocol: Its normaliser is named as stored with prepared data: "percentile-0.5-99.5".
        prepared: Whether the references are a prepared data set, which is normalised already.

    Raises:
        UsageError: There is no such normaliser, or the references are scaled twice.
    """
    name = protocol.reference_normaliser
    if name is None:
        return
    if protocol.intensity_range == "reference" or prepared:
        other = "a prepared data set" if prepared else "--range reference"
        raise UsageError(
            f"Expected references that are scaled once, got --normalise-references {name} and "
            f"{other}. Leave one out."
        )
    try:
        normaliser_from_name(name, clip=True)
    except MrcontrastError as error:
        raise UsageError(
            f"Expected a normaliser such as percentile-0.5-99.5, got {name} "
            "(--normalise-references)."
        ) from error
