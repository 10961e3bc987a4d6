"""``mrcontrast report``: tables, plots and a viewer of an evaluation in one HTML file."""

import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from pathlib import Path

from mrcontrast.config.arguments import check_exists


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of ``mrcontrast report``."""
    add = parser.add_argument
    source = "folder of an evaluation, or of a study that has one"
    add("source", type=Path, metavar="STUDY_OR_EVALUATION", help=source)
    place = "the page; default: report/report.html of a study, report.html of an evaluation"
    add("-o", "--out", type=Path, metavar="FILE", help=place)
    first = "shown first, and ranks the subjects; default: the first with an uncertainty map"
    add("--method", metavar="NAME", help=first)
    add("--metric", metavar="NAME", help="ranks the subjects; default: psnr")
    sources = "folder of source images; default: those of a prepared data set"
    add("--sources", type=Path, metavar="DIR", help=sources)
    most = "most subjects in the viewer, the worst and the best (%(default)s)"
    add("--subjects", type=whole, default=10, metavar="N", help=most)
    size = "most MB of volumes in the page (%(default)s)"
    add("--max-mb", type=float, default=56.0, metavar="MB", help=size)


def run(args: Namespace) -> int:
    """Run ``mrcontrast report``, print the path of the page, and return exit code 0."""
    check_exists({"STUDY_OR_EVALUATION": args.source, "--sources": args.sources})
    from mrcontrast.report.page import Choices, write_report

    choices = Choices(args.method, args.metric, args.subjects, args.max_mb, args.sources)
    path = write_report(args.source, args.out, choices)
    sys.stdout.write(f"{path} ({path.stat().st_size / 1e6:.1f} MB)\n")
    return 0


def whole(text: str) -> int:
    """Read a whole number, 0 or more."""
    if not text.isdecimal():
        raise ArgumentTypeError(f"expected a whole number, got {text}")
    return int(text)
