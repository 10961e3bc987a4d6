import pytest

from mrcontrast.report.generic_tables import Table, format_cell, nested_tables


def texts(table: Table) -> list[list[str]]:
    return [[cell.text for cell in row] for row in table.rows]


def test_a_list_of_results_is_one_table() -> None:
    tests = [{"metric": "psnr", "p_holm": 0.03125, "n": 6}, {"metric": "ssim", "note": "few"}]
    (table,) = nested_tables(tests, "tests")
    assert table.columns == ["metric", "p holm", "n", "note"]
    assert texts(table) == [["psnr", "0.03125", "6", "–"], ["ssim", "–", "–", "few"]]


def test_results_by_region_are_a_table_a_region() -> None:
    pairs = [{"region": r, "p": p} for r, p in (("brain", 0.5), ("gm", 0.25), ("brain", 1.0))]
    tables = {table.title: texts(table) for table in nested_tables({"pairs": pairs}, "")}
    assert tables == {"pairs · brain": [["0.5"], ["1"]], "pairs · GM": [["0.25"]]}


def test_dicts_of_dicts_are_tables_however_deep() -> None:
    sure = {"mean": 0.68, "ci95": [0.6, 0.7], "n": 5}
    checks = {
        "calibration": {
            "words": "many words " * 9,
            "methods": {
                "ours": {"slope": 0.9, "coverage": {"1_sd": sure}, "bins": [{"rmse": 1}]},
                "theirs": {"slope": 1.1, "coverage": {"1_sd": None}, "bins": []},
            },
        },
        "nearest": {"passed": True, "by": {"sub-1": {"d": [1, 2.5]}}, "nobody": []},
        "note": "n = 4",
        "power": None,
    }
    tables = nested_tables(checks, "checks")
    assert tables[1].note == "many words " * 9
    assert tables[2].columns == ["", "slope", "coverage 1 sd"]
    assert tables[2].rows[0][2].detail == "[0.6, 0.7]"
    assert {table.title: texts(table) for table in tables} == {
        "checks": [["note", "n = 4"]],
        "checks · calibration": [],
        "checks · calibration · methods": [["ours", "0.9", "0.68"], ["theirs", "1.1", "–"]],
        "checks · calibration · methods · ours · bins": [["1"]],
        "checks · nearest": [["passed", "yes"]],
        "checks · nearest · by · sub-1": [["d", "[1, 2.5]"]],
    }


@pytest.mark.parametrize("value", [None, [], {}, "words", 3, [[1, [2]], [3]], [{"a": 1}, 2]])
def test_any_value_of_json_can_be_shown(value: object) -> None:
    assert all(
        isinstance(cell.text, str) for t in nested_tables(value, "t") for r in t.rows for cell in r
    )


def test_numbers_stand_at_the_right_and_words_at_the_left() -> None:
    assert [format_cell(v).is_number for v in (1, 0.5, [1, 2], None)] == [True] * 4
    assert format_cell(-1.5).text == "−1.5"
    assert [format_cell(v).is_number for v in (True, "a", ["a", 1])] == [False] * 3
