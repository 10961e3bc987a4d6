"""The sanity checks of an evaluation as plain tables."""

from collections.abc import Mapping
from typing import Any

from mrcontrast.evaluation.metric_list import BY_NAME
from mrcontrast.evaluation.sheets import MISSING, Sheet, format_statistic

SHOWN = ("psnr", "ssim", "mae")
SWAPPED = {"psnr": ("PSNR", 2), "correlation": ("Correlation", 3)}  # title, digits

Cells = tuple[list[str], list[list[str]]]  # columns, rows


def check_sheets(summary: Mapping[str, Any]) -> list[Sheet]:
    """Return the tables of all checks that were made, for a summary of ``evaluate``."""
    checks = summary.get("checks") or {}
    condition = "Check: the own source against another subject's"
    made = (
        (condition, _condition, _starting(checks, "shuffled_"), 2),
        ("Check: autoencoder ceiling less method", _ceiling, checks.get("autoencoder_ceiling"), 2),
        ("Check: error against predicted spread", _uncertainty, checks.get("uncertainty"), 1),
        ("Check: nearest training neighbour", _nearest, checks.get("nearest_training"), 2),
        ("Diversity", _diversity, summary.get("diversity"), 1),
    )
    sheets = []
    for title, lay_out, found, text_columns in made:
        if found and (laid := lay_out(found))[1]:
            note = f"{found['words'][0].upper()}{found['words'][1:]}."
            sheets.append(Sheet(title, *laid, (note,), text_columns))
    return sheets


def _condition(check: Mapping[str, Any]) -> Cells:
    rows = []
    for method, found in check["methods"].items():
        verdict = {True: "yes", False: "NO", None: "unknown"}[_starting(found, "follows_")]
        cells = [
            format_statistic(found[which][name], digits)
            for name, (_, digits) in SWAPPED.items()
            for which in ("own", "other", "change")
        ]
        rows.append([method, verdict, str(found["share"]["n"]), *cells])
    swapped = [f"{t}, {which}" for t, _ in SWAPPED.values() for which in ("own", "other", "gain")]
    return ["Method", "Follows source", "n", *swapped], rows


def _ceiling(check: Mapping[str, Any]) -> Cells:
    rows = []
    for ceiling, found in check["ceilings"].items():
        for method, change in found["gap"].items():
            cells = [
                format_statistic(change.get(name), BY_NAME[name].digits, MISSING) for name in SHOWN
            ]
            rows.append([method, ceiling, *cells])
    return ["Method", "Ceiling", *(BY_NAME[name].title for name in SHOWN)], rows


def _uncertainty(check: Mapping[str, Any]) -> Cells:
    rows = []
    for method, found in check["methods"].items():
        values = [*found["coverage"].values(), found["scale"], found["rank_correlation"]]
        cells = [format_statistic(value, 3, MISSING) for value in values]
        rows.append([method, str(found["samples"] or MISSING), *cells])
    nominal = check["nominal_coverage"].items()
    shares = [f"In {name.replace('_', ' ')} (right: {share:.3f})" for name, share in nominal]
    return ["Method", "Samples", *shares, "Scale → 1", "Rank correlation"], rows


def _nearest(check: Mapping[str, Any]) -> Cells:
    rows = []
    for method, found in check["methods"].items():
        ratios = [found["mean_ratio"], found["least_ratio"]]
        cells = [MISSING if ratio is None else f"{ratio:.2f}" for ratio in ratios]
        copied = ", ".join(found["copied"]) or "none"
        rows.append([method, copied, str(len(found["sessions"])), *cells])
    return ["Method", "Copied", "n", "Ratio", "Least ratio"], rows


def _diversity(found: Mapping[str, Any]) -> Cells:
    rows = [
        [method, str(value["pairs"]), f"{value['mean']:.3f}"]
        for method, value in found["ms_ssim"].items()
    ]
    return ["Method", "Pairs", "MS-SSIM between subjects"], rows


def _starting(found: Mapping[str, Any], start: str) -> Any:  # noqa: ANN401 - a part of the summary
    """Return the value of the key with a start; earlier versions name the source after it."""
    return next((value for key, value in found.items() if key.startswith(start)), None)
