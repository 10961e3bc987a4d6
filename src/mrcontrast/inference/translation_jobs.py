"""What to translate: one file, the volumes of a folder or BIDS tree, or prepared subjects."""

import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mrcontrast.data.manifest import MANIFEST, Manifest, Record
from mrcontrast.data.predictions import (
    ENDINGS,
    SYNTHETIC,
    PredictionFiles,
    prediction_name,
    stem,
)
from mrcontrast.data.scanned import scanned_slices
from mrcontrast.errors import MrcontrastError, UsageError
from mrcontrast.inference.contrast_names import SUFFIXES, other_contrast
from mrcontrast.inference.mask_files import mask_beside, mask_in


@dataclass(frozen=True)
class Job:
    """One volume to translate.

    Attributes:
        name: Of the subject or file, for messages.
        source: Volume to read.
        mask: Brain mask on its grid; None takes the largest non-zero component.
        output: Volume to write.
        seed: Of the noise.
        prepared: Whether the source is normalised and on the model's spacing already.
        stands_for: Volume of the same shape whose place in space the output takes, voxel for voxel;
            None leaves it where the source is.
        strip_skull: Whether deepbet finds the brain; only where there is no ``mask``.
        refusal: Why the volume is not to be translated; None if it is.
        scanned_slices: First and last axial slice of a prepared volume that were scanned; None is
            all.
    """

    name: str
    source: Path
    mask: Path | None
    output: Path
    seed: int
    prepared: bool = False
    stands_for: Path | None = None
    strip_skull: bool = False
    refusal: str | None = None
    scanned_slices: tuple[int, int] | None = None

    @property
    def inputs(self) -> list[Path]:
        """Files that are read."""
        files = (self.source, self.mask, self.stands_for)
        return [path for path in files if path is not None]

    def stripped(self) -> "Job":
        """Return the job with its skull to be stripped, unless it has a mask of a person's."""
        own = PredictionFiles(self.output)
        if self.mask is None or (self.mask.resolve() == own.mask.resolve() and own.owns(self.mask)):
            return replace(self, mask=None, strip_skull=True)
        return self


def file_job(
    source: Path,
    output: Path,
    contrast: str,
    mask: Path | None,
    seed: int,
    any_contrast: bool = False,
) -> Job:
    """Return the job of one file; an output that is a folder gets the file's BIDS-like name.

    Raises:
        UsageError: The file's name or sidecar says that it has another contrast than the model
            takes, the output is no NIfTI name, or the mask is a folder.
    """
    if not any_contrast and (reason := contrast_refusal(source, contrast)):
        raise UsageError(reason)
    if output.is_dir():
        output = output / prediction_name(source.name)
    if not output.name.endswith(ENDINGS):
        raise UsageError(f"Expected OUT to end in .nii.gz or .nii, got {output.name}. Rename it.")
    if mask is not None and not mask.is_file():
        raise UsageError(f"Expected a mask file for a file, got {mask}. Check the path.")
    return Job(source.name, source, mask or mask_beside(source), output, seed)


def contrast_refusal(source: Path, contrast: str) -> str | None:
    """Say why a file has another contrast than a model takes; None if nothing says so.

    Autoencoders take T1w and return it: FLAIR through one would look like a translation.
    """
    if (found := other_contrast(source, contrast)) is None:
        return None
    return (
        f"Expected {SUFFIXES[contrast][1:]} for this model, got {source.name}, which is {found}. "
        "Name another model or file, or pass --any-contrast if that is wrong."
    )


