"""From the files of a session to its figures, where a file says less than it might."""

from pathlib import Path

import numpy as np

from mrcontrast.data.manifest import Manifest
from mrcontrast.data.predictions import PredictionFiles
from mrcontrast.evaluate import evaluate
from mrcontrast.report.figure import read_row
from mrcontrast.report.html.page import write_report
from mrcontrast.volume import Volume, read_volume, write_volume


def test_draws_that_are_all_alike_have_a_spread_of_zero(
    prepared_root: Path, tmp_path: Path
) -> None:
    """A model that does not draw, translated with --samples 2: evaluation, report and figure."""
    for record in Manifest.read(prepared_root).split("test"):
        real = read_volume(record.t1w)
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
        record.flair,
        record.t1w,
        {"ours": files.volume},
        record.brain_mask,
        {"ours": files.std},
    )
    assert not row.spread["ours"].any()
