"""``mrcontrast sweep-table``: the results of a sweep, best first."""

import csv
import io
import os
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path

from mrcontrast.errors import UsageError
from mrcontrast.storage.files import write_text
from mrcontrast.sweeps.jobs import EVENTS, FINISHED, JOB, Job, read_jobs
from mrcontrast.sweeps.record import RANKED, standing_in, unfinished

RESULTS = "results.csv"


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of ``mrcontrast sweep-table``."""
    add = parser.add_argument
    add("sweep", nargs="?", metavar="SWEEP", help="its folder or name (default: the latest)")
    add("--csv", type=Path, metavar="FILE", help=f"where to write (default: SWEEP/{RESULTS})")


def run(args: Namespace) -> int:
    """Run ``mrcontrast sweep-table``, and return 0 if all ranked jobs are finished, else 1."""
    folder = find_sweep(args.sweep)
    path = write_csv(folder, args.csv)
    show(folder, path)
    return int(bool(unfinished(folder)))


def find_sweep(name: str | None) -> Path:
    """Return the folder of a sweep: a path, a name in the outputs, or the latest."""
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


def ranked(jobs: Sequence[Job], standing: Mapping[str, str]) -> list[Job]:
    """Return jobs by score, then ranked ones without score, then the others."""

    def place(job: Job) -> tuple[bool, bool, float]:
        scored = standing[job.name] == RANKED and has_score(job)
        score = (job.score or 0.0) if scored else 0.0
        return standing[job.name] != RANKED, not scored, -score if job.mode == "max" else score

    return sorted(jobs, key=place)


def has_score(job: Job) -> bool:
    """Return whether a job is finished and validated."""
    return job.state == FINISHED and job.score is not None


def rows_of(folder: Path) -> list[dict[str, str]]:
    """Return a row for each job, best first, with a column for each varied key."""
    jobs = read_jobs(folder)
    standing = standing_in(folder, jobs)
    keys = list(dict.fromkeys(key for job in jobs for key in job.varied))
    rows = []
    for rank, job in enumerate(ranked(jobs, standing), start=1):
        of_this_start = standing[job.name] == RANKED
        rows.append(
            {
                "rank": str(rank) if of_this_start and has_score(job) else "",
                "job": job.name,
                job.monitor: f"{job.score:.6g}" if has_score(job) else "",
                **{key: job.varied.get(key, "") for key in keys},
                "state": "killed" if job.is_lost() else job.state,
                "not ranked": standing[job.name],
                "steps": "" if job.steps is None else str(job.steps),
                "seconds": f"{job.seconds:.1f}",
                "attempts": str(job.attempts),
                "error": job.error,
                "folder": str(job.folder),
            }
        )
    return rows


def write_csv(folder: Path, path: Path | None = None) -> Path:
    """Write the table of a sweep, and return its path."""
    rows = rows_of(folder)
    columns = list(dict.fromkeys(column for row in rows for column in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    target = path or folder / RESULTS
    write_text(target, text.getvalue())
    return target


def show(folder: Path, path: Path | None = None) -> None:
    """Print the table of a sweep, with the last parts of the keys."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    rows = rows_of(folder)
    hidden = {"job", "folder", "attempts"}
    for column in ("error", "not ranked", "steps"):
        if not any(row[column] for row in rows):
            hidden.add(column)
    columns = [column for row in rows[:1] for column in row if column not in hidden]
    table = Table(title=Text(f"{folder.name}, best first"))
    for column in columns:
        head = column if "/" in column else column.split(".")[-1]
        table.add_column(Text(head), overflow="fold")
    for row in rows:
        table.add_row(*(Text(row.get(column, "")) for column in columns))
    console = Console(highlight=False)
    console.print(table)
    console.print(f"{path or folder / RESULTS}", markup=False, soft_wrap=True)
