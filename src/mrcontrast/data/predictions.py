"""Synthetic volumes on disk: their names, their sidecars, and whether they are finished."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from mrcontrast.errors import MrcontrastError, UsageError
from mrcontrast.files import write_json
from mrcontrast.volume import Volume, write_volume

ENDINGS = (".nii.gz", ".nii")
SYNTHETIC = "_desc-synth_T1w"
DEVIATION = "_desc-synthstd_T1w"
UNITS = "arbitrary, [0, 1]: normalised like the T1w images of the training data"


class Existing(Enum):
    """What to do with a prediction that is there already.

    Attributes:
        REFUSE: Keep one that the same model and options made; refuse any other.
        REPLACE: Keep one that the same model and options made; make any other anew.
        REDO: Make all anew.
    """

    REFUSE = "refuse"
    REPLACE = "replace"
    REDO = "redo"


@dataclass(frozen=True)
class PredictionFiles:
    """The files of one synthetic volume.

    Attributes:
        volume: NIfTI of the mean.
    """

    volume: Path

    @property
    def sidecar(self) -> Path:
        """JSON that says how the volume was made."""
        return self.volume.with_name(f"{stem(self.volume)}.json")

    @property
    def std(self) -> Path:
        """NIfTI of the standard deviation over draws.

        >>> PredictionFiles(Path("sub-01_desc-synth_T1w.nii.gz")).std.name
        'sub-01_desc-synthstd_T1w.nii.gz'
        """
        name = stem(self.volume)
        given = name.endswith(SYNTHETIC)
        deviation = name.removesuffix(SYNTHETIC) + DEVIATION if given else f"{name}_std"
        return self.volume.with_name(deviation + self.volume.name.removeprefix(name))

    def needed(self, facts: Mapping[str, Any], existing: Existing) -> bool:
        """Return whether the volume has to be made.

        Args:
            facts: What the sidecar of a finished one says; see ``write``.
            existing: What to do if the volume is there.

        Raises:
            UsageError: It is there, made otherwise, and not to be replaced.
        """
        if not self.volume.exists() or existing is Existing.REDO:
            return True
        if self.made_by(facts):
            return False
        if existing is Existing.REPLACE:
            return True
        raise UsageError(
            f"Expected no file, got one that another model or other options made ({self.volume}). "
            "Pass --overwrite to replace it."
        )

    def made_by(self, facts: Mapping[str, Any]) -> bool:
        """Return whether the sidecar holds these facts and no file is missing."""
        try:
            sidecar = json.loads(self.sidecar.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return False  # no sidecar that can be read: nobody knows how it was made
        whole = self.volume.is_file() and (facts.get("Samples", 1) == 1 or self.std.is_file())
        # Weights are known by their hash, wherever the run lies by now.
        names = facts.keys() - ({"Model"} if "WeightsSHA256" in facts else set())
        return whole and all(sidecar.get(name) == facts[name] for name in names)

    def write(
        self,
        mean: Volume,
        std: Volume | None,
        sidecar: Mapping[str, Any],
        source: Path,
    ) -> None:
        """Write all files or none; the volume comes last, so that it is never without a sidecar.

        Args:
            mean: In [0, 1], on the grid of the source.
            std: On the same grid, or None.
            sidecar: What made it: model, options, sources.
            source: File whose header fields are kept.

        Raises:
            MrcontrastError: The folder cannot be written to.
        """
        try:
            self.remove()
            constant = {"Synthetic": True, "IntensityUnits": UNITS}
            write_json(self.sidecar, constant | dict(sidecar))
            if std is not None:
                write_volume(self.std, std, source)
            write_volume(self.volume, mean, source)
        except OSError as error:
            raise MrcontrastError(
                f"Expected a file that can be replaced, got {error.strerror} ({self.volume}). "
                "Choose another folder."
            ) from error
        except BaseException:
            self.remove()
            raise

    def remove(self) -> None:
        """Remove what there is of the files."""
        for path in (self.volume, self.std, self.sidecar):
            path.unlink(missing_ok=True)


def read_sidecar(volume: Path) -> dict[str, Any]:
    """Return what the sidecar of a volume says; {} if there is none that can be read."""
    try:
        facts = json.loads(PredictionFiles(volume).sidecar.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return facts if isinstance(facts, dict) else {}


def stem(path: Path) -> str:
    """Return the name of a NIfTI file without its ending."""
    ending = next((ending for ending in ENDINGS if path.name.endswith(ending)), "")
    return path.name.removesuffix(ending)


def prediction_name(source: str) -> str:
    """Return the file name of the synthetic T1w for the name of its source.

    >>> prediction_name("sub-01_ses-2_space-MNI152_desc-n4_FLAIR.nii.gz")
    'sub-01_ses-2_space-MNI152_desc-synth_T1w.nii.gz'
    >>> prediction_name("case7.nii")
    'case7_desc-synth_T1w.nii.gz'
    """
    entities = re.sub(r"_(FLAIR|T1w)$", "", stem(Path(source)))
    return re.sub(r"_desc-[A-Za-z0-9]+", "", entities) + f"{SYNTHETIC}.nii.gz"
