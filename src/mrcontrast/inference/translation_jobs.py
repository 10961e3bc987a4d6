"""Volumes to translate: of one subject, of a folder or BIDS tree, or of a prepared data set."""

import unicodedata
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mrcontrast.data.predictions import ENDINGS, PredictionFiles, prediction_name, synthetic_name
from mrcontrast.data.record import Record
from mrcontrast.data.scan_tags import tags_of_scan
from mrcontrast.data.sidecars import Sidecars, data_set_of
from mrcontrast.errors import UsageError
from mrcontrast.inference.prepared_records import check_source, next_other
from mrcontrast.inference.session_files import (
    contrast_refusal,
    gathered,
    mask_beside,
    mask_in,
    names_of,
    volumes_of,
)


@dataclass(frozen=True)
class Job:
    """One volume to make."""

    name: str  # of the subject or file, for messages
    sources: tuple[Path, ...]  # in the order of the model's; the first gives the grid
    mask: Path | None  # brain mask on that grid; None takes the largest non-zero component
    output: Path
    seed: int
    prepared: bool = False  # whether the sources are normalised and on the model's spacing
    stands_for: Path | None = None  # volume whose place in space the output takes, voxel for voxel
    strip_skull: bool = False  # whether deepbet finds the brain; only without a mask
    refusal: str | None = None  # why the volume is not to be translated
    scanned_slices: tuple[int, int] | None = None  # first and last that were scanned; None: all
    tags: Mapping[str, Any] = field(default_factory=dict)  # known of scan and person
    contrasts: tuple[str, ...] = ()  # of the sources; empty if all of the model's are there

    @property
    def source(self) -> Path:
        """The volume on whose grid the output is."""
        return self.sources[0]

    def given(self, names: Iterable[str]) -> dict[str, Path]:
        """Return the volumes to read by contrast, for the names of all sources of the model."""
        return dict(zip(self.contrasts or names, self.sources, strict=True))

    @property
    def inputs(self) -> list[Path]:
        """Files that are read."""
        return [*self.sources, *(path for path in (self.mask, self.stands_for) if path)]

    def stripped(self) -> "Job":
        """Return the job with its skull to be stripped, unless it has a mask of a person's."""
        own = PredictionFiles(self.output)
        if self.mask is None or (self.mask.resolve() == own.mask.resolve() and own.owns(self.mask)):
            return replace(self, mask=None, strip_skull=True)
        return self


def file_job(
    files: Mapping[str, Path],
    target: str,
    output: Path,
    mask: Path | None,
    seed: int,
    any_contrast: bool = False,
) -> Job:
    """Return the job of the files of one subject.

    ``files`` leave out sources that are absent, ``output`` is a file or an existing folder,
    ``mask`` None takes the one next to the first file, and with ``any_contrast`` names and sidecars
    that name another contrast do not count.
    """
    for name, path in files.items():
        if not any_contrast and (reason := contrast_refusal(path, name)):
            raise UsageError(reason)
    first, *_ = files.values()
    if output.is_dir():
        output = output / prediction_name(first.name, target)
    if not output.name.endswith(ENDINGS):
        raise UsageError(f"Expected OUT to end in .nii.gz or .nii, got {output.name}. Rename it.")
    if mask is not None and not mask.is_file():
        raise UsageError(f"Expected a mask file for a file, got {mask}. Check the path.")
    mask, tags = mask or mask_beside(first), tags_of_files(files, {})
    sources, contrasts = tuple(files.values()), tuple(files)
    return Job(first.name, sources, mask, output, seed, tags=tags, contrasts=contrasts)


def folder_jobs(
    folder: Path,
    source: Sequence[str],
    target: str,
    out_dir: Path,
    masks: Path | None,
    seed: int,
    any_contrast: bool = False,
    optional: Sequence[str] = (),
) -> list[Job]:
    """Return the jobs of all sessions in a folder; outputs mirror its tree.

    The folder is flat or BIDS; files end in the suffix of their contrast, such as
    ``_FLAIR.nii.gz``, and each of the first source gives a job with a seed of its own, made from
    ``seed`` and its name (``names_of``). A session may lack ``optional`` sources. ``masks`` None
    looks next to the volumes; ``any_contrast`` as ``file_job``.
    """
    found = {name: volumes_of(folder, name, out_dir, name in optional) for name in source}
    firsts = found[source[0]]
    jobs, listed = [], dict[Path, Sidecars]()
    for path, name in zip(firsts, names_of(firsts, folder), strict=True):
        files, refusal = gathered(path, found, optional)
        if refusal is None and not any_contrast:
            refusals = (contrast_refusal(file, key) for key, file in files.items())
            refusal = next(filter(None, refusals), None)
        mask = mask_beside(path) if masks is None else mask_in(masks, path)
        output = out_dir / path.relative_to(folder).parent / prediction_name(path.name, target)
        job = Job(
            name,
            tuple(files.values()),
            mask,
            output,
            seed_of(name, seed),
            refusal=refusal,
            tags=tags_of_files(files, listed),
            contrasts=tuple(files),
        )
        jobs.append(job)
    return jobs


