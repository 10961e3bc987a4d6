"""The sanity checks of an evaluation as plain tables."""

from collections.abc import Mapping
from typing import Any

from mrcontrast.evaluation.metric_list import BY_NAME
from mrcontrast.evaluation.sheets import MISSING, Sheet, format_statistic

UNKNOWN = "unknown"
SHOWN = ("psnr", "ssim", "mae")
SWAPPED = {"psnr": 2, "correlation": 3}  # digits
TITLES = ("PSNR", "Correlation")


def check_sheets(summary: Mapping[str, Any]) -> list[Sheet]:
    """Return the tables of all checks that were made.

    Args:
        summary: As ``mrcontrast.commands.evaluate.evaluate`` returns it.
    """
    checks = summary.get("checks") or {}
    made = [
        (_condition, _starting(checks, "shuffled_")),
        (_ceiling, checks.get("autoencoder_ceiling")),
        (_uncertainty, checks.get("uncertainty")),
        (_nearest, checks.get("nearest_training")),
        (_diversity, summary.get("diversity")),
    ]
    sheets = [make(found) for make, found in made if found]
    return [sheet for sheet in sheets if sheet.rows]


def _condition(check: Mapping[str, Any]) -> Sheet:
    rows = []
    for method, found in check["methods"].items():
        verdict = {True: "yes", False: "NO", None: UNKNOWN}[_starting(found, "follows_")]
        cells = [
            format_statistic(found[which][name], digits)
            for name, digits in SWAPPED.items()
            for which in ("own", "other", "change")
        ]
        rows.append([method, verdict, str(found["share"]["n"]), *cells])
    columns = ["Method", "Follows source", "n"]
    columns += [f"{name}, {which}" for name in TITLES for which in ("own", "other", "gain")]
    title = "Check: the own source against another subject's"
    return Sheet(title, columns, rows, (_sentence(check["words"]),), 2)


def _ceiling(check: Mapping[str, Any]) -> Sheet:
    rows = [
        [method, ceiling, *_change_cells(change)]
        for ceiling, found in check["ceilings"].items()
        for method, change in found["gap"].items()
    ]
    columns = ["Method", "Ceiling", *(BY_NAME[name].title for name in SHOWN)]
    note = (_sentence(check["words"]),)
    return Sheet("Check: autoencoder ceiling less method", columns, rows, note, 2)


def _uncertainty(check: Mapping[str, Any]) -> Sheet:
    rows = []
    for method, found in check["methods"].items():
        values = [*found["coverage"].values(), found["scale"], found["rank_correlation"]]
        cells = [format_statistic(value, 3, MISSING) for value in values]
        rows.append([method, str(found["samples"] or MISSING), *cells])
    nominal = check["nominal_coverage"]
    columns = ["Method", "Samples"]
    columns += [f"In {name.replace('_', ' ')} (right: {p:.3f})" for name, p in nominal.items()]
    columns += ["Scale → 1", "Rank correlation"]
    return Sheet(
        "Check: error against predicted spread", columns, rows, (_sentence(check["words"]),)
    )


def _nearest(check: Mapping[str, Any]) -> Sheet:
    rows = []
    for method, found in check["methods"].items():
        ratios = [found["mean_ratio"], found["least_ratio"]]
        cells = [MISSING if ratio is None else f"{ratio:.2f}" for ratio in ratios]
        copied = ", ".join(found["copied"]) or "none"
        rows.append([method, copied, str(len(found["sessions"])), *cells])
    columns = ["Method", "Copied", "n", "Ratio", "Least ratio"]
    note = (_sentence(check["words"]),)
    return Sheet("Check: nearest training neighbour", columns, rows, note, 2)


def _diversity(found: Mapping[str, Any]) -> Sheet:
    rows = [
        [method, str(value["pairs"]), f"{value['mean']:.3f}"]
        for method, value in found["ms_ssim"].items()
    ]
    columns = ["Method", "Pairs", "MS-SSIM between subjects"]
    return Sheet("Diversity", columns, rows, (_sentence(found["words"]),))


def _change_cells(change: Mapping[str, Any]) -> list[str]:
    return [
        format_statistic(change[name], BY_NAME[name].digits, MISSING) if name in change else MISSING
        for name in SHOWN
    ]


def _sentence(words: str) -> str:
    return f"{words[0].upper()}{words[1:]}."


def _starting(found: Mapping[str, Any], start: str) -> Any:  # noqa: ANN401 - a part of the summary
    """Return the value of the key with a start; earlier versions name the source after it."""
    return next((value for key, value in found.items() if key.startswith(start)), None)
