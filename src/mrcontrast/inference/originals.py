"""Prepared subjects as they were scanned: the raw files, on their own grids, with a brain mask."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mrcontrast.data.predictions import BRAIN_MASK, synthetic_name
from mrcontrast.data.record import RAW_MASK, Record
from mrcontrast.errors import MrcontrastError
from mrcontrast.inference.translation_jobs import Job, seed_of
from mrcontrast.storage.volume import read_volume, write_labels
from mrcontrast.transforms.brain import brain_from_nonzero


@dataclass(frozen=True)
class Original:
    """The raw files of one session; they are only ever read.

    ``images`` are in scanner units, by contrast; ``mask`` is the brain on the grid of the first.
    """

    name: str
    images: Mapping[str, Path]
    mask: Path
    tags: Mapping[str, Any] = field(default_factory=dict)

    def job(self, source: Iterable[str], target: str, out_dir: Path, seed: int) -> Job:
        """Return the job that translates this session on its own grid; see ``record_jobs``."""
        given = tuple(name for name in source if name in self.images)
        files = tuple(self.images[name] for name in given)
        output = out_dir / synthetic_name(self.name, target)
        seed = seed_of(self.name, seed)
        return Job(self.name, files, self.mask, output, seed, tags=self.tags, contrasts=given)


def originals(
    records: Sequence[Record],
    masks: Path,
    contrasts: Sequence[str],
    optional: Sequence[str] = (),
) -> list[Original]:
    """Return the raw files of prepared sessions, with their masks or those of ``write_masks``.

    A session may lack an ``optional`` contrast.
    """
    found = []
    for record in records:
        if lacking := [name for name in contrasts if name not in (*record.raw, *optional)]:
            raise MrcontrastError(
                f"Expected the raw {lacking[0]} of {record.name} in the manifest, got none "
                f"({record.brain_mask}). Prepare the data set again from files, or leave "
                "full_grid out."
            )
        images = {name: record.raw[name] for name in contrasts if name in record.raw}
        mask = record.raw.get(RAW_MASK) or mask_path(record, masks)
        for path in (*images.values(), mask):
            if not path.is_file():
                raise MrcontrastError(
                    f"Expected the raw files of {record.name}, got no file ({path}). "
                    "Put them back or prepare the data set again."
                )
        found.append(Original(record.name, images, mask, record.known))
    return found


def write_masks(records: Sequence[Record], masks: Path) -> list[Path]:
    """Write a brain mask for each session whose raw files have none, by the rule of preparation.

    The non-zero voxels of the first raw image decide, whatever a model reads and whatever it is
    compared with, so that all methods and the reference share one brain.
    """
    masks.mkdir(parents=True, exist_ok=True)
    written = []
    for record in records:
        if record.raw and RAW_MASK not in record.raw:
            first = next(iter(record.raw.values()))
            image = read_volume(first)
            try:
                mask = brain_from_nonzero(image)
            except MrcontrastError as error:
                raise MrcontrastError(f"{error} ({first})") from error
            written.append(mask_path(record, masks))
            write_labels(written[-1], mask, image.affine)
    return written


def mask_path(record: Record, masks: Path) -> Path:
    """Return where ``write_masks`` puts the mask of a session."""
    return masks / f"{record.name}{BRAIN_MASK}.nii.gz"
