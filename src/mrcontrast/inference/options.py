"""Command line of ``mrcontrast translate``: options and early checks."""

import re
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Sequence
from pathlib import Path

from mrcontrast.errors import UsageError
from mrcontrast.inference.sampling_options import BATCH_SIZE, DEFAULTS, KNOWN_TAGS, PRECISIONS

MOST = 2**31 - 1
DEVICES = r"auto|cpu|mps|cuda(:\d+)?"

EPILOG = """which model (seconds of one sample of a 1 mm volume on two cores):
  phantom-2d/unet    2   one image, best in PSNR, above the mean of 8 samples; soft
  phantom-2d        16   samples at 2 mm, slice by slice; sharper, with a spread
  phantom-3d        13   samples at 2 mm, the whole volume at once
  phantom-2d-1mm   164   samples at 1 mm
A finer volume comes back on its own grid with the detail of the model's 2 or 1 mm.
--samples N takes N times as long."""

IN_HELP = "a NIfTI file, a folder, or a prepared data set"
SOURCE_HELP = (
    "in place of IN, the files of one subject for a model of several sources, all on one grid, "
    "such as pd=A.nii.gz t2w=B.nii.gz"
)
WITHOUT_HELP = "do without an optional source of the model, though it is there; repeatable"
CONTROL_HELP = (
    "add a further ControlNet on the same diffusion model, its residuals times SCALE, from START "
    "to END of the draw (0-1); repeatable"
)
OUT_HELP = "a NIfTI file, or a folder if IN is one; --out OUT says the same"
MASK_HELP = (
    "brain mask of IN, or a folder of masks; default: a file *_desc-brain_mask next to each "
    "volume, else its largest non-zero component"
)
STRIP_HELP = (
    "find the brain of a head with deepbet (extra prep) where no mask is given or found next to "
    "it, and write its mask next to the output"
)
CONTRAST_HELP = (
    "translate files also whose name or JSON sidecar says that they have no such contrast"
)
MODEL_HELP = "a run folder, a released model by name, or runs:/ID or models:/NAME@ALIAS of MLflow"
SAMPLES_HELP = "samples; 2 or more also give a std (%(default)s)"
TURN_HELP = (
    "2D only: slices over which the noise of a sample turns into other noise; 0 gives all slices "
    "the same (%(default)s)"
)
HEAT_HELP = (
    "standard deviation of the initial noise; below 1 a sample is closer to the mean "
    "(default: 0.5 for one sample, 1, as in training, for several)"
)
PRECISION_HELP = "bf16-mixed is faster where the hardware has units for it (%(default)s)"
START_HELP = (
    "time in (0, 1] at which sampling begins; 1 from noise, below from the regression's image with "
    "noise of that time, the lower the nearer to it (that of the run)"
)

PROMPT_HELP = (
    "tags of scans and person, for a model with tags: name=value, name=value:weight (0 is absence) "
    "or plain words, such as 'target_ti_ms=1100:1.2, age=60, 3 tesla'; "
    "mrcontrast info RUN lists those that it knows"
)

NEGATIVE_HELP = "tags to lead away from; sets --guidance 2 unless given"

GUIDANCE_HELP = (
    "w of negative + w (prompt - negative); 1 is the prompt alone, in one network call (that of "
    "the run)"
)

KNOWN_HELP = (
    "known tags (of a manifest or sidecars) that count where the prompt is silent: of the sources "
    "and the person, of the target too, none, or those of another subject (%(default)s)"
)

