"""The settings of an evaluation, as a paper would report them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from omegaconf import OmegaConf

from mrcontrast.config.build import config_dir
from mrcontrast.config.moved import ROLES
from mrcontrast.data.contrasts import contrast_of_name
from mrcontrast.data.predictions import SUFFIX, SYNTHETIC, read_sidecar, stem
from mrcontrast.errors import MrcontrastError, UsageError, printable
from mrcontrast.evaluation.pairing import volumes_in
from mrcontrast.metrics.intensity import FixedRange
from mrcontrast.metrics.metric import Metric
from mrcontrast.transforms.standardise import normaliser_from_name

FEATURES = "efficientnet_lite0"
USUAL = str(ROLES["target"])  # contrast of predictions that do not say theirs
RangeChoice = tuple[float, float] | Literal["reference"] | None


@dataclass(frozen=True)
class Protocol:
    """The settings of one evaluation.

    Attributes:
        intensity_range: (low, high), or "reference" for each reference's own percentiles; None
            takes (0, 1) if all references lie in it.
        reference_normaliser: Name of the normaliser that scales raw references to [0, 1] in their
            masks, such as "percentile-0.5-99.5"; None takes them as stored.
        num_workers: Processes; 0 works in this one.
        features: A node of ``configs/features`` as plain values, or None for no feature network;
            see ``read_features``.
        dims: 3 compares volumes; 2 averages over axial slices.
        metrics: Added metrics; see ``added_metrics``.
        target: Target contrast, such as "t1w"; metrics of other targets are left out. "" takes that
            of the predictions' names.
    """

    intensity_range: RangeChoice = None
    reference_normaliser: str | None = None
    num_workers: int = 0
    features: Mapping[str, Any] | None = None
    dims: int = 3
    metrics: tuple[Metric, ...] = ()
    target: str = ""


@dataclass(frozen=True)
class Roles:
    """Contrast of the compared images, and contrasts that the model was given, if known."""

    target: str
    sources: tuple[str, ...] = ()

    @property
    def facts(self) -> dict[str, Any]:
        """The entries of summary.json."""
        return {"target": self.target, "sources": list(self.sources)}


def find_roles(predictions: Mapping[str, Path], target: str = "") -> Roles:
    """Return the contrasts of predictions, by their names and the first sidecar of each method.

    ``target`` says what they are, whatever their names; "" takes it from the names.

    Raises:
        UsageError: The names are of several contrasts.
    """
    made: set[str | None] = set()
    plain: set[str | None] = set()
    sources: list[str] = []
    for folder in predictions.values():
        stems = {path: stem(path) for path in volumes_in(folder)}
        ours = {path: name for path, text in stems.items() if (name := SYNTHETIC.search(text))}
        made |= {contrast_of_name(stems[path]) or name[1] for path, name in ours.items()}
        plain |= {contrast_of_name(text) for text in stems.values() if SUFFIX.search(text)}
        listed = read_sidecar(next(iter(ours))).get("SourceContrasts") if ours else None
        sources += listed if isinstance(listed, list) else []
    named = {target} if target else made or plain
    if len(named) > 1:
        raise UsageError(
            f"Expected predictions of one contrast, got {', '.join(sorted(map(str, named)))}. "
            "Evaluate them apart, or name one by --target."
        )
    return Roles(str(next(iter(named), None) or USUAL), tuple(dict.fromkeys(map(str, sources))))


def name_predictions(values: list[str], method: str | None = None) -> dict[str, Path]:
    """Read the values of ``--predictions``: one folder, or several as NAME=DIR.

    ``method`` names a single folder; None takes the folder's own name.

    Raises:
        UsageError: Several folders without unique names, or a name given twice.
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
    """Return whether a value is NAME=DIR, and not a folder with an equals sign in its path."""
    name, equals, folder = value.partition("=")
    if not equals or "/" in name:
        return False
    return not Path(value).is_dir() or (bool(folder) and Path(folder).is_dir())


def read_range(values: list[str] | None) -> RangeChoice:
    """Read the values of ``--range``: LO HI, or the word reference.

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

    ``name`` is that of a file in ``configs/features``. Without a file its weights are the packaged
    ones; without ``sha256`` any file is taken, and its hash noted.

    Raises:
        UsageError: There is no such network, or it needs a file.
    """
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
    """Check that the normaliser of the references exists and does not scale them a second time.

    References that are ``prepared`` are normalised already.

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
