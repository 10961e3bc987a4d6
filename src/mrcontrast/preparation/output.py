"""Files of a data set: written, recognised as ours, and protected from being overwritten."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml

from mrcontrast import __version__
from mrcontrast.data.contrasts import MASK_ENDINGS, ending_of
from mrcontrast.data.record import ABSENT, MANIFEST, MASKS, Record, contrasts_in
from mrcontrast.errors import UsageError
from mrcontrast.imaging.header import FORMS_AGREE_MM
from mrcontrast.preparation.outcome import SESSIONS, Outcome
from mrcontrast.preparation.session import Dropped, Entry, Remark
from mrcontrast.preparation.subject import Subject
from mrcontrast.storage.files import sha256_file, write_json, write_text
from mrcontrast.storage.volume import write_labels, write_volume

RECIPE = "recipe.yaml"
DESCRIPTION = "dataset_description.json"
TABLES = ("dropped.tsv", "measures.tsv", "remarks.tsv", "quality.html")


def write_subject(subject: Subject, entry: Entry, root: Path, spacing_mm: float) -> Record:
    """Write a finished session under ``root`` and return its record, without a split.

    ``spacing_mm`` is that of the recipe, which the session has up to rounding.
    """
    folder = root / entry.subject / (entry.session or "") / "anat"
    images = {c: folder / f"{entry.name}_{ending_of(c)}.nii.gz" for c in subject.images}
    for contrast, path in images.items():
        write_volume(path, subject.images[contrast])
    masks = {name: getattr(subject, name) for name in MASK_ENDINGS} | {"brain_mask": subject.brain}
    paths: dict[str, Path] = {}
    for name, data in masks.items():
        if data is not None:
            paths[name] = folder / f"{entry.name}_{MASK_ENDINGS[name]}.nii.gz"
            write_labels(paths[name], data, subject.like.affine)
    return Record(
        subject=entry.subject,
        session=entry.session,
        split="",
        site=entry.site,
        images=images,
        brain_mask=paths["brain_mask"],
        lesion_mask=paths.get("lesion_mask"),
        labels=paths.get("labels"),
        sha256={contrast: sha256_file(path) for contrast, path in images.items()},
        shape=subject.like.shape,
        spacing_mm=spacing_mm,
        normalisers={name: fitted.to_dict() for name, fitted in subject.normalisers.items()},
        tags=subject.tags,
        measures=subject.measures,
        raw={name: Path(path) for name, path in subject.sources.items()},
    )


def remove_session(entry: Entry, root: Path) -> None:
    """Remove the files that an earlier or broken run has left of a session."""
    folder = root / entry.subject / (entry.session or "") / "anat"
    for path in folder.glob("*"):
        if f"{entry.name}_" in path.name:
            path.unlink(missing_ok=True)


def write_descriptions(root: Path, recipe: str, sources: list[str]) -> None:
    """Write ``recipe.yaml``, resolved, and ``dataset_description.json`` with the raw folders."""
    write_text(root / RECIPE, recipe)
    description = {
        "Name": "Images prepared by mrcontrast",
        "BIDSVersion": "1.9.0",
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": "mrcontrast", "Version": __version__, "Description": RECIPE}],
        "SourceDatasets": [{"URL": Path(folder).as_uri()} for folder in sources],
    }
    write_json(root / DESCRIPTION, description)


def remove_strangers(root: Path, wanted: set[Path], sessions: set[str]) -> None:
    """Remove files that are not ``wanted``, outcomes of other sessions, and empty folders."""
    for path in sorted(root.glob("sub-*/**/*"), reverse=True):
        if path.is_dir():
            if not any(path.iterdir()):
                path.rmdir()
        elif path not in wanted:
            path.unlink(missing_ok=True)
    for path in root.glob("sub-*"):
        if not any(path.iterdir()):
            path.rmdir()
    for path in (root / SESSIONS).glob("*"):
        if path.suffix != ".json" or path.stem not in sessions:
            path.unlink(missing_ok=True)


def own_files(root: Path) -> list[Path]:
    """Return the files of a data set that ``prepare`` has written, by the names in its manifest."""
    names = [*TABLES, RECIPE, DESCRIPTION, MANIFEST]
    rows = manifest_rows(root)
    columns = [*contrasts_in(rows[0] if rows else ()), *MASKS]
    names += [row.get(column) or "" for row in rows for column in columns]
    inside = [name for name in names if name and not {"..", "/"} & {*Path(name).parts}]
    own = [root / name for name in inside] + list((root / SESSIONS).glob("sub-*.json"))
    return [path for path in own if path.is_file() or path.is_symlink()]


def manifest_rows(root: Path) -> list[dict[str, str | None]]:
    """Return the rows of a manifest, unchecked; none if there is no manifest."""
    if not (root / MANIFEST).is_file():
        return []
    with (root / MANIFEST).open(encoding="utf-8", errors="replace", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def refuse_others(stage: Path) -> None:
    """Raise UsageError if a folder for unfinished work holds other files, which would be lost."""
    parts = (*TABLES, RECIPE, DESCRIPTION, MANIFEST, SESSIONS)
    names = (path.name for path in stage.iterdir() if not path.name.startswith(("sub-", ".")))
    if others := sorted(name for name in names if name not in parts):
        raise UsageError(
            f"Expected an unfinished data set, got {others[0]} in it ({stage}). Move it away."
        )


def find_out(out: str, sources: list[str]) -> Path:
    """Return the absolute output folder; raise UsageError if no data set may take its place."""
    if not out.strip():
        raise UsageError("Expected a folder for the data set, got an empty name. Give out=FOLDER.")
    path = Path(out).resolve()
    here = Path.cwd()
    if here.is_relative_to(path) or path.is_mount():
        raise UsageError(
            f"Expected a folder of its own for the data set, got {path}, the current folder, one "
            "above it or a mount point. Give a folder below it: out=FOLDER/NAME."
        )
    if path.exists() and not path.is_dir():
        raise UsageError(f"Expected a folder, got a file ({path}). Choose another out=.")
    for source in (Path(folder).resolve() for folder in sources):
        if path.is_relative_to(source) or source.is_relative_to(path):
            raise UsageError(
                f"Expected an output folder apart from the raw data, got {path} ({source}). "
                "Choose another out=."
            )
    return path


def check_content(out: Path, recipe: str) -> None:
    """Refuse to replace anything but a data set of the same recipe; its split may differ.

    Raises:
        UsageError: ``out`` holds something else.
    """
    if not out.is_dir() or not any(out.iterdir()):
        return
    same = out / RECIPE
    if not (out / MANIFEST).is_file() or not same.is_file():
        found = "a folder with other content"
    elif _without_split(same.read_text("utf-8", "replace")) != _without_split(recipe):
        found = "a data set of another recipe"
    else:
        return
    raise UsageError(
        f"Expected an empty folder or a data set of the same recipe, got {found} ({out}). "
        "Choose another out= or move it away."
    )


def _without_split(recipe: str) -> object:
    """Return a recipe without its split, which changes no session."""
    try:
        found = yaml.safe_load(recipe)
    except yaml.YAMLError:
        return recipe
    return {k: v for k, v in found.items() if k != "split"} if isinstance(found, dict) else recipe


TEXTS = {  # by the name of a finding: its text and limit
    "qform_sform_mm": ("qform and sform are {} mm apart; the sform counts", f"<= {FORMS_AGREE_MM}"),
    "affine": ("{}, so its orientation is a guess", "one form set"),
    "sheared": ("the sform is sheared: {}", "right angles"),
    "units": ("the unit is {}", "mm"),
}


def write_tables(
    root: Path, dropped: Sequence[Dropped], outcomes: Sequence[Outcome], remarks: Sequence[Remark]
) -> None:
    """Write ``dropped.tsv``, ``measures.tsv`` and ``remarks.tsv``."""
    head = ("item", "operator", "measure", "value", "threshold", "reason")
    left_out = [(d.name, d.operator, d.measure, d.value, d.threshold, d.reason) for d in dropped]
    _write(root / "dropped.tsv", head, left_out)
    rows = [
        (outcome.name, c.step, c.operator, c.measure, c.before, c.after)
        for outcome in sorted(outcomes, key=lambda outcome: outcome.name)
        for c in outcome.changes
    ]
    _write(root / "measures.tsv", ("item", "step", "operator", "measure", "before", "after"), rows)
    found = [(r.item, r.operator, r.measure, r.value, r.threshold, r.text) for r in remarks]
    _write(root / "remarks.tsv", head, found)


def _write(path: Path, head: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a table of one-line cells, whole."""
    lines = ["\t".join(head), *("\t".join(map(_cell, row)) for row in rows)]
    write_text(path, "\n".join(lines) + "\n")


