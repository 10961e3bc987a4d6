"""What is written: files of a session, the tables beside them, and a folder whole or not at all."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from mrcontrast import __version__
from mrcontrast.data.manifest import ABSENT, MANIFEST, Record
from mrcontrast.errors import MrcontrastError, UsageError
from mrcontrast.preparation.operators import brain_of
from mrcontrast.preparation.subject import Dropped, Entry, Subject
from mrcontrast.volume import sha256_file, write_json, write_labels, write_text, write_volume

RECIPE = "recipe.yaml"
DROPPED = "dropped.tsv"
DESCRIPTION = "dataset_description.json"


def write_subject(subject: Subject, entry: Entry, root: Path) -> Record:
    """Write a finished session under ``root`` and describe it; its split is decided later.

    Raises:
        MrcontrastError: The folder cannot be written.
    """
    folder = root / entry.subject / (entry.session or "") / "anat"
    affine = subject.flair.affine

    def named(suffix: str) -> Path:
        return folder / f"{entry.name}_{suffix}.nii.gz"

    def labels(suffix: str, data: np.ndarray | None) -> Path | None:
        if data is None:
            return None
        write_labels(named(suffix), data, affine)
        return named(suffix)

    write_volume(named("FLAIR"), subject.flair)
    write_volume(named("T1w"), subject.t1w)
    write_labels(named("desc-brain_mask"), brain_of(subject), affine)
    return Record(
        subject=entry.subject,
        session=entry.session,
        split="",
        site=entry.site,
        flair=named("FLAIR"),
        t1w=named("T1w"),
        brain_mask=named("desc-brain_mask"),
        lesion_mask=labels("label-lesion_mask", subject.lesion_mask),
        labels=labels("dseg", subject.labels),
        sha256_flair=sha256_file(named("FLAIR")),
        sha256_t1w=sha256_file(named("T1w")),
        shape=subject.flair.shape,
        spacing_mm=subject.flair.spacing_mm[0],
        normaliser_flair=subject.normalisers["flair"].to_dict(),
        normaliser_t1w=subject.normalisers["t1w"].to_dict(),
        tags=subject.tags,
        measures=subject.measures,
        source_flair=subject.sources.get("flair"),
        source_t1w=subject.sources.get("t1w"),
        source_mask=subject.sources.get("mask"),
    )


def write_tables(root: Path, dropped: list[Dropped], recipe: str, sources: list[str]) -> None:
    """Write ``dropped.tsv``, ``recipe.yaml`` and ``dataset_description.json``.

    Args:
        root: Folder of the data set.
        dropped: What was left out.
        recipe: The resolved recipe as YAML.
        sources: Folders of raw data.
    """
    rows = ["subject\tsession\toperator\treason"]
    for item in dropped:
        reason = " ".join(item.reason.split())
        rows.append("\t".join((item.subject, item.session or ABSENT, item.operator, reason)))
    write_text(root / DROPPED, "\n".join(rows) + "\n")
    write_text(root / RECIPE, recipe)
    description = {
        "Name": "FLAIR and T1w pairs prepared by mrcontrast",
        "BIDSVersion": "1.9.0",
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": "mrcontrast", "Version": __version__, "Description": RECIPE}],
        "SourceDatasets": [{"URL": Path(folder).as_uri()} for folder in sources],
    }
    write_json(root / DESCRIPTION, description)


def check_out(out: Path, recipe: str, sources: list[str]) -> None:
    """Refuse an output folder that would lose or mix data.

    Raises:
        UsageError: ``out`` lies in raw data or around it, or holds something else than a data
            set made by this very recipe.
    """
    for source in map(Path, sources):
        if out.is_relative_to(source) or source.is_relative_to(out):
            raise UsageError(
                f"Expected an output folder apart from the raw data, got {out} ({source}). "
                "Choose another out=."
            )
    if not out.is_dir() or not any(out.iterdir()):
        return
    same = out / RECIPE
    if not (out / MANIFEST).is_file() or not same.is_file():
        found = "a folder with other content"
    elif same.read_text(encoding="utf-8") != recipe:
        found = "a data set of another recipe"
    else:
        return
    raise UsageError(
        f"Expected an empty folder or a data set of the same recipe, got {found} ({out}). "
        "Choose another out= or move it away."
    )


@contextmanager
def staged(out: Path) -> Iterator[Path]:
    """Yield a folder beside ``out`` that takes its place when the block succeeds.

    An earlier data set at ``out`` stays until then; what others have put into it (caches, notes)
    is moved to the new one.

    Raises:
        MrcontrastError: The operating system refuses.
    """
    stage = out.with_name(f".{out.name}.partial-{os.getpid()}")
    old = out.with_name(f".{out.name}.replaced-{os.getpid()}")
    try:
        stage.mkdir(parents=True)
        yield stage
        if out.exists():
            out.rename(old)
        stage.rename(out)
    except OSError as error:
        raise MrcontrastError(
            f"Expected a folder that can be written to, got the error: "
            f"{error.strerror or error} ({out}). Choose another out=."
        ) from error
    finally:
        shutil.rmtree(stage, ignore_errors=True)
    if old.exists():
        for item in old.iterdir():
            if not item.name.startswith("sub-") and not (out / item.name).exists():
                item.rename(out / item.name)
        shutil.rmtree(old)
