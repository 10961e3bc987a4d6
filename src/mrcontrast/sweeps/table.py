"""``mrcontrast sweep-table``: the results of a sweep, best first."""

import csv
import io
import os
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path

from mrcontrast.errors import UsageError
from mrcontrast.files import write_text
from mrcontrast.sweeps.jobs import EVENTS, FINISHED, JOB, Job, read_jobs

RESULTS = "results.csv"


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of ``mrcontrast sweep-table``."""
    add = parser.add_argument
    add("sweep", nargs="?", metavar="SWEEP", help="its folder or name (default: the latest)")
    add("--csv", type=Path, metavar="FILE", help=f"where to write (default: SWEEP/{RESULTS})")


def run(args: Namespace) -> int:
    """Run ``mrcontrast sweep-table``.

    Returns:
        Exit code: 0 if all jobs are finished, else 1.

    Raises:
        UsageError: There is no such sweep.
    """
    folder = find_sweep(args.sweep)
    path = write_csv(folder, args.csv)
    show(folder, path)
    return int(any(job.state != FINISHED for job in read_jobs(folder)))


def find_sweep(name: str | None) -> Path:
    """Return the folder of a sweep: a path, a name below the outputs, or the latest.

    Raises:
        UsageError: There is none.
    """
    home = Path(os.environ.get("MRCONTRAST_OUTPUTS", "outputs")) / "sweeps"
    if name is None:
        places = sorted(home.glob(f"*/{EVENTS}"), key=lambda path: path.stat().st_mtime)
        folders = [path.parent for path in places[-1:]]
    else:
        folders = [Path(name), home / name]
    for folder in folders:
        if next(folder.glob(f"*/{JOB}"), None) is not None:
            return folder
    raise UsageError(f"Expected a sweep, got none ({name or home}). Name its folder.")


def ranked(jobs: Sequence[Job]) -> list[Job]:
    """Return jobs with the best score first; those without one last, in their order."""
    scored = [job for job in jobs if job.state == FINISHED and job.score is not None]
    rest = [job for job in jobs if not (job.state == FINISHED and job.score is not None)]
    sign = -1.0 if scored and scored[0].mode == "max" else 1.0
    return sorted(scored, key=lambda job: sign * (job.score or 0.0)) + rest


def rows_of(jobs: Sequence[Job]) -> list[dict[str, str]]:
    """Return a row for each job, best first; a column for each key that any job varies."""
    keys = list(dict.fromkeys(key for job in jobs for key in job.varied))
    rows = []
    for rank, job in enumerate(ranked(jobs), start=1):
        score = "" if job.score is None or job.state != FINISHED else f"{job.score:.6g}"
        rows.append(
            {
                "rank": str(rank) if score else "",
                "job": job.name,
                job.monitor: score,
                **{key: job.varied.get(key, "") for key in keys},
                "state": "killed" if job.is_lost() else job.state,
                "seconds": f"{job.seconds:.1f}",
                "attempts": str(job.attempts),
                "error": job.error,
                "folder": str(job.folder),
            }
        )
    return rows


def write_csv(folder: Path, path: Path | None = None) -> Path:
    """Write the table of a sweep, and return where."""
    rows = rows_of(read_jobs(folder))
    columns = list(dict.fromkeys(column for row in rows for column in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    target = path or folder / RESULTS
    write_text(target, text.getvalue())
    return target


def show(folder: Path, path: Path | None = None) -> None:
    """Print the table of a sweep, the keys by their last names."""
    from rich.console import Console
    from rich.table import Table

    rows = rows_of(read_jobs(folder))
    hidden = {"job", "folder", "attempts"}
    if not any(row["error"] for row in rows):
        hidden.add("error")
    columns = [column for row in rows[:1] for column in row if column not in hidden]
    table = Table(title=f"{folder.name}, best first")
    for column in columns:
        table.add_column(column if "/" in column else column.split(".")[-1], overflow="fold")
    for row in rows:
        table.add_row(*(row.get(column, "") for column in columns))
    console = Console(highlight=False)
    console.print(table)
    console.print(f"{path or folder / RESULTS}", markup=False, soft_wrap=True)
