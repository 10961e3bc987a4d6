"""Synthetic volumes on disk: their names, their sidecars, and whether they are finished."""

import os
import re
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np

from mrcontrast.data import sidecars
from mrcontrast.data.contrasts import TABLE, ending_of
from mrcontrast.errors import MrcontrastError, UsageError
from mrcontrast.storage.files import replacing, sha256_file, write_json
from mrcontrast.storage.volume import Like, Volume, write_labels, write_volume

ENDINGS = (".nii.gz", ".nii")
SYNTHETIC = re.compile(r"_desc-synth_([A-Za-z0-9]+)$")
SUFFIX = re.compile(f"_({'|'.join(known.suffix for known in TABLE.values())})$")
BRAIN_MASK = "_desc-brain_mask"
FILES, REPLACED = "Files", "Replaces"  # of a sidecar: names of its files, each with its SHA-256
Claims = dict[str, set[str] | None]  # hashes by name; None is any content


class Existing(Enum):
    """What to do with a prediction that is there already.

    The same model and options: REFUSE and REPLACE keep it. Others: REFUSE raises an error, REPLACE
    makes it anew. REDO makes all anew.
    """

    REFUSE = "refuse"
    REPLACE = "replace"
    REDO = "redo"


@dataclass(frozen=True)
class PredictionFiles:
    """The files of one synthetic volume; ``volume`` is the NIfTI of the mean."""

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
        deviation, given = SYNTHETIC.subn(r"_desc-synthstd_\1", name)
        ending = self.volume.name.removeprefix(name)
        return self.volume.with_name(f"{deviation}{'' if given else '_std'}{ending}")

    @property
    def mask(self) -> Path:
        """NIfTI of the brain mask, where the brain was found by stripping the skull.

        >>> PredictionFiles(Path("sub-01_desc-synth_T1w.nii.gz")).mask.name
        'sub-01_desc-brain_mask.nii.gz'
        """
        return self.volume.with_name(f"{without_contrast(stem(self.volume))}{BRAIN_MASK}.nii.gz")

    def names(self, masked: bool) -> list[Path]:
        """Return all files that are ours to write, with a mask or without."""
        return [self.volume, self.std, self.sidecar, *([self.mask] if masked else [])]

    def refuse_foreign(self, masked: bool = False) -> None:
        """Raise UsageError if a file has one of the names that no sidecar of ours claims."""
        claims = self.claims()
        # Files of both endings would share a sidecar.
        other = ENDINGS[1] if self.volume.name.endswith(ENDINGS[0]) else ENDINGS[0]
        for path in (*self.names(masked), self.volume.with_name(stem(self.volume) + other)):
            if path.is_dir() and not path.is_symlink():
                raise UsageError(f"Expected a file or none, got a folder ({path}). Rename one.")
            ours = is_claimed(path, claims) or (path == self.sidecar and claims is not None)
            if os.path.lexists(path) and not ours:
                raise UsageError(
                    f"Expected no file, got one that mrcontrast did not write or that has changed "
                    f"since ({path}). Move it or choose another OUT; --overwrite replaces outputs "
                    "of translate alone."
                )

    def claims(self) -> Claims | None:
        """Return the files that the sidecar claims; None if there is no sidecar of ours."""
        return read_claims(read_sidecar(self.volume), self.volume, self.std, self.mask)

    def owns(self, path: Path) -> bool:
        """Return whether the sidecar claims a file."""
        return is_claimed(path, self.claims())

    def needed(self, facts: Mapping[str, Any], existing: Existing) -> bool:
        """Return whether to make the volume; UsageError: it is there, made by other facts."""
        if not self.volume.exists() or existing is Existing.REDO:
            return True
        if self.made_by(facts):
            return not self.whole(facts)
        if existing is Existing.REPLACE:
            return True
        raise UsageError(
            f"Expected no file, got one that another model or other options made ({self.volume}). "
            "Pass --overwrite to replace it."
        )

    def made_by(self, facts: Mapping[str, Any]) -> bool:
        """Return whether the sidecar holds these facts."""
        sidecar = read_sidecar(self.volume)
        # Weights are known by their hash, wherever the run lies by now.
        names = facts.keys() - ({"Model"} if "WeightsSHA256" in facts else set())
        return bool(sidecar) and all(sidecar.get(name) == facts[name] for name in names)

    def whole(self, facts: Mapping[str, Any]) -> bool:
        """Return whether all files are there as the sidecar has them."""
        listed = read_sidecar(self.volume).get(FILES)
        if not isinstance(listed, dict):
            return self.volume.is_file() and (facts.get("Samples", 1) == 1 or self.std.is_file())
        return hashes_of((self.volume, self.std, self.mask), self.claims()) == listed

    def write(
        self,
        mean: Volume,
        std: Volume | None,
        sidecar: Mapping[str, Any],
        source: Like,
        mask: np.ndarray | None = None,
    ) -> None:
        """Write all files or none, in place of earlier ones of ours.

        A sidecar that claims old and new files comes first and the volume last, so that a process
        that is killed leaves no file without an owner. MrcontrastError: a file is not ours.

        Mean and deviation are on the grid of the source, whose geometry is kept, the mean in
        [0, 1]; ``mask`` is the brain, (X, Y, Z) bool, where it is to be written. The sidecar says
        what made them: model, options, sources.
        """
        try:
            self.refuse_foreign(mask is not None)
        except UsageError as error:  # it was not there when the work began
            raise MrcontrastError(str(error)) from error
        earlier = hashes_of((self.volume, self.std, self.mask), self.claims())
        paths = [self.volume, *([self.std] if std else []), *([] if mask is None else [self.mask])]
        with ExitStack() as stack:
            every = [*paths, self.sidecar]
            unfinished = {path: stack.enter_context(replacing(path)) for path in every}
            write_volume(unfinished[self.volume], mean, source)
            if std is not None:
                write_volume(unfinished[self.std], std, source)
            if mask is not None:
                write_labels(unfinished[self.mask], mask, mean.affine, source)
            facts = {"Synthetic": True, **sidecar}
            facts[FILES] = {path.name: sha256_file(unfinished[path]) for path in paths}
            old = {REPLACED: earlier} if earlier else {}
            write_json(unfinished[self.sidecar], facts | old)
        used, claims = {Path(path).resolve() for path in facts.get("Sources", ())}, self.claims()
        for path in map(self.volume.with_name, earlier.keys() - facts[FILES].keys()):
            if is_claimed(path, claims) and path.resolve() not in used:  # that the new output lacks
                path.unlink()
        if earlier:
            write_json(self.sidecar, facts)


