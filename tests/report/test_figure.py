from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import colormaps
from matplotlib.image import imread

from mrcontrast.data.record import Record
from mrcontrast.errors import MrcontrastError
from mrcontrast.report.figure import (
    BAR_INCHES,
    COLUMN_INCHES,
    FigureRow,
    comparison_figure,
    make_cut,
    read_row,
)
from mrcontrast.storage.volume import Volume, read_volume, write_volume

SHAPE = (12, 16, 10)


def make_row(subject: str = "sub-01", **synthetic: np.ndarray) -> FigureRow:
    mask = np.zeros(SHAPE, bool)
    mask[2:10, 3:14, 2:8] = True
    mask[4:8, 5:9, 5] = False
    real = np.where(mask, 0.5, 0.0)
    return FigureRow(
        subject, {"FLAIR": 0.8 * real}, real, synthetic, mask, (1.0, 1.0, 2.0), title="T1w"
    )


def count_brightest(path: Path) -> int:
    """Count pixels of the last error colour in the fourth of the columns."""
    image = imread(path)
    width = image.shape[1] / (4 * COLUMN_INCHES + BAR_INCHES) * COLUMN_INCHES
    column = image[:, int(3 * width) : int(4 * width), :3]
    return int((np.abs(column - np.array(colormaps["inferno"](1.0)[:3])) < 0.02).all(axis=2).sum())


def test_one_line_a_subject_and_three_planes_of_the_first(tmp_path: Path) -> None:
    image = np.random.default_rng(0).random(SHAPE)
    one, two = make_row("sub-01", a=image, b=image), make_row("sub-02", a=image, b=image)
    before = {key: value for key, value in mpl.rcParams.items() if key != "backend"}
    comparison_figure([one], tmp_path / "one.png")
    comparison_figure([one, two], tmp_path / "two.png")
    small, large = imread(tmp_path / "one.png"), imread(tmp_path / "two.png")
    assert small.shape[1] == large.shape[1]
    assert 1.2 < large.shape[0] / small.shape[0] < 1.6
    assert (small[:3, :3, :3] < 0.1).all()  # dark background
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.png", "two.png"]
    assert {key: mpl.rcParams[key] for key in before} == before


def test_an_error_is_seen_where_it_is_made(tmp_path: Path) -> None:
    row = make_row()
    wrong = row.real.copy()
    wrong[5:7, 6:8, make_cut(row, "axial").index] += 0.4
    for name, image in (("same", row.real), ("wrong", wrong)):
        comparison_figure([make_row(method=image)], tmp_path / f"{name}.png")
    same, other = (count_brightest(tmp_path / f"{name}.png") for name in ("same", "wrong"))
    assert same == 0
    assert other > 100


def test_a_spread_has_a_column_of_its_own(tmp_path: Path) -> None:
    row = make_row(a=np.zeros(SHAPE), b=np.zeros(SHAPE))
    told = replace(row, spread={"b": np.full(SHAPE, 0.5)})
    assert told.titles[-4:] == ["|a - real|", "synthetic: b", "|b - real|", "spread: b"]
    comparison_figure([row], tmp_path / "row.png")
    comparison_figure([told], tmp_path / "told.png")
    assert imread(tmp_path / "told.png").shape[1] > imread(tmp_path / "row.png").shape[1]
    with pytest.raises(MrcontrastError, match=r"\['a', 'b'\], \['a', 'b', 'b'\]"):
        comparison_figure([row, told], tmp_path / "x.png")


def test_slices_show_the_patients_right_at_the_left_and_the_top_up() -> None:
    row = make_row()
    volume = np.zeros(SHAPE)
    cut = make_cut(row, "axial")
    volume[9, 3, cut.index] = 1.0  # right, back
    shown = cut.show(volume)
    assert np.unravel_index(shown.argmax(), shown.shape) == (2, 2)  # a margin of 2, origin below
    assert make_cut(row, "coronal").aspect == 2.0
    assert make_cut(row, "axial").index != 5  # there the mask has a hole


def test_rows_of_other_methods_and_empty_masks_are_refused(tmp_path: Path) -> None:
    image = np.zeros(SHAPE)
    with pytest.raises(MrcontrastError, match=r"same methods, got \[\['a'\], \['b'\]\]"):
        comparison_figure([make_row(a=image), make_row(b=image)], tmp_path / "x.png")
    row = FigureRow("sub-09", {}, image, {}, image > 0)
    with pytest.raises(MrcontrastError, match=r"empty one \(sub-09\)"):
        comparison_figure([row], tmp_path / "x.png")
    assert not list(tmp_path.iterdir())


def test_files_of_any_orientation_are_turned(tiny_records: list[Record], tmp_path: Path) -> None:
    record = tiny_records[0]
    paths = {}
    for name, path in (("flair", record.images["flair"]), ("t1w", record.images["t1w"])):
        volume = read_volume(path)
        flipped = volume.affine @ np.diag([-1.0, 1, 1, 1])
        flipped[:3, 3] += volume.affine[:3, 0] * (volume.shape[0] - 1)
        paths[name] = tmp_path / f"{name}.nii.gz"
        write_volume(paths[name], Volume(volume.data[::-1], flipped))
    straight = read_row(
        "x",
        {"flair": record.images["flair"]},
        record.images["t1w"],
        {"self": record.images["t1w"]},
        record.brain_mask,
    )
    turned = read_row("x", {"flair": paths["flair"]}, paths["t1w"], {"self": paths["t1w"]})
    np.testing.assert_array_equal(turned.sources["FLAIR"], straight.sources["FLAIR"])
    np.testing.assert_array_equal(turned.synthetic["self"], straight.real)
    assert (turned.mask == straight.mask).mean() > 0.95
    assert turned.spacing_mm == straight.spacing_mm == (5.0, 5.0, 5.0)
