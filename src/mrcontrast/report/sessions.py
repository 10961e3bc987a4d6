"""Find the files of an evaluation and read their images in the units of the scores."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from mrcontrast.data.contrasts import contrast_of_name, title_of
from mrcontrast.data.manifest import Manifest
from mrcontrast.data.predictions import PredictionFiles, stem, synthetic_name
from mrcontrast.data.record import MANIFEST
from mrcontrast.errors import MrcontrastError
from mrcontrast.evaluation.collection import DERIVED_MASKS, MASKS_BESIDE, Rules, collect
from mrcontrast.evaluation.pairing import IMAGE, Case, group_folder, listing, match, only
from mrcontrast.evaluation.reference import axial_axis, read_like, read_reference
from mrcontrast.inference.originals import originals
from mrcontrast.metrics.intensity import ReferenceRange, is_unit
from mrcontrast.metrics.score_regions import mean_slice_error
from mrcontrast.metrics.voxelwise import mean_absolute_error
from mrcontrast.report.evaluation import Evaluation
from mrcontrast.storage.volume import Volume, read_volume
from mrcontrast.transforms.brain import mask_from_nonzero
from mrcontrast.transforms.standardise import normaliser_from_name

TOLERANCE = 1e-4  # of the intensity range: the scores were computed from the same voxels


@dataclass(frozen=True)
class Session:
    """The files of one scored session; sources by contrast and tissue labels as far as known."""

    case: Case
    sources: Mapping[str, Path] = field(default_factory=dict)
    labels: Path | None = None

    def spread(self, method: str) -> Path | None:
        """Return the file of the standard deviation of a prediction, if any."""
        prediction = self.case.predictions.get(method)
        path = None if prediction is None else PredictionFiles(prediction).std
        return path if path is not None and path.is_file() else None


@dataclass(frozen=True)
class Images:
    """The volumes of one session in the units of the scores; all but sources are on one grid."""

    real: Volume
    mask: np.ndarray  # (X, Y, Z) bool
    synthetic: dict[str, Volume]  # by method
    spread: dict[str, Volume]  # standard deviation over draws, by method
    sources: dict[str, Volume]  # in [0, 1], by contrast
    labels: np.ndarray | None  # (X, Y, Z), whole numbers


def find_sessions(evaluation: Evaluation, sources: Path | None = None) -> dict[str, Session]:
    """Find the files of all scored sessions again, by name.

    A missing folder is searched for next to the evaluation. Source images are in the folder
    ``sources``, else in a prepared data set.

    Raises:
        MrcontrastError: A folder or a file has gone.
    """
    inputs, study = evaluation.summary["inputs"], evaluation.folder.parent
    predictions = {
        name: locate(Path(folder), study) for name, folder in inputs["predictions"].items()
    }
    if evaluation.is_at_full_grid:
        found = _originals(evaluation, predictions)
    else:
        masks, folder = inputs["masks"], locate(Path(inputs["references"]), study)
        told = masks != DERIVED_MASKS and not masks.endswith(MASKS_BESIDE)
        given = locate(Path(masks), study) if told else None
        found = _collected(evaluation, predictions, folder, given)
    if lost := set(evaluation.names) - set(found):
        raise MrcontrastError(
            f"Expected the volumes that were scored, got none of {listing(lost)} "
            f"({evaluation.folder}). Put them back or evaluate again."
        )
    sessions = {name: found[name] for name in evaluation.names}
    return sessions if sources is None else _with_sources(sessions, sources, evaluation.target)


def locate(folder: Path, study: Path) -> Path:
    """Return a folder, or the one with the same last names next to a moved evaluation.

    Raises:
        MrcontrastError: There is neither.
    """
    tails = [Path(*folder.parts[start:]) for start in range(1, len(folder.parts))]
    for path in (folder, *(study / tail for tail in tails)):
        if path.is_dir():
            return path
    raise MrcontrastError(
        f"Expected the folder that was evaluated, got none ({folder}). Put it back, or run the "
        "command where `mrcontrast evaluate` ran."
    )


def read_images(session: Session, evaluation: Evaluation) -> Images:
    """Read the images of one session and check that they were scored.

    Raises:
        MrcontrastError: A file cannot be read, or holds other voxels than those that were scored.
    """
    known, case = evaluation.summary.get("reference_normaliser"), session.case
    normaliser = known and normaliser_from_name(known, clip=True)
    reference, mask = read_reference(case, normaliser)
    own = evaluation.summary["intensity_range"]["rule"] == "reference"
    ends = next(row.ends for row in evaluation.rows if row.name == case.name)
    low, high = ends if own else (0.0, 1.0)

    def read(path: Path, zeros: bool = False) -> Volume:
        return read_like(path, reference, case, mask, zeros)

    images = Images(
        _scaled(reference, low, high),
        mask,
        {method: _scaled(read(path), low, high) for method, path in case.predictions.items()},
        {
            method: _scaled(read(path, zeros=True), 0.0, high - low)
            for method in case.predictions
            if (path := session.spread(method)) is not None
        },
        {name: _read_source(path) for name, path in session.sources.items()},
        None if session.labels is None else read(session.labels).data,
    )
    _check_scores(case, images, evaluation)
    return images


def _collected(
    evaluation: Evaluation,
    predictions: Mapping[str, Path],
    references: Path,
    masks: Path | None,
) -> dict[str, Session]:
    """Find the sessions as the evaluation did; a prepared data set has sources and labels."""
    known = Manifest.read(references).records if (references / MANIFEST).is_file() else []
    splits = {record.name: record.split for record in known}
    rules = Rules(allow_missing=True, any_reference=True, shared=False)
    cases = collect(predictions, references, evaluation.target, splits, masks, rules=rules).cases
    further = {r.name: (_sources(r.images, evaluation), r.labels) for r in known}
    return {case.name: Session(case, *further.get(case.name, ())) for case in cases}


def _sources(images: Mapping[str, Path], evaluation: Evaluation) -> dict[str, Path]:
    """Return the sources of a session: those that are known, else all images but the target."""
    names = evaluation.sources or [name for name in images if name != evaluation.target]
    return {name: images[name] for name in names if name in images}


def _originals(evaluation: Evaluation, predictions: Mapping[str, Path]) -> dict[str, Session]:
    """Find the raw files of a study that scored on the subjects' own grids."""
    study, target = evaluation.folder.parent, evaluation.target
    records = [r for r in Manifest.read(study / "data").records if r.name in evaluation.names]
    contrasts = [target, *(_sources(records[0].images, evaluation) if records else ())]
    found = {}
    for raw in originals(records, study / "masks_full_grid", contrasts, contrasts[1:]):
        files = {m: folder / synthetic_name(raw.name, target) for m, folder in predictions.items()}
        case = Case(raw.name, raw.images[target], raw.mask, files)
        found[raw.name] = Session(case, _sources(raw.images, evaluation))
    return found


