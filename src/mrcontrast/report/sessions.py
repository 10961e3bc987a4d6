"""Find the files of an evaluation and read their images in the units of the scores."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mrcontrast.data.manifest import MANIFEST, Manifest
from mrcontrast.data.predictions import SYNTHETIC, PredictionFiles
from mrcontrast.errors import MrcontrastError
from mrcontrast.evaluation.collection import collect
from mrcontrast.evaluation.masks import DERIVED_MASKS, MASKS_BESIDE
from mrcontrast.evaluation.pairing import Case, index_folder, listing, match
from mrcontrast.evaluation.reference import axial_axis, read_like
from mrcontrast.evaluation.scoring import read_reference
from mrcontrast.inference.originals import originals
from mrcontrast.metrics.intensity import ReferenceRange, is_unit
from mrcontrast.metrics.score_regions import mean_slice_error
from mrcontrast.metrics.voxelwise import mean_absolute_error
from mrcontrast.report.evaluation import Evaluation
from mrcontrast.storage.volume import Volume, read_volume
from mrcontrast.transforms.brain import mask_from_nonzero
from mrcontrast.transforms.standardise import normaliser_from_name

FLAIRS = (r"(^|_)FLAIR$", r"(?i)flair")
TOLERANCE = 1e-4  # of the intensity range: the scores were computed from the same voxels
OWN_SCALE = ReferenceRange()  # of a FLAIR in scanner units


@dataclass(frozen=True)
class Session:
    """The files of one scored session.

    Attributes:
        case: Reference, mask and predictions.
        flair: Source image, or None where unknown.
        labels: Tissue labels on the reference's grid, or None.
    """

    case: Case
    flair: Path | None = None
    labels: Path | None = None

    def spread(self, method: str) -> Path | None:
        """Return the file of the standard deviation of a prediction, if any."""
        prediction = self.case.predictions.get(method)
        path = None if prediction is None else PredictionFiles(prediction).std
        return path if path is not None and path.is_file() else None


@dataclass(frozen=True)
class Images:
    """The volumes of one session in the units of the scores; all but FLAIR are on one grid.

    Attributes:
        real: Reference.
        mask: The brain, (X, Y, Z) bool.
        synthetic: Prediction by method.
        spread: Standard deviation over draws, by method.
        flair: Source in [0, 1], or None.
        labels: (X, Y, Z), whole numbers, or None.
    """

    real: Volume
    mask: np.ndarray
    synthetic: dict[str, Volume]
    spread: dict[str, Volume]
    flair: Volume | None
    labels: np.ndarray | None


def find_sessions(evaluation: Evaluation, flairs: Path | None = None) -> dict[str, Session]:
    """Find the files of all scored sessions again, by name.

    Args:
        evaluation: Names the folders; a missing one is searched for next to the evaluation.
        flairs: Folder of source images; None takes those of a prepared data set.

    Raises:
        MrcontrastError: A folder or a file has gone.
    """
    inputs, study = evaluation.summary["inputs"], evaluation.folder.parent
    predictions = {
        name: locate(Path(folder), study) for name, folder in inputs["predictions"].items()
    }
    references = inputs["references"]
    if references.startswith("raw T1w files"):
        found = _originals(evaluation.names, predictions, study)
    else:
        masks, folder = inputs["masks"], locate(Path(references), study)
        given = masks != DERIVED_MASKS and not masks.endswith(MASKS_BESIDE)
        found = _collected(predictions, folder, locate(Path(masks), study) if given else None)
    if lost := set(evaluation.names) - set(found):
        raise MrcontrastError(
            f"Expected the volumes that were scored, got none of {listing(lost)} "
            f"({evaluation.folder}). Put them back or evaluate again."
        )
    sessions = {name: found[name] for name in evaluation.names}
    return sessions if flairs is None else _with_flairs(sessions, flairs)


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
    name = evaluation.summary.get("reference_normaliser")
    normaliser = None if name is None else normaliser_from_name(name, clip=True)
    reference, mask = read_reference(session.case, normaliser)
    own = evaluation.summary["intensity_range"]["rule"] == "reference"
    low, high = _ends(session, evaluation) if own else (0.0, 1.0)
    real = _scaled(reference, low, high)
    images = Images(
        real,
        mask,
        {
            method: _scaled(read_like(path, reference, session.case, mask), low, high)
            for method, path in session.case.predictions.items()
        },
        {
            method: _scaled(read_like(path, reference, session.case, mask, True), 0.0, high - low)
            for method in session.case.predictions
            if (path := session.spread(method)) is not None
        },
        None if session.flair is None else _read_flair(session.flair),
        None
        if session.labels is None
        else read_like(session.labels, reference, session.case, mask).data,
    )
    _check_scores(session, images, evaluation)
    return images


def _collected(
    predictions: Mapping[str, Path], references: Path, masks: Path | None
) -> dict[str, Session]:
    """Find the sessions as the evaluation did, with FLAIR and labels of a prepared data set."""
    known = Manifest.read(references).records if (references / MANIFEST).is_file() else []
    records = {record.name: record for record in known}
    splits = {name: record.split for name, record in records.items()}
    folders = predictions, references, masks
    cases = collect(*folders, True, splits, shared=False, any_reference=True).cases
    return {
        case.name: Session(case, records[case.name].images["flair"], records[case.name].labels)
        if case.name in records
        else Session(case)
        for case in cases
    }


def _originals(
    names: list[str], predictions: Mapping[str, Path], study: Path
) -> dict[str, Session]:
    """Find the raw files of a study that scored on the subjects' own grids."""
    records = [r for r in Manifest.read(study / "data").records if r.name in names]
    found = {}
    for raw in originals(records, study / "masks_full_grid"):
        files = {m: folder / f"{raw.name}{SYNTHETIC}.nii.gz" for m, folder in predictions.items()}
        found[raw.name] = Session(Case(raw.name, raw.t1w, raw.mask, files), raw.flair)
    return found


