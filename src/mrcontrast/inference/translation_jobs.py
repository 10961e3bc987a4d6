"""Volumes to translate: of one subject, of a folder or BIDS tree, or of a prepared data set."""

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mrcontrast.data.predictions import (
    ENDINGS,
    PredictionFiles,
    prediction_name,
    synthetic_name,
)
from mrcontrast.data.record import Record
from mrcontrast.data.scan_tags import tags_of_scan
from mrcontrast.data.scanned import scanned_slices
from mrcontrast.data.sidecars import Sidecars, data_set_of
from mrcontrast.errors import UsageError
from mrcontrast.inference.contrast_names import contrast_refusal
from mrcontrast.inference.mask_files import mask_beside, mask_in
from mrcontrast.inference.prepared_records import check_source, next_other
from mrcontrast.inference.session_files import gathered, names_of, volumes_of


@dataclass(frozen=True)
class Job:
    """One volume to make.

    Attributes:
        name: Of the subject or file, for messages.
        sources: Volumes to read, in the order of the model's sources; the first gives the grid.
        contrasts: Their names, where the model has optional sources; empty if all are there.
        mask: Brain mask on its grid; None takes the largest non-zero component.
        output: Volume to write.
        seed: Of the noise.
        prepared: Whether the sources are normalised and on the model's spacing already.
        stands_for: Volume of the same shape whose place in space the output takes, voxel for voxel;
            None leaves it where the first source is.
        strip_skull: Whether deepbet finds the brain; only where there is no ``mask``.
        refusal: Why the volume is not to be translated; None if it is.
        scanned_slices: First and last axial slice of a prepared volume that were scanned; None is
            all.
        tags: What is known of scan and person, by the names of a manifest.
    """

    name: str
    sources: tuple[Path, ...]
    mask: Path | None
    output: Path
    seed: int
    prepared: bool = False
    stands_for: Path | None = None
    strip_skull: bool = False
    refusal: str | None = None
    scanned_slices: tuple[int, int] | None = None
    tags: Mapping[str, Any] = field(default_factory=dict)
    contrasts: tuple[str, ...] = ()

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

    Args:
        files: By the names of the model's sources, in its order, without those that are absent.
        target: Contrast that the model makes.
        output: NIfTI file, or a folder, in which the volume gets the first file's BIDS-like name.
        mask: Brain mask; None takes the one next to the first file.
        seed: Of the noise.
        any_contrast: Whether names and sidecars that name another contrast do not count.

    Raises:
        UsageError: The name or sidecar of a file names another contrast, the output is no NIfTI
            name, or the mask is a folder.
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
    return session_job(first.name, files, mask or mask_beside(first), output, seed)


def session_job(
    name: str, files: Mapping[str, Path], mask: Path | None, output: Path, seed: int
) -> Job:
    """Return the job of the raw files of one session by contrast, with the tags of sidecars."""
    sources, tags = tuple(files.values()), tags_of_files(files)
    return Job(name, sources, mask, output, seed, tags=tags, contrasts=tuple(files))


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

    Args:
        folder: Flat or BIDS; files end in the suffix of their contrast, such as ``_FLAIR.nii.gz``.
        source: Names of the model's sources; each volume of the first gives a job.
        target: Contrast that the model makes.
        out_dir: Gets the outputs.
        masks: Folder of brain masks, found by their sub and ses entities; None looks next to the
            volumes.
        seed: Each volume has a seed of its own, made from this and its name; see ``names_of``.
        any_contrast: Whether sidecars that name another contrast do not count.
        optional: Sources that a session may lack.

    Raises:
        MrcontrastError: There is no volume of a source that is needed, or a mask is missing or
            ambiguous.
    """
    found = {name: volumes_of(folder, name, out_dir, name in optional) for name in source}
    firsts = found[source[0]]
    jobs = []
    for path, name in zip(firsts, names_of(firsts, folder), strict=True):
        files, refusal = gathered(path, found, optional)
        if refusal is None and not any_contrast:
            refusals = (contrast_refusal(file, key) for key, file in files.items())
            refusal = next(filter(None, refusals), None)
        mask = mask_beside(path) if masks is None else mask_in(masks, path)
        output = out_dir / path.relative_to(folder).parent / prediction_name(path.name, target)
        job = session_job(name, files, mask, output, seed_of(name, seed))
        jobs.append(replace(job, refusal=refusal))
    return jobs


def tags_of_files(files: Mapping[str, Path]) -> dict[str, Any]:
    """Return the tags of scans, by contrast, from the sidecars that hold for them."""
    tags: dict[str, Any] = {}
    for name, path in files.items():
        tags |= tags_of_scan(Sidecars(data_set_of(path.parent)).known(path), name)
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

    Args:
        records: Prepared subjects.
        sources: Names of the model's sources, each with the name of the normaliser of its training
            data; None takes any.
        target: Contrast that the model makes.
        out_dir: Gets ``<record.name>_desc-synth_<suffix>.nii.gz``.
        shuffle: Give each subject the volumes and mask of the next other subject.
        seed: Each subject has a seed of its own, made from this and its name.
        shuffle_tags: Give each subject the tags of the next other subject.
        optional: Sources that a subject may lack.

    Raises:
        UsageError: There is no other subject.
        MrcontrastError: A subject lacks a source, or was normalised in another way.
    """
    jobs, first = [], next(iter(sources))
    for index, record in enumerate(records):
        giver = next_other(records, index) if shuffle else record
        told = next_other(records, index) if shuffle_tags else giver
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
            scanned_slices=scanned_slices(giver),
            tags=told.known,
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
