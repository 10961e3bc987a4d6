"""The contrasts of an evaluation: the one that was made, and those that it was made from."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mrcontrast.config.moved import ROLES
from mrcontrast.data.contrasts import contrast_of_name
from mrcontrast.data.predictions import SUFFIX, SYNTHETIC, read_sidecar
from mrcontrast.errors import UsageError
from mrcontrast.evaluation.pairing import files_in, is_volume, stem_of

USUAL = str(ROLES["target"])  # of predictions that do not say


@dataclass(frozen=True)
class Roles:
    """Names of contrasts.

    Attributes:
        target: The synthetic and the real images.
        sources: The images that a model was given; empty if unknown.
    """

    target: str
    sources: tuple[str, ...] = ()

    @property
    def facts(self) -> dict[str, Any]:
        """The entries of summary.json."""
        return {"target": self.target, "sources": list(self.sources)}


def find_roles(predictions: Mapping[str, Path], target: str = "") -> Roles:
    """Return the contrasts of predictions, by their names and the first sidecar of each method.

    Args:
        predictions: Folder by method.
        target: What they are, whatever their names; "" takes it from the names.

    Raises:
        UsageError: The names are of several contrasts.
    """
    made: set[str | None] = set()
    plain: set[str | None] = set()
    sources: list[str] = []
    for folder in predictions.values():
        files = [path for path in files_in(folder) if is_volume(path)]
        ours = [path for path in files if SYNTHETIC.search(stem_of(path))]
        made |= {synthetic_contrast(path) for path in ours}
        plain |= {contrast_of_name(stem_of(p)) for p in files if SUFFIX.search(stem_of(p))}
        sources += read_sidecar(ours[0]).get("SourceContrasts", []) if ours else []
    named = {target} if target else made or plain
    if len(named) > 1:
        raise UsageError(
            f"Expected predictions of one contrast, got {', '.join(sorted(map(str, named)))}. "
            "Evaluate them apart, or name one by --target."
        )
    return Roles(str(next(iter(named), None) or USUAL), tuple(dict.fromkeys(map(str, sources))))


def synthetic_contrast(path: Path) -> str:
    """Return the contrast of a synthetic volume by its name."""
    stem = stem_of(path)
    found = SYNTHETIC.search(stem)
    return contrast_of_name(stem) or (found[1] if found else stem)
