from pathlib import Path

from mrcontrast.report.evaluation import Evaluation
from mrcontrast.report.generic_tables import Table
from mrcontrast.report.tables import region_tables


def texts(table: Table) -> list[list[str]]:
    return [[cell.text for cell in row] for row in table.rows]


def test_regions_and_metrics_that_are_not_known_are_shown_under_their_own_names() -> None:
    figure = {"mean": 0.91, "sd": 0.1, "ci95": [0.8, 0.95], "n": 5}
    zero = dict(figure, mean=0.0)
    methods = {
        "ours": {"lesion": {"glow_kept": figure, "share_outside": zero, "fid": 3.5}},
        "theirs": {"lesion": {"glow_kept": figure | {"ci95": None}, "share_outside": zero}},
    }
    summary = {
        "methods": methods,
        "metrics": {"glow_kept": {"unit": "%", "better": "higher"}},
    }
    (table,) = region_tables(Evaluation(Path(), summary, []))["lesion"]
    assert table.title == "Lesion"
    assert table.columns == ["Method", "n", "glow kept (%) ↑", "fid"]
    assert texts(table) == [["ours", "5", "0.910", "3.5"], ["theirs", "5", "0.910", "–"]]
    assert [row[2].detail for row in table.rows] == ["[0.800, 0.950]", ""]
    assert table.note == "voxels out of range: 0 for all"


def test_many_metrics_are_spread_over_tables() -> None:
    figure = {"mean": 0.5, "sd": None, "ci95": None, "n": 1}
    summary = {"methods": {"ours": {"brain": {f"m{i}": figure for i in range(16)}}}}
    tables = region_tables(Evaluation(Path(), summary, []))["brain"]
    assert [name for table in tables for name in table.columns[2:]] == [f"m{i}" for i in range(16)]
    assert max(len(table.columns) for table in tables) == 8


def test_tables_of_a_region_have_titles_of_their_own() -> None:
    figure = {"mean": 0.5, "sd": None, "ci95": None, "n": 1}
    known = ["psnr", "ssim", "sharpness", "dice_gm", "gm_ml_real", "perceptual_net", "glow"]
    names = [*known, *(f"volume_{i}" for i in range(7))]
    groups = {"perceptual_net": "perceptual distance"}
    groups |= {f"volume_{i}": "tissue" for i in range(7)}
    facts = {name: {"group": group} for name, group in groups.items()}
    methods = {"ours": {"brain": dict.fromkeys(names, figure)}}
    summary = {"methods": methods, "metrics": facts}
    titles = [table.title for table in region_tables(Evaluation(Path(), summary, []))["brain"]]
    assert titles == [
        "In the brain: voxels and structure",
        "In the brain: texture",
        "In the brain: tissue (1)",
        "In the brain: tissue (2)",
        "In the brain: tissue volumes",
        "In the brain: perceptual distance",
        "In the brain",
    ]


def test_an_infinite_mean_is_no_absent_one() -> None:
    infinite = {"mean": None, "sd": None, "ci95": None, "n": 3}
    summary = {"methods": {"ours": {"brain": {"psnr": infinite, "ssim": infinite | {"n": 0}}}}}
    ((table,),) = region_tables(Evaluation(Path(), summary, [])).values()
    assert texts(table) == [["ours", "3", "∞", "–"]]
