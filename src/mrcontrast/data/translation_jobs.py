"""What to translate: one file, the volumes of a folder or BIDS tree, or prepared subjects."""

import re
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mrcontrast import keys
from mrcontrast.data.manifest import MANIFEST, Manifest, Record
from mrcontrast.data.predictions import ENDINGS, SYNTHETIC, prediction_name, stem
from mrcontrast.errors import MrcontrastError, UsageError

SUFFIXES = {keys.FLAIR: "_FLAIR", keys.T1W: "_T1w"}
BRAIN_MASK = "_desc-brain_mask"
NOT_A_BRAIN = r"_label-|lesion"


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
    """

    name: str
    source: Path
    mask: Path | None
    output: Path
    seed: int
    prepared: bool = False
    stands_for: Path | None = None
    strip_skull: bool = False


def file_job(source: Path, output: Path, contrast: str, mask: Path | None, seed: int) -> Job:
    """Return the job of one file; an output that is a folder gets the file's BIDS-like name.

    Raises:
        UsageError: The file's name says that it has another contrast than the model takes, the
            output is no NIfTI name, or the mask is a folder.
    """
    refuse_contrast(source, contrast)
    if output.is_dir():
        output = output / prediction_name(source.name)
    if not output.name.endswith(ENDINGS):
        raise UsageError(f"Expected OUT to end in .nii.gz or .nii, got {output.name}. Rename it.")
    if mask is not None and not mask.is_file():
        raise UsageError(f"Expected a mask file for a file, got {mask}. Check the path.")
    return Job(source.name, source, mask or mask_beside(source), output, seed)


def refuse_contrast(source: Path, contrast: str) -> None:
    """Raise UsageError for a file that names another contrast than the one wanted.

    Autoencoders take T1w and return it: FLAIR through one would look like a translation.
    """
    named = {known: suffix in stem(source) for known, suffix in SUFFIXES.items()}
    if any(named.values()) and not named[contrast]:
        raise UsageError(
            f"Expected {SUFFIXES[contrast][1:]} for this model, got {source.name}. "
            "Name another model, or rename the file if its name is wrong."
        )


def folder_jobs(
    folder: Path, out_dir: Path, contrast: str, masks: Path | None, seed: int
) -> list[Job]:
    """Return the jobs of all volumes of one contrast in a folder; outputs mirror its tree.

    Args:
        folder: Flat or BIDS; files end in ``_FLAIR.nii.gz``, or ``_T1w.nii.gz`` for a stage that
            takes T1w.
        out_dir: Gets the outputs.
        contrast: ``keys.FLAIR`` or ``keys.T1W``.
        masks: Folder of brain masks, found by their sub and ses entities; None looks beside.
        seed: Each volume has a seed of its own, made from this and its name; see ``names_of``.

    Raises:
        MrcontrastError: There is no such volume, or a mask is missing or ambiguous.
    """
    suffix = SUFFIXES[contrast]
    sources = [
        path
        for ending in ENDINGS
        for path in sorted(folder.rglob(f"*{suffix}{ending}"))
        if SYNTHETIC not in path.name and out_dir.resolve() not in path.resolve().parents
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
        source = giver.flair if contrast == keys.FLAIR else giver.t1w
        fitted = giver.normaliser_flair if contrast == keys.FLAIR else giver.normaliser_t1w
        if normaliser not in (None, fitted["name"]):
            raise MrcontrastError(
                f"Expected volumes normalised by {normaliser}, got {fitted['name']} ({source}). "
                "Prepare the data as those that the model was trained on."
            )
        output = out_dir / f"{record.name}{SYNTHETIC}.nii.gz"
        own_seed = seed_of(record.name, seed)
        own_place = record.t1w if shuffle else None
        jobs.append(Job(record.name, source, giver.brain_mask, output, own_seed, True, own_place))
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
    return (zlib.crc32(name.encode()) + seed) % 2**31


def mask_beside(source: Path) -> Path | None:
    """Return ``<entities>_desc-brain_mask.nii.gz`` in the folder of a volume, if there is one."""
    entities = re.sub(r"_(FLAIR|T1w)$", "", stem(source))
    found = [source.with_name(f"{entities}{BRAIN_MASK}{ending}") for ending in ENDINGS]
    return next((path for path in found if path.is_file()), None)


def mask_in(folder: Path, source: Path) -> Path:
    """Return the brain mask in a folder that has the sub and ses entities of a volume.

    Raises:
        UsageError: It is no folder.
        MrcontrastError: There is no such mask, or there are several.
    """
    if not folder.is_dir():
        raise UsageError(f"Expected a folder of masks for a folder, got {folder}.")
    found = [
        path
        for ending in ENDINGS
        for path in sorted(folder.rglob(f"*mask{ending}"))
        if session_of(path) == session_of(source) and not re.search(NOT_A_BRAIN, path.name)
    ]
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise MrcontrastError(
            f"Expected one brain mask, got {names} ({source.name} in {folder}). "
            "Name masks sub-X[_ses-Y]_desc-brain_mask.nii.gz."
        )
    return found[0]


def session_of(path: Path) -> tuple[str, ...]:
    """Return the sub and ses entities of a file name, else what stands before its first "_"."""
    entities = re.findall(r"(?:^|_)((?:sub|ses)-[A-Za-z0-9]+)", path.name)
    return tuple(entities) or (stem(path).split("_")[0],)