def _cell(value: Any) -> str:  # noqa: ANN401 - whatever stands in a table
    r"""Format a value on one line.

    >>> _cell(None), _cell(0.30000000000000004), _cell("two\nlines"), _cell("")
    ('n/a', '0.3', 'two lines', 'n/a')
    """
    text = f"{value:.7g}" if isinstance(value, float) else str("" if value is None else value)
    return " ".join(text.split()) or ABSENT


def header_remarks(outcomes: Sequence[Outcome]) -> list[Remark]:
    """Return a remark for each uncertain place of a scan in the measures of ``CheckHeader``."""
    remarks = []
    for outcome in outcomes:
        for measure, facts in {c.measure: c.after for c in outcome.changes}.items():
            contrast = measure.removesuffix("_header")
            if contrast in (measure, *MASKS):
                continue
            for found in str(facts or "").split("; "):
                name, _, value = found.partition(" ")
                if name not in TEXTS or (name, value) == ("units", "unknown"):
                    continue
                text, limit = TEXTS[name]
                number = float(value) if name == "qform_sform_mm" else 1.0
                line = f"{outcome.name}: {contrast}: {text.format(value)}"
                name = f"{contrast}_{name}"
                remarks.append(Remark(outcome.name, "CheckHeader", name, number, limit, line))
    return remarks