def _with_flairs(sessions: Mapping[str, Session], folder: Path) -> dict[str, Session]:
    """Give each session its source image from a folder; some may lack one."""
    index = index_folder(folder, FLAIRS)
    index = {re.sub(r"(?i)_?flair$", "", name): path for name, path in index.items()}
    flairs, _ = match(index, sessions, folder)
    if not flairs:
        raise MrcontrastError(
            f"Expected FLAIR images of the scored subjects, got none ({folder}). "
            "Name them like the references, with FLAIR in the name."
        )
    return {name: replace(item, flair=flairs.get(name)) for name, item in sessions.items()}


def _ends(session: Session, evaluation: Evaluation) -> tuple[float, float]:
    """Return the intensity range of one session, in the units of its files."""
    return next(row.ends for row in evaluation.rows if row.name == session.case.name)


def _scaled(volume: Volume, low: float, high: float) -> Volume:
    """Return a volume with ``low`` at 0 and ``high`` at 1."""
    if (low, high) == (0.0, 1.0):
        return volume
    return replace(volume, data=(volume.data - np.float32(low)) / np.float32(high - low))


def _read_flair(path: Path) -> Volume:
    """Read a source image; one in scanner units is brought to [0, 1] by its own percentiles."""
    volume = read_volume(path)
    if is_unit(float(volume.data.min()), float(volume.data.max())):
        return volume
    return _scaled(volume, *OWN_SCALE.ends(volume.data, mask_from_nonzero(volume)))


def _check_scores(session: Session, images: Images, evaluation: Evaluation) -> None:
    """Check that the mean error of each volume in the brain equals its score."""
    dims = evaluation.summary.get("metrics", {}).get("mae", {}).get("dims", 3)
    for method, synthetic in images.synthetic.items():
        row = evaluation.row(session.case.name, method, "brain")
        if row is None or "mae" not in row.scores:
            continue
        pair = synthetic.data, images.real.data, images.mask
        axial = axial_axis(images.real)
        found = mean_slice_error(*pair, axial) if dims == 2 else mean_absolute_error(*pair)
        scored = row.scores["mae"]
        fixed = evaluation.summary["intensity_range"]["rule"] == "fixed"
        width = row.high - row.low if fixed else 1.0
        if abs(found - scored) > TOLERANCE * width:
            raise MrcontrastError(
                f"Expected the volumes that were scored, got MAE {found:.4g} where subjects.csv "
                f"has {scored:.4g} ({session.case.name}, {method}). Evaluate again."
            )
