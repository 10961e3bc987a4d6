import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from mrcontrast.commands.evaluate import evaluate
from mrcontrast.data.manifest import Manifest
from mrcontrast.data.record import Record
from mrcontrast.errors import MrcontrastError
from mrcontrast.evaluation.protocol import Protocol
from mrcontrast.report.evaluation import read_evaluation
from mrcontrast.report.page import write_report
from mrcontrast.report.sessions import find_sessions, locate, read_images
from mrcontrast.storage.volume import Volume, read_volume, write_labels, write_volume


def test_a_prepared_data_set_knows_flair_labels_and_spread(
    evaluated: Path, prepared_root: Path
) -> None:
    evaluation = read_evaluation(evaluated.parent)  # the study
    sessions = find_sessions(evaluation)
    assert list(sessions) == [record.name for record in Manifest.read(prepared_root).records]
    images = read_images(sessions["sub-05"], evaluation)
    assert set(images.synthetic) == {"smooth", "draws"}
    assert set(images.spread) == {"draws"}
    assert images.spread["draws"].data[images.mask].max() == pytest.approx(0.1)
    assert set(images.sources) == {"flair"}
    assert images.labels is not None
    np.testing.assert_array_equal(
        images.real.data, read_volume(sessions["sub-05"].case.reference).data
    )


def test_another_system_is_shown_in_the_units_of_its_scores(foreign: Path) -> None:
    evaluation = read_evaluation(foreign)
    session = find_sessions(evaluation)["case0"]
    images = read_images(session, evaluation)
    assert (images.sources, images.labels, images.spread) == ({}, None, {})
    assert np.percentile(images.real.data[images.mask], 99.5) == pytest.approx(1, abs=0.01)
    error = np.abs(images.synthetic["theirs"].data - images.real.data)[images.mask].mean()
    row = evaluation.row("case0", "theirs", "brain")
    assert row is not None
    assert error == pytest.approx(row.scores["mae"], abs=1e-5)


def test_source_images_can_be_given(foreign: Path, prepared_root: Path, tmp_path: Path) -> None:
    flair = read_volume(Manifest.read(prepared_root).records[0].images["flair"])
    path = tmp_path / "case0_FLAIR.nii.gz"
    write_volume(path, Volume(400 * flair.data + 30 * (flair.data > 0), flair.affine))
    evaluation = read_evaluation(foreign)
    sessions = find_sessions(evaluation, tmp_path)
    assert [dict(session.sources) for session in sessions.values()] == [{"flair": path}, {}, {}]
    shown = read_images(sessions["case0"], evaluation).sources["flair"]
    assert shown is not None
    assert 0.9 < np.percentile(shown.data, 99.9) < 1.3
    path.rename(tmp_path / "other_FLAIR.nii.gz")
    with pytest.raises(MrcontrastError, match="another contrast than T1w of the scored"):
        find_sessions(evaluation, tmp_path)


def test_volumes_that_changed_since_are_refused(evaluated: Path, tmp_path: Path) -> None:
    study = tmp_path / "study"
    shutil.copytree(evaluated.parent, study)
    summary = json.loads((study / "evaluation" / "summary.json").read_text())
    folders = {name: str(study / "predictions" / name) for name in ("smooth", "draws")}
    summary["inputs"]["predictions"] = folders
    (study / "evaluation" / "summary.json").write_text(json.dumps(summary))
    evaluation = read_evaluation(study)
    sessions = find_sessions(evaluation)
    path = sessions["sub-02"].case.predictions["smooth"]
    volume = read_volume(path)
    write_volume(path, Volume(volume.data + np.float32(0.01), volume.affine))
    read_images(sessions["sub-01"], evaluation)
    with pytest.raises(MrcontrastError, match=r"that were scored, got MAE .*\(sub-02, smooth\)"):
        read_images(sessions["sub-02"], evaluation)
    path.unlink()
    read_images(find_sessions(evaluation)["sub-02"], evaluation)  # the other method is there
    (study / "predictions" / "draws" / path.name).unlink()
    with pytest.raises(MrcontrastError, match="that were scored, got none of sub-02"):
        find_sessions(evaluation)