def tags_of_files(files: Mapping[str, Path], listed: dict[Path, Sidecars]) -> dict[str, Any]:
    """Return the tags of scans, by contrast, and of the person, from the data set of the files.

    ``listed`` has the sidecars of data sets that were met before, and gets those of new ones.
    """
    tags: dict[str, Any] = {}
    for name, path in files.items():
        root = data_set_of(path.parent)
        sidecars = listed.setdefault(root, Sidecars(root))
        tags |= sidecars.person(path) | tags_of_scan(sidecars.known(path), name)
    return tags


def record_jobs(
    records: Sequence[Record],
    sources: Mapping[str, str | None],
    target: str,
    out_dir: Path,
    shuffle: bool = False,
    seed: int = 0,
    shuffle_tags: bool = False,
    optional: Sequence[str] = (),
) -> list[Job]:
    """Return the jobs of prepared subjects; all outputs are in ``out_dir``.

    ``sources`` are the model's, each with the name of the normaliser of its training data; None
    takes any. A subject may lack ``optional`` ones. With ``shuffle`` a subject gets volumes and
    mask of the next other subject, with ``shuffle_tags`` its tags. Each has a seed of its own, made
    from ``seed`` and its name.
    """
    jobs, first = [], next(iter(sources))
    for index, record in enumerate(records):
        giver = next_other(records, index) if shuffle else record
        tagged = next_other(records, index) if shuffle_tags else giver
        given = [name for name in sources if name in giver.images or name not in optional]
        for contrast in given:
            check_source(giver, contrast, sources[contrast])
        job = Job(
            record.name,
            tuple(giver.images[contrast] for contrast in given),
            giver.brain_mask,
            out_dir / synthetic_name(record.name, target),
            seed_of(record.name, seed),
            prepared=True,
            stands_for=record.images[first] if shuffle else None,
            scanned_slices=giver.scanned_slices,
            tags=tagged.known,
            contrasts=tuple(given),
        )
        jobs.append(job)
    return jobs


def seed_of(name: str, seed: int) -> int:
    """Return the seed of one volume: apart for other names, the same in any order.

    >>> seed_of("sub-01", 1) - seed_of("sub-01", 0)
    1
    """
    return (zlib.crc32(name.encode("utf-8", "surrogateescape")) + seed) % 2**31


def check_collisions(jobs: Sequence[Job]) -> None:
    """Check that no job replaces an input, another's output, or a file that is not ours.

    Names that differ by case alone are one name: some file systems cannot tell them apart.
    """
    inputs = [path for job in jobs for path in job.inputs]
    read_names, read_files = {_place(path) for path in inputs}, {_file(path) for path in inputs}
    sources: dict[str, tuple[Path, ...]] = {}
    for job in jobs:
        files = PredictionFiles(job.output)
        for path in files.names(job.strip_skull):
            place = _place(path)
            other = sources.setdefault(place, job.sources)
            if other != job.sources:
                raise UsageError(
                    f"Expected one source of {path.name}, got {other[0]} and {job.source}. "
                    "Rename one of them."
                )
            if place in read_names or (path.exists() and _file(path) in read_files):
                raise UsageError(
                    f"Expected outputs apart from inputs, got an input in the place of the output "
                    f"{path}. Choose another OUT."
                )
        files.refuse_foreign(job.strip_skull)


def _place(path: Path) -> str:
    """Return a file's absolute name, without differences that a file system may not keep."""
    whole = str(path.parent.resolve() / path.name)
    return unicodedata.normalize("NFC", whole).casefold()


def _file(path: Path) -> tuple[int, int] | None:
    """Return what links to one file share; None for a missing file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