def read_sidecar(volume: Path) -> dict[str, Any]:
    """Return what the sidecar of a volume says; {} if there is none that can be read."""
    return sidecars.read_sidecar(PredictionFiles(volume).sidecar)


def stem(path: Path) -> str:
    """Return the name of a NIfTI file without its ending."""
    ending = next((ending for ending in ENDINGS if path.name.endswith(ending)), "")
    return path.name.removesuffix(ending)


def synthetic_name(session: str, target: str) -> str:
    """Return the file name of a synthetic volume of a session and a contrast.

    >>> synthetic_name("sub-01", "flair")
    'sub-01_desc-synth_FLAIR.nii.gz'
    """
    return f"{session}_{ending_of(target, 'synth')}.nii.gz"


def prediction_name(source: str, target: str) -> str:
    """Return the file name of the synthetic volume of a contrast for the name of its source.

    >>> prediction_name("sub-01_ses-2_space-MNI152_desc-n4_FLAIR.nii.gz", "t1w")
    'sub-01_ses-2_space-MNI152_desc-synth_T1w.nii.gz'
    >>> prediction_name("case7.nii", "t2w")
    'case7_desc-synth_T2w.nii.gz'
    """
    entities = without_contrast(stem(Path(source)))
    return synthetic_name(re.sub(r"_desc-[A-Za-z0-9]+", "", entities), target)


def without_contrast(name: str) -> str:
    """Return a file name's stem without its contrast at the end.

    >>> without_contrast("sub-01_FLAIR"), without_contrast("sub-01_desc-synth_T2w")
    ('sub-01', 'sub-01')
    """
    return SUFFIX.sub("", SYNTHETIC.sub("", name))


def read_claims(facts: Mapping[str, Any], volume: Path, std: Path, mask: Path) -> Claims | None:
    """Return which of three files a sidecar ({} if unreadable) claims; None if it is not ours.

    Sidecars from before the hashes claim the volume, and the deviation of draws, by name.
    """
    if facts.get("Synthetic") is not True:
        return None
    if isinstance(facts.get(FILES), dict):
        lists = [part for key in (FILES, REPLACED) if isinstance(part := facts.get(key), dict)]
        own = {path.name: [part.get(path.name) for part in lists] for path in (volume, std, mask)}
        known = {name: {h for h in found if isinstance(h, str)} for name, found in own.items()}
        return {name: hashes for name, hashes in known.items() if hashes}
    generators = facts.get("GeneratedBy")
    entries = generators if isinstance(generators, list) else []
    if not any(isinstance(entry, dict) and entry.get("Name") == "mrcontrast" for entry in entries):
        return None
    samples = facts.get("Samples")
    several = isinstance(samples, int) and samples > 1
    return {path.name: None for path in ((volume, std) if several else (volume,))}


def is_claimed(path: Path, claims: Claims | None) -> bool:
    """Return whether a file has the name and content of a claimed one."""
    if claims is None or path.name not in claims or not path.is_file():
        return False
    hashes = claims[path.name]
    return hashes is None or sha256_file(path) in hashes


def hashes_of(paths: Iterable[Path], claims: Claims | None) -> dict[str, str]:
    """Return the hashes of claimed files that are there, by name."""
    return {path.name: sha256_file(path) for path in paths if is_claimed(path, claims)}
