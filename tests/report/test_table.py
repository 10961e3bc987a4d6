from typing import Any

import pytest
from rich.console import Console

from mrcontrast.metrics.definitions import METRICS
from mrcontrast.report.table import to_markdown, to_rich


@pytest.fixture
def summary() -> dict[str, Any]:
    def region(psnr: float) -> dict[str, Any]:
        figures = {name: {"mean": 0.5, "sd": None, "ci95": None, "n": 1} for name in METRICS}
        figures["psnr"] = {"mean": psnr, "sd": 1.0, "ci95": (psnr - 1, psnr + 1), "n": 7}
        figures["rmse"] = {"mean": None, "sd": None, "ci95": None, "n": 7}
        return figures

    return {
        "methods": {
            name: {"brain": region(psnr), "image": region(psnr + 5)}
            for name, psnr in (("lookup", 14.5), ("control|net", 20.25))
        },
        "intensity_range": {"low": 0.0, "high": 1.0},
        "normalisation": "none: voxels as stored",
        "inputs": {"masks": "of the user"},
        "missing": {"lookup": {"no_prediction": ["sub-03"], "no_reference": []}},
    }


def test_markdown(summary: dict[str, Any]) -> None:
    lines = to_markdown(summary).splitlines()
    assert lines[0] == "## In the brain"
    assert lines[2].startswith("| Method | n | PSNR (dB) ↑ | SSIM ↑ | MS-SSIM ↑ | MAE ↓ | RMSE ↓ |")
    assert lines[4] == "| lookup | 7 | 14.50 [13.50, 15.50] | 0.500 | 0.500 | 0.5000 | ∞ |"
    assert lines[5].startswith("| control\\|net | 7 | 20.25 [19.25, 21.25] |")
    assert lines.index("## Whole image") > 5
    assert "| lookup | 7 | 19.50 [18.50, 20.50] |" in "\n".join(lines)
    assert (
        "range 0.0 to 1.0; normalisation: none: voxels as stored. Masks: of the user." in lines[-2]
    )
    assert lines[-1] == "- lookup, no prediction: sub-03"


def test_rich(summary: dict[str, Any]) -> None:
    console = Console(width=140)
    with console.capture() as capture:
        console.print(to_rich(summary))
    text = capture.get()
    assert text.index("In the brain") < text.index("14.50 [13.50, 15.50]")
    assert text.index("Whole image") < text.index("19.50 [18.50, 20.50]")
