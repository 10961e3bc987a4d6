"""Match predictions, references and masks by BIDS entities sub and ses, else by file name."""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mrcontrast.data.contrasts import ending_of
from mrcontrast.data.predictions import ENDINGS, PredictionFiles, stem, without_contrast
from mrcontrast.errors import MrcontrastError, printable

ENTITY = r"(?:^|[/_])({}-[^/_.]+)"
MASK_SUFFIX = re.compile("(_desc-brain|_label-lesion)?_mask$")
NAMES_SHOWN = 5

# For each kind the first pattern with a match decides; the last matches any image.
IMAGE = r"^(?!.*(_mask|_dseg|_probseg)$)"
TREE_MASKS = (r"_desc-brain_mask$",)
MASKS = (*TREE_MASKS, r"^(?!.*label-).*_mask$", "")
TREE_LESIONS = (r"_label-lesion_mask$",)
LESIONS = (*TREE_LESIONS, r"_mask$", "")
LABELS = (r"_dseg$",)


@dataclass(frozen=True)
class Case:
    """The files of one session."""

    name: str  # "sub-X", "sub-X_ses-Y", or a file name without its ending
    reference: Path
    mask: Path | None  # of the brain; None for the non-zero voxels of the reference
    predictions: dict[str, Path] = field(default_factory=dict)  # by method
    lesions: Path | None = None
    labels: Path | None = None  # of tissues, numbered as those of the phantom

    @property
    def subject(self) -> str:
        """The subject, the unit of statistics."""
        return subject_of(self.name)


def subject_of(name: str) -> str:
    """Return the subject of a session.

    >>> subject_of("sub-01_ses-2")
    'sub-01'
    """
    return name.split("_ses-")[0]


def image_pattern(contrast: str) -> str:
    """Return the pattern of the images of a contrast, real or synthetic.

    >>> image_pattern("t2w"), image_pattern("t1wce")
    ('(^|_)T2w$', '_ce-[A-Za-z0-9]+_(.*_)?T1w$')
    """
    entity, _, suffix = ending_of(contrast).rpartition("_")
    if not entity:
        return f"(^|_){suffix}$"
    return f"_{entity.partition('-')[0]}-[A-Za-z0-9]+_(.*_)?{suffix}$"


def prediction_patterns(contrast: str) -> tuple[str, ...]:
    """Return the patterns of predictions of a contrast, best first."""
    return (
        f"_desc-synth_{ending_of(contrast).rpartition('_')[2]}$",
        f"^(?!.*desc-synth).*{image_pattern(contrast)}",
        IMAGE,
    )


def index_folder(folder: Path, patterns: tuple[str, ...]) -> dict[str, Path]:
    """Find the NIfTI files of one kind in a folder and its subfolders, by session.

    Patterns, best first, fit a file's name without its ending. Standard deviations from
    ``mrcontrast translate`` are left out.

    Raises:
        MrcontrastError: The folder cannot be read, or two files belong to one session.
    """
    return {
        name: only(paths, name, folder) for name, paths in group_folder(folder, patterns).items()
    }


def group_folder(folder: Path, patterns: tuple[str, ...]) -> dict[str, list[Path]]:
    """Find files as ``index_folder`` does; a session may have several."""
    files = volumes_in(folder)
    spreads = {PredictionFiles(path).std for path in files}
    images = [path for path in files if path not in spreads]
    by_pattern = ([f for f in images if re.search(pattern, stem(f))] for pattern in patterns)
    groups: dict[str, list[Path]] = {}
    for path in next(filter(None, by_pattern), []):
        groups.setdefault(session_name(path, folder), []).append(path)
    return groups


def only(paths: Sequence[Path], name: str, folder: Path) -> Path:
    """Return the only file of a session; raise MrcontrastError if there are several."""
    if len(paths) > 1:
        one, other = (path.relative_to(folder) for path in paths[:2])
        raise MrcontrastError(
            f"Expected one image of {name}, got {one} and {other} ({folder}). Keep one of them."
        )
    return paths[0]


def volumes_in(folder: Path) -> list[Path]:
    """Return all NIfTI files below a folder, by their names, sorted; hidden ones are left out.

    Raises:
        MrcontrastError: The folder or a subfolder cannot be read.
    """

    def refuse(error: OSError) -> None:
        raise MrcontrastError(
            f"Expected a folder that can be read, got {error.strerror} ({error.filename}). "
            "Change its permissions, or choose another."
        ) from error

    if folder.is_file():
        raise MrcontrastError(f"Expected a folder, got a file ({folder}). Name its folder.")
    if not folder.is_dir():
        raise MrcontrastError(f"Expected a folder, got none ({folder}). Check the path.")
    return sorted(
        Path(place, name)
        for place, _, names in os.walk(folder, onerror=refuse)
        for name in names
        if name.endswith(ENDINGS) and not name.startswith(".")
    )


def session_name(path: Path, root: Path) -> str:
    """Return the session of a file: its BIDS entities, else its name without ending and suffix.

    Example:
        >>> session_name(Path("out/sub-01/ses-2/anat/t1.nii.gz"), Path("out"))
        'sub-01_ses-2'
        >>> session_name(Path("out/case_7_T1w.nii"), Path("out"))
        'case_7'
    """
    relative = printable(path.relative_to(root).as_posix())
    found = [re.findall(ENTITY.format(entity), relative) for entity in ("sub", "ses")]
    if found[0]:
        return "_".join(matches[-1] for matches in found if matches)
    return without_contrast(MASK_SUFFIX.sub("", printable(stem(path))))


def match(
    predictions: Mapping[str, Path], known: Mapping[str, object], folder: Path
) -> tuple[dict[str, Path], list[str]]:
    """Return the prediction of each known session, and the names of predictions without one.

    A name may lack the session entity.

    Raises:
        MrcontrastError: A prediction matches several sessions, or two match the same.
    """
    matched: dict[str, Path] = {}
    foreign = []
    for name, path in predictions.items():
        sessions = [other for other in known if other.startswith(f"{name}_ses-")]
        if name not in known and len(sessions) > 1:
            raise MrcontrastError(
                f"Expected a name that means one session, got {name} for {listing(sessions)}. "
                "Put the session into the file name."
            )
        target = name if name in known else next(iter(sessions), None)
        if target is None:
            foreign.append(name)
        elif matched.setdefault(target, path) != path:
            raise MrcontrastError(
                f"Expected one prediction of {target}, got {matched[target].name} and {path.name} "
                f"({folder}). Keep one of them."
            )
    return matched, foreign


def listing(names: Iterable[str]) -> str:
    """Join the first few names for a message, with the number of others."""
    names = sorted(names)
    more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    return ", ".join(names[:NAMES_SHOWN]) + more
