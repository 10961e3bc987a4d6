"""Prepared subjects as they were scanned: the raw files, on their own grids, with a brain mask."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mrcontrast import keys
from mrcontrast.data.manifest import Record
from mrcontrast.data.predictions import BRAIN_MASK, SYNTHETIC
from mrcontrast.errors import MrcontrastError
from mrcontrast.inference.translation_jobs import Job, seed_of
from mrcontrast.storage.volume import read_volume, write_labels
from mrcontrast.transforms.brain import brain_from_nonzero


@dataclass(frozen=True)
class Original:
    """The raw files of one session, all on one grid; they are only ever read.

    Attributes:
        name: "sub-03" or "sub-03_ses-1".
        flair: In scanner units.
        t1w: In scanner units.
        mask: The brain.
    """

    name: str
    flair: Path
    t1w: Path
    mask: Path

    def job(self, contrast: str, out_dir: Path, seed: int) -> Job:
        """Return what translates this session on its own grid.

        Args:
            contrast: ``keys.FLAIR`` or ``keys.T1W``.
            out_dir: Gets ``<name>_desc-synth_T1w.nii.gz``.
            seed: The session has a seed of its own, made from this and its name.
        """
        source = self.flair if contrast == keys.FLAIR else self.t1w
        output = out_dir / f"{self.name}{SYNTHETIC}.nii.gz"
        return Job(self.name, source, self.mask, output, seed_of(self.name, seed))


def originals(records: Sequence[Record], masks: Path) -> list[Original]:
    """Return the raw files of prepared sessions.

    Args:
        records: From a manifest.
        masks: Folder of the brain masks that ``write_masks`` made.

    Raises:
        MrcontrastError: A session was drawn, not read, or its raw file has gone.
    """
    found = []
    for record in records:
        flair, t1w = record.raw.get("flair"), record.raw.get("t1w")
        if flair is None or t1w is None:
            raise MrcontrastError(
                f"Expected the raw files of {record.name} in the manifest, got none "
                f"({record.brain_mask}). Prepare the data set again from files, or leave "
                "full_grid out."
            )
        mask = record.raw.get("mask") or mask_path(record, masks)
        for path in (flair, t1w, mask):
            if not path.is_file():
                raise MrcontrastError(
                    f"Expected the raw files of {record.name}, got no file ({path}). "
                    "Put them back or prepare the data set again."
                )
        found.append(Original(record.name, flair, t1w, mask))
    return found


def write_masks(records: Sequence[Record], masks: Path) -> list[Path]:
    """Write a brain mask for each session whose raw files have none, by the rule of preparation.

    The non-zero voxels of the raw FLAIR decide, whatever a model reads and whatever it is compared
    with, so that all methods and the reference share one brain.

    Returns:
        The masks that were written.

    Raises:
        MrcontrastError: A raw FLAIR cannot be read, or its skull is not stripped.
    """
    masks.mkdir(parents=True, exist_ok=True)
    written = []
    for record in records:
        if "mask" not in record.raw and "flair" in record.raw:
            flair = read_volume(record.raw["flair"])
            try:
                mask = brain_from_nonzero(flair)
            except MrcontrastError as error:
                raise MrcontrastError(f"{error} ({record.raw['flair']})") from error
            written.append(mask_path(record, masks))
            write_labels(written[-1], mask, flair.affine)
    return written


def mask_path(record: Record, masks: Path) -> Path:
    """Return where ``write_masks`` puts the mask of a session."""
    return masks / f"{record.name}{BRAIN_MASK}.nii.gz"