def folder_jobs(
    folder: Path,
    out_dir: Path,
    contrast: str,
    masks: Path | None,
    seed: int,
    any_contrast: bool = False,
) -> list[Job]:
    """Return the jobs of all volumes of one contrast in a folder; outputs mirror its tree.

    Args:
        folder: Flat or BIDS; files end in ``_FLAIR.nii.gz``, or ``_T1w.nii.gz`` for a stage that
            takes T1w.
        out_dir: Gets the outputs.
        contrast: ``keys.FLAIR`` or ``keys.T1W``.
        masks: Folder of brain masks, found by their sub and ses entities; None looks beside.
        seed: Each volume has a seed of its own, made from this and its name; see ``names_of``.
        any_contrast: Whether sidecars that name another contrast do not count.

    Raises:
        MrcontrastError: There is no such volume, or a mask is missing or ambiguous.
    """
    suffix, out = SUFFIXES[contrast], out_dir.resolve()
    inside = folder.resolve() in out.parents  # then its volumes are outputs
    sources = [
        path
        for ending in ENDINGS
        for path in sorted(folder.rglob(f"*{suffix}{ending}"))
        if SYNTHETIC not in path.name
        and not path.name.startswith(".")  # "._x" is what a Mac leaves beside x
        and not (inside and out in (path.parent.resolve() / path.name).parents)
    ]
    if not sources:
        raise MrcontrastError(
            f"Expected files that end in {suffix}.nii.gz, got none ({folder}). Rename or convert."
        )
    return [
        Job(
            name=name,
            source=source,
            mask=mask_beside(source) if masks is None else mask_in(masks, source),
            output=out_dir / source.relative_to(folder).parent / prediction_name(source.name),
            seed=seed_of(name, seed),
            refusal=None if any_contrast else contrast_refusal(source, contrast),
        )
        for source, name in zip(sources, names_of(sources, folder), strict=True)
    ]


def names_of(sources: Sequence[Path], folder: Path) -> list[str]:
    """Return the file names without endings, with their paths below a folder where they repeat.

    >>> paths = [Path("in/a/x.nii"), Path("in/b/x.nii"), Path("in/b/y.nii")]
    >>> names_of(paths, Path("in"))
    ['a/x', 'b/x', 'y']
    """
    uses = Counter(stem(source) for source in sources)
    return [
        name if uses[name] == 1 else (source.relative_to(folder).parent / name).as_posix()
        for source in sources
        for name in [stem(source)]
    ]


def record_jobs(
    records: Sequence[Record],
    contrast: str,
    out_dir: Path,
    shuffle: bool = False,
    seed: int = 0,
    normaliser: str | None = None,
) -> list[Job]:
    """Return the jobs of prepared subjects; outputs lie side by side in ``out_dir``.

    Args:
        records: Prepared subjects.
        contrast: ``keys.FLAIR`` or ``keys.T1W``.
        out_dir: Gets ``<record.name>_desc-synth_T1w.nii.gz``.
        shuffle: Give each subject the volume and mask of the next other subject.
        seed: Each subject has a seed of its own, made from this and its name.
        normaliser: Name of what the model's training data were normalised with; None takes any.

    Raises:
        UsageError: There is no other subject.
        MrcontrastError: A subject was normalised in another way.
    """
    jobs = []
    for index, record in enumerate(records):
        giver = next_other(records, index) if shuffle else record
        source, fitted = giver.images[contrast], giver.normalisers[contrast]
        if normaliser not in (None, fitted["name"]):
            raise MrcontrastError(
                f"Expected volumes normalised by {normaliser}, got {fitted['name']} ({source}). "
                "Prepare the data as those that the model was trained on."
            )
        output = out_dir / f"{record.name}{SYNTHETIC}.nii.gz"
        own_seed = seed_of(record.name, seed)
        own_place = record.images["t1w"] if shuffle else None
        job = Job(record.name, source, giver.brain_mask, output, own_seed, True, own_place)
        jobs.append(replace(job, scanned_slices=scanned_slices(giver)))
    return jobs


def split_records(root: Path, split: str) -> list[Record]:
    """Return the subjects of one split of a prepared data set.

    Raises:
        MrcontrastError: It has none.
    """
    records = Manifest.read(root).split(split)
    if not records:
        raise MrcontrastError(f"Expected subjects in the {split} split, got none ({root}).")
    return records


def is_prepared(folder: Path) -> bool:
    """Return whether a folder holds a prepared data set."""
    return (folder / MANIFEST).is_file()


def next_other(records: Sequence[Record], index: int) -> Record:
    """Return the next record, in a circle, that belongs to another subject.

    Raises:
        UsageError: There is none.
    """
    circle = [*records[index + 1 :], *records[:index]]
    for record in circle:
        if record.subject != records[index].subject:
            return record
    raise UsageError(
        f"Expected two subjects or more to shuffle, got only {records[index].subject}."
    )


def seed_of(name: str, seed: int) -> int:
    """Return the seed of one volume: apart for other names, the same in any order.

    >>> seed_of("sub-01", 1) - seed_of("sub-01", 0)
    1
    """
    return (zlib.crc32(name.encode("utf-8", "surrogateescape")) + seed) % 2**31
