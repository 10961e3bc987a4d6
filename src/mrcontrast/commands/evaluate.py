"""Compare synthetic volumes of any system with real ones: scores by subject, and a summary."""

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mrcontrast.config.arguments import check_exists
from mrcontrast.data.contrasts import title_of
from mrcontrast.data.manifest import Manifest
from mrcontrast.data.predictions import synthetic_name
from mrcontrast.data.record import MANIFEST, Record
from mrcontrast.errors import MrcontrastError, UsageError, printable
from mrcontrast.evaluation.added_metrics import build_metrics, read_nodes
from mrcontrast.evaluation.collection import Collection, Rules, collect
from mrcontrast.evaluation.comparison import compare
from mrcontrast.evaluation.pairing import Case
from mrcontrast.evaluation.protocol import (
    FEATURES,
    Protocol,
    check_normaliser,
    find_roles,
    name_predictions,
    read_features,
    read_range,
)
from mrcontrast.evaluation.table import FORMATS
from mrcontrast.evaluation.terminal import to_rich
from mrcontrast.inference.originals import originals
from mrcontrast.metrics.metric import Metric
from mrcontrast.storage.files import write_text

SHOWN = (  # on the terminal; all tables stand in the files
    "In the brain",
    "Whole image",
    "Texture and tissue in the brain",
    "Paired tests in the brain",
)


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of ``mrcontrast evaluate``."""
    add = parser.add_argument
    folders = "folder of synthetic volumes; several as NAME=DIR, each with the name of its method"
    add("--predictions", nargs="+", required=True, metavar="[NAME=]DIR", help=folders)
    references = "folder of real volumes: flat, BIDS, or a prepared data set"
    add("--references", type=Path, required=True, metavar="DIR", help=references)
    masks = "brain masks; default: those in the folder of the references, else non-zero voxels"
    add("--mask", dest="masks", type=Path, metavar="DIR", help=masks)
    lesions = "lesion masks; default: *_label-lesion_mask in the folder of the references, if any"
    add("--lesion-mask", dest="lesion_masks", type=Path, metavar="DIR", help=lesions)
    made = "contrast of the images, such as t2w; default: by the names of the predictions"
    add("--target", default="", metavar="NAME", help=made)
    add("--method", metavar="NAME", help="name of the only folder of predictions")
    add("--out", type=Path, default=Path("evaluation"), metavar="DIR", help="(%(default)s)")
    limits = "intensity range LO HI, or 'reference'; default: 0 1 if all references are in it"
    add("--range", nargs="+", metavar="LIMIT", help=limits)
    raw = "of references in scanner units, such as percentile-0.5-99.5, for predictions in [0, 1]"
    add("--normalise-references", metavar="NAME", help=f"normaliser {raw}")
    looks = "feature network of KID, MMD, FID and the perceptual distance, of configs/features, or "
    add("--features", default=FEATURES, metavar="NAME", help=f"{looks}none (%(default)s)")
    add("--feature-weights", type=Path, metavar="FILE", help="its weights, if not packaged")
    add("--feature-sha256", metavar="HEX", help="SHA-256 that this file must have")
    more = "YAML of your own metrics; their modules need --trust, see docs/extending.md"
    add("--metrics", type=Path, metavar="FILE", help=more)
    slices = "2: mean of the image metrics over axial slices (%(default)s: of volumes)"
    add("--dims", type=int, choices=(2, 3), default=3, help=slices)
    lacking = "leave out subjects without a reference or without the prediction of a method"
    doubtful = "accept references that are synthetic or contrast-enhanced"
    add("--any-reference", action="store_true", help=doubtful)
    add("--allow-missing", action="store_true", help=lacking)
    add("--workers", type=int, default=0, help="processes (%(default)s: this one)")
    shapes = "print the tables in this format, and write them to --out"
    add("--format", choices=tuple(FORMATS), help=shapes)
    add("--report", action="store_true", help="also write report.html, with plots and a viewer")


def run(args: Namespace) -> int:
    """Run ``mrcontrast evaluate``, print its tables, and return exit code 0."""
    predictions = name_predictions(args.predictions, args.method)
    check_exists(
        {
            **{f"--predictions {name}": folder for name, folder in predictions.items()},
            "--references": args.references,
            "--mask": args.masks,
            "--lesion-mask": args.lesion_masks,
        }
    )
    folders = predictions, args.references, args.out, args.masks, args.lesion_masks
    protocol = Protocol(
        read_range(args.range),
        args.normalise_references,
        args.workers,
        read_features(args.features, args.feature_weights, args.feature_sha256),
        args.dims,
        build_metrics(read_nodes(args.metrics)),
        args.target,
    )
    show(evaluate(*folders, args.allow_missing, protocol, args.any_reference), args)
    return 0


def show(summary: Mapping[str, Any], args: Namespace) -> None:
    """Print the tables of an evaluation, and write them in other formats if asked to."""
    from rich.console import Console

    console = Console(highlight=False)
    if args.format is None:
        console.print(to_rich(summary, SHOWN))
        files = f"{printable(str(args.out))}/summary.json, summary.md (all tables), subjects.csv"
        console.print(files, markup=False, soft_wrap=True)
    else:
        name, formatted = FORMATS[args.format]
        write_text(args.out / name, text := formatted(summary))
        console.print(text, markup=False, soft_wrap=True, end="")
    if args.report:
        from mrcontrast.report.page import write_report

        console.print(printable(str(write_report(args.out))), markup=False)


def evaluate(
    predictions: Mapping[str, Path],
    references: Path,
    out: Path,
    masks: Path | None = None,
    lesion_masks: Path | None = None,
    allow_missing: bool = False,
    protocol: Protocol | None = None,
    any_reference: bool = False,
) -> dict[str, Any]:
    """Score the predictions of one or several methods; write subjects.csv and summary.{json,md}.

    Args:
        predictions: Folder of synthetic volumes, by name of the method.
        references: Folder of real volumes: flat, BIDS, or a prepared data set, of which the splits
            with a prediction are taken.
        out: Folder of the results.
        masks: Folder of brain masks; None for the references' folder, else non-zero voxels.
        lesion_masks: Folder of lesion masks; None for the references' folder.
        allow_missing: Leave out subjects without a counterpart.
        protocol: Settings; None for the usual ones.
        any_reference: Accept references that are synthetic or contrast-enhanced.

    Returns the content of summary.json.
    """
    references, protocol = Path(references), protocol or Protocol()
    if Path(out).exists() and not Path(out).is_dir():
        raise UsageError(f"Expected a folder for the results, got a file ({out}). Choose another.")
    splits: dict[str, str] = {}
    if (references / MANIFEST).is_file():
        splits = {record.name: record.split for record in Manifest.read(references).records}
    check_normaliser(protocol, bool(splits))
    roles = find_roles(predictions, protocol.target)
    rules = Rules(allow_missing, any_reference)
    found = collect(predictions, references, roles.target, splits, masks, lesion_masks, rules)
    inputs = {
        **roles.facts,
        "predictions": {name: str(folder) for name, folder in predictions.items()},
        "references": str(references),
        "masks": found.mask_source,
        "splits": sorted({splits[case.name] for case in found.cases}) if splits else None,
    }
    return compare(found, inputs, Path(out), replace(protocol, target=roles.target))


def evaluate_originals(
    predictions: Mapping[str, Path],
    records: Sequence[Record],
    masks: Path,
    out: Path,
    metrics: tuple[Metric, ...] = (),
) -> dict[str, Any]:
    """Score predictions on the subjects' own grids against the raw files of a data set.

    The references are normalised as the data set's images were, over the brain on their grid;
    ``masks`` is the folder of ``mrcontrast.inference.originals.write_masks``. Returns the content
    of summary.json.
    """
    roles = find_roles(predictions)
    target, title = roles.target, title_of(roles.target)
    names = sorted({record.normalisers[target]["name"] for record in records})
    if len(names) != 1:
        raise MrcontrastError(
            f"Expected one normaliser of all {title} images, got "
            f"{', '.join(names) or 'no subject'}. Prepare the data set again."
        )
    cases = [
        Case(
            raw.name,
            raw.images[target],
            raw.mask,
            {m: Path(path) / synthetic_name(raw.name, target) for m, path in predictions.items()},
        )
        for raw in originals(records, masks, [target])
    ]
    mask_source = (
        "those of the raw files, else the largest non-zero component of the first raw image"
    )
    inputs = {
        **roles.facts,
        "predictions": {name: str(folder) for name, folder in predictions.items()},
        "references": f"raw {title} files, source_{target} of the manifest",
        "masks": mask_source,
        "splits": sorted({record.split for record in records}),
    }
    protocol = Protocol(reference_normaliser=names[0], metrics=metrics, target=target)
    return compare(Collection(cases, mask_source, {}), inputs, Path(out), protocol)