def test_what_was_scored_slice_by_slice_is_known_again(prepared_root: Path, tmp_path: Path) -> None:
    """The error grows towards the tips of the brain, which no slice figure counts."""
    real = {
        record.name: record.images["t1w"] for record in Manifest.read(prepared_root).split("test")
    }
    for name, path in real.items():
        volume = read_volume(path)
        height = np.abs(np.linspace(-1, 1, volume.shape[2])) ** 8
        worse = (volume.data * (1 - height)).astype(np.float32)
        write_volume(tmp_path / "ours" / f"{name}.nii.gz", Volume(worse, volume.affine))
    out, protocol = tmp_path / "out", Protocol(dims=2)
    evaluate({"ours": tmp_path / "ours"}, prepared_root, out, protocol=protocol)
    assert write_report(out).is_file()
    name, path = next(iter(real.items()))
    write_volume(tmp_path / "ours" / f"{name}.nii.gz", read_volume(path))
    evaluation = read_evaluation(out)
    with pytest.raises(MrcontrastError, match="that were scored, got MAE"):
        read_images(find_sessions(evaluation)[name], evaluation)


def test_a_study_that_moved_is_found_beside_its_evaluation(tmp_path: Path) -> None:
    (tmp_path / "predictions" / "ours").mkdir(parents=True)
    here = tmp_path / "predictions" / "ours"
    assert locate(here, tmp_path / "elsewhere") == here
    assert locate(Path("/old/study/demo/predictions/ours"), tmp_path) == here
    with pytest.raises(MrcontrastError, match=r"folder that was evaluated, got none .*theirs"):
        locate(Path("/old/study/demo/predictions/theirs"), tmp_path)


def test_masks_that_moved_are_found_too(tiny_records: list[Record], tmp_path: Path) -> None:
    """Without its own masks an evaluation would be shown in the brain that its voxels suggest."""
    study = tmp_path / "study"
    for record in tiny_records[:1]:
        real = read_volume(record.images["t1w"])
        name = f"{record.name}.nii.gz"
        write_volume(study / "real" / name, real)
        write_volume(study / "ours" / name, Volume(real.data * np.float32(0.9), real.affine))
        half = real.data * (np.arange(real.shape[0])[:, None, None] < real.shape[0] // 2)
        write_labels(study / "brains" / name, half > 0, real.affine)
    evaluate({"ours": study / "ours"}, study / "real", study / "scores", study / "brains")
    moved = shutil.move(study, tmp_path / "moved")
    evaluation = read_evaluation(Path(moved) / "scores")
    session = find_sessions(evaluation)["sub-01"]
    assert session.case.mask == tmp_path / "moved" / "brains" / "sub-01.nii.gz"
    read_images(session, evaluation)
    shutil.rmtree(tmp_path / "moved" / "brains")
    with pytest.raises(MrcontrastError, match=r"folder that was evaluated, got none .*brains"):
        find_sessions(evaluation)


def test_what_is_no_evaluation_is_refused(evaluated: Path, tmp_path: Path) -> None:
    with pytest.raises(MrcontrastError, match=r"got no summary.json .*Run `mrcontrast evaluate`"):
        read_evaluation(tmp_path)
    (tmp_path / "summary.json").write_text("{}")
    for csv in (None, "subject,method\n", "subject\nx\n"):
        if csv is not None:
            (tmp_path / "subjects.csv").write_text(csv)
        with pytest.raises(MrcontrastError, match="of one evaluation, got"):
            read_evaluation(tmp_path)
    shutil.copy(evaluated / "subjects.csv", tmp_path)
    summary = json.loads((evaluated / "summary.json").read_text())
    kinds = ["methods", "inputs", "intensity_range", "normalisation", "regions", "missing"]
    for damaged in (*({name: 7} for name in kinds), {"inputs": {}}, {"reference_normaliser": 7}):
        (tmp_path / "summary.json").write_text(json.dumps(summary | damaged))
        with pytest.raises(MrcontrastError, match="of one evaluation, got"):
            read_evaluation(tmp_path)
    (tmp_path / "summary.json").write_text(json.dumps(summary | {"methods": {"else": {}}}))
    with pytest.raises(MrcontrastError, match="other methods"):
        read_evaluation(tmp_path)