def _with_sources(sessions: Mapping[str, Session], folder: Path, target: str) -> dict[str, Session]:
    """Give each session its source images from a folder, by the contrasts in their names."""
    found: dict[str, dict[str, Path]] = {}
    for name, paths in group_folder(folder, (IMAGE,)).items():
        by_contrast: dict[str | None, list[Path]] = {}
        for path in paths:
            by_contrast.setdefault(contrast_of_name(stem(path)), []).append(path)
        for contrast, same in by_contrast.items():
            if contrast not in (None, target):
                bare = re.sub(f"(?i)[_-]?{contrast}$", "", name)
                found.setdefault(str(contrast), {})[bare] = only(same, name, folder)
    matched = {contrast: match(index, sessions, folder)[0] for contrast, index in found.items()}
    if not any(matched.values()):
        raise MrcontrastError(
            f"Expected images of another contrast than {title_of(target)} of the scored subjects, "
            f"got none ({folder}). Name them like the references, with the contrast at the end."
        )
    return {
        name: replace(
            item, sources={c: files[name] for c, files in matched.items() if name in files}
        )
        for name, item in sessions.items()
    }


def _scaled(volume: Volume, low: float, high: float) -> Volume:
    """Return a volume with ``low`` at 0 and ``high`` at 1."""
    if (low, high) == (0.0, 1.0):
        return volume
    return replace(volume, data=(volume.data - np.float32(low)) / np.float32(high - low))


def _read_source(path: Path) -> Volume:
    """Read a source image; one in scanner units is brought to [0, 1] by its own percentiles."""
    volume = read_volume(path)
    if is_unit(float(volume.data.min()), float(volume.data.max())):
        return volume
    return _scaled(volume, *ReferenceRange().ends(volume.data, mask_from_nonzero(volume)))


def _check_scores(case: Case, images: Images, evaluation: Evaluation) -> None:
    """Check that the mean error of each volume in the brain equals its score."""
    dims = evaluation.summary.get("metrics", {}).get("mae", {}).get("dims", 3)
    fixed = evaluation.summary["intensity_range"]["rule"] == "fixed"
    for method, synthetic in images.synthetic.items():
        row = evaluation.row(case.name, method, "brain")
        if row is None or "mae" not in row.scores:
            continue
        pair = synthetic.data, images.real.data, images.mask
        axial = axial_axis(images.real)
        found = mean_slice_error(*pair, axial) if dims == 2 else mean_absolute_error(*pair)
        scored, width = row.scores["mae"], row.high - row.low if fixed else 1.0
        if abs(found - scored) > TOLERANCE * width:
            raise MrcontrastError(
                f"Expected the volumes that were scored, got MAE {found:.4g} where subjects.csv "
                f"has {scored:.4g} ({case.name}, {method}). Evaluate again."
            )