TILE_HELP = (
    "3D only: voxels along each axis that the networks take at once; N,M for autoencoder and "
    "denoiser, 0 for all (default: all if it fits in memory, else the largest tiles that do)"
)


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of ``mrcontrast translate``."""
    parser.epilog, parser.formatter_class = EPILOG, RawDescriptionHelpFormatter
    add = parser.add_argument
    add("input", nargs="?", type=Path, metavar="IN", help=IN_HELP)
    add("output", type=Path, metavar="OUT", help=OUT_HELP)
    add("--source", nargs="+", metavar="NAME=FILE", help=SOURCE_HELP)
    add("--without", action="append", default=[], metavar="NAME", help=WITHOUT_HELP)
    add("--model", required=True, metavar="RUN", help=MODEL_HELP)
    add(
        "--control", action="append", default=[], metavar="RUN:SCALE[:START-END]", help=CONTROL_HELP
    )
    add("--mask", type=Path, metavar="PATH", help=MASK_HELP)
    add("--strip-skull", action="store_true", help=STRIP_HELP)
    add("--split", default="test", help="of a prepared data set: train, val or test (%(default)s)")
    add("--samples", type=int, default=DEFAULTS.samples, help=SAMPLES_HELP)
    add("--steps", type=int, help="steps of the sampler (those of the run, or --sampler's own)")
    add("--sampler", metavar="NAME", help="euler_flow, heun_flow, ddim, ... (that of the run)")
    add("--start", type=float, metavar="TIME", help=START_HELP)
    add("--seed", type=int, default=DEFAULTS.seed, help="seed of the noise (%(default)s)")
    add("--noise-turn", type=int, default=DEFAULTS.noise_turn, metavar="N", help=TURN_HELP)
    add("--temperature", type=float, metavar="T", help=HEAT_HELP)
    add("--prompt", default="", metavar="TAGS", help=PROMPT_HELP)
    add("--negative", default="", metavar="TAGS", help=NEGATIVE_HELP)
    add("--guidance", type=float, metavar="W", help=GUIDANCE_HELP)
    add("--known-tags", choices=KNOWN_TAGS, default=DEFAULTS.known_tags, help=KNOWN_HELP)
    add("--precision", choices=PRECISIONS, default=DEFAULTS.precision, help=PRECISION_HELP)
    add("--batch-size", type=int, default=BATCH_SIZE, help="slices at once (%(default)s)")
    add("--tile", metavar="N[,M]", help=TILE_HELP)
    add("--device", default="auto", help="auto, cpu, cuda or cuda:N (%(default)s)")
    add("--any-contrast", action="store_true", help=CONTRAST_HELP)
    add("--overwrite", action="store_true", help="replace outputs of earlier translations")


def check_options(args: Namespace) -> None:
    """Check numbers and names, before anything heavy is imported."""
    least = {"batch_size": 1, "steps": 1, "seed": 0}
    for name, bound in least.items():
        value = getattr(args, name)
        if value is not None and not bound <= value <= MOST:
            raise UsageError(
                f"Expected a whole number from {bound} to {MOST}, got {value} "
                f"(--{name.replace('_', '-')}). Change it."
            )
    if not re.fullmatch(DEVICES, args.device):
        raise UsageError(
            f"Expected auto, cpu, cuda or cuda:N, got {args.device} (--device). Choose one."
        )


def name_files(
    args: Namespace, source: Sequence[str], optional: Sequence[str] = ()
) -> dict[str, Path]:
    """Return the files of one subject by contrast, in the order of a model's sources.

    Those of ``optional`` sources may be absent.
    """
    files = {source[0]: args.input} if args.source is None else args.source
    if not set(source) - set(optional) <= set(files) <= set(source):
        wanted = " ".join(f"[{n}=FILE]" if n in optional else f"{n}=FILE" for n in source)
        raise UsageError(
            f"Expected --source {wanted} for this model, got {', '.join(files) or 'none'}. "
            "Name each of its sources once."
        )
    return {name: files[name] for name in source if name in files}


def sources_of(args: Namespace) -> list[Path]:
    """Read ``--source`` into a table and return what is to be read: IN, or its files."""
    if (args.input is None) == (args.source is None):
        raise UsageError("Expected IN or --source NAME=FILE ..., got both or neither. Give one.")
    if args.source is None:
        return [args.input]
    pairs = [value.partition("=") for value in args.source]
    if wrong := ["".join(pair) for pair in pairs if not all(pair)]:
        raise UsageError(
            f"Expected NAME=FILE, got {wrong[0]} (--source). Write OUT before --source."
        )
    names = [name for name, _, _ in pairs]
    if twice := [name for name in names if names.count(name) > 1]:
        raise UsageError(f"Expected one file of {twice[0]}, got several (--source). Name one.")
    args.source = {name: Path(path) for name, _, path in pairs}
    return list(args.source.values())
