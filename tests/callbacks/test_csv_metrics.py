"""A run's metrics as a CSV file."""

from pathlib import Path

from mrcontrast.callbacks.csv_metrics import CsvMetrics


def test_a_second_logger_appends(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    CsvMetrics(path).log_metrics({"val/loss": 0.5, "lr": 1e-4}, step=2)
    CsvMetrics(path).log_metrics({"val/loss": float("nan")}, step=4)
    assert path.read_text().splitlines() == [
        "step,metric,value",
        "2,val/loss,0.5",
        "2,lr,0.0001",
        "4,val/loss,nan",
    ]
