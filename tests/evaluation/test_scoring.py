"""From the files of a session to its figures, where a file says less than it might."""

from pathlib import Path

import numpy as np
import pytest

from mrcontrast.commands.evaluate import evaluate
from mrcontrast.data.manifest import Manifest
from mrcontrast.data.predictions import PredictionFiles
from mrcontrast.errors import MrcontrastError
from mrcontrast.report.figure import read_row
from mrcontrast.report.page import write_report
from mrcontrast.storage.volume import Volume, read_volume, write_labels, write_volume


def test_draws_that_are_all_alike_have_a_spread_of_zero(
    prepared_root: Path, tmp_path: Path
) -> None:
    """A model that does not draw, translated with --samples 2: evaluation, report and figure."""
    for record in Manifest.read(prepared_root).split("test"):
        real = read_volume(record.images["t1w"])
        files = PredictionFiles(tmp_path / "ours" / f"{record.name}_desc-synth_T1w.nii.gz")
        write_volume(files.volume, Volume(real.data * np.float32(0.9), real.affine))
        write_volume(files.std, Volume(np.zeros_like(real.data), real.affine))
    summary = evaluate({"ours": tmp_path / "ours"}, prepared_root, tmp_path / "out")
    found = summary["checks"]["uncertainty"]["methods"]["ours"]
    assert found["scale"]["mean"] is None  # any error is infinitely more than none
    assert found["coverage"]["2_sd"]["mean"] < 0.01
    assert write_report(tmp_path / "out").is_file()
    record = Manifest.read(prepared_root).split("test")[0]
    files = PredictionFiles(tmp_path / "ours" / f"{record.name}_desc-synth_T1w.nii.gz")
    row = read_row(
        record.name,
        {"flair": record.images["flair"]},
        record.images["t1w"],
        {"ours": files.volume},
        record.brain_mask,
        {"ours": files.std},
    )
    assert not row.spread["ours"].any()


def test_a_head_with_its_skull_is_not_taken_for_a_brain(tmp_path: Path) -> None:
    """On a background of zeros, as defacing and cropping leave it."""
    head = np.zeros((20, 24, 22), np.float32)
    head[2:18, 2:22, 2:20] = np.linspace(0.1, 1, 20)[:, None]
    affine = np.diag([8.0, 8, 8, 1])
    for name in ("ours", "real"):
        write_volume(tmp_path / name / "sub-1.nii.gz", Volume(head, affine))
    folders = {"ours": tmp_path / "ours"}, tmp_path / "real", tmp_path / "out"
    with pytest.raises(MrcontrastError, match=r"skull-stripped volume, got 2949 ml .*real/sub-1"):
        evaluate(*folders)
    assert not (tmp_path / "out").exists()
    write_labels(tmp_path / "masks" / "sub-1.nii.gz", head > 0.5, affine)
    assert evaluate(*folders, tmp_path / "masks")["subjects"] == ["sub-1"]
