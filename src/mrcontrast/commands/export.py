"""Finished runs -> a model to share: half the bytes, each tensor once, no path of this machine."""

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mrcontrast.errors import MrcontrastError, UsageError
from mrcontrast.runs.folder import RunFolder
from mrcontrast.storage.files import making_folder, write_text
from mrcontrast.storage.tensor_file import write_parts
from mrcontrast.tracking.references import open_run

if TYPE_CHECKING:
    from torch import Tensor

KEPT_CONFIG = ("spatial_dims", "seed", "stage")
KEPT_PROVENANCE = (
    "stage",
    "data_hash",
    "split_hash",
    "data",
    "seed",
    "git_sha",
    "versions",
    "seconds",
    "score",
    "report_card",
)
MOST_BYTES = 4_000_000  # of a file of weights: repositories and their hosts take no large ones
SMALL = 64  # elements; scales and means of so few stay in full precision


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of ``mrcontrast export``."""
    add = parser.add_argument
    add("runs", nargs="+", metavar="RUN", help="as `translate --model` takes them, parents first")
    add("--out", type=Path, required=True, metavar="DIR", help="gets a folder for each run")
    card = "model card in Markdown, copied to DIR/README.md"
    add("--card", type=Path, metavar="FILE", help=card)


def run(args: Namespace) -> int:
    """Run ``mrcontrast export`` and say what was written.

    Returns:
        Exit code 0.
    """
    from rich.console import Console

    if args.card is not None and not args.card.is_file():
        raise UsageError(f"Expected a model card, got no file ({args.card}). Check the path.")
    out = Console(highlight=False, soft_wrap=True, markup=False)
    for exported in export(args.runs, args.out, args.card):
        out.print(f"{exported.path}: {exported.stage_name}, {exported.weights_mb:.1f} MB")
    return 0


def export(runs: Sequence[str | Path], out: Path, card: Path | None = None) -> list[RunFolder]:
    """Write runs as models to share; what was there already stays.

    Args:
        runs: Finished runs; a run's parents go before it, so that it names their new hashes.
        out: Gets a folder for each, named like the run; written whole or not at all.
        card: Model card in Markdown.

    Returns:
        What was written, in the order of the runs.

    Raises:
        UsageError: Two runs have one name, or ``out`` exists.
        MrcontrastError: A run is missing, unfinished or changed, or has weights beyond the range
            of half precision.
    """
    names = [open_run(path).path.resolve().name for path in runs]
    if len(set(names)) < len(names):
        raise UsageError(f"Expected runs of different names, got {', '.join(names)}. Rename one.")
    if out.exists():
        raise UsageError(f"Expected no folder, got one ({out}). Remove it or name another.")
    hashes: dict[str, str] = {}
    written: list[RunFolder] = []
    with making_folder(out) as unfinished:
        for path, name in zip(runs, names, strict=True):
            target = RunFolder(unfinished / name)
            old, new = export_run(open_run(path), target, hashes, written)
            hashes[old] = new
            written.append(target)
        if card is not None:
            write_text(unfinished / "README.md", card.read_text(encoding="utf-8"))
    return [RunFolder(out / name) for name in names]


def export_run(
    source: RunFolder,
    target: RunFolder,
    hashes: Mapping[str, str],
    written: Sequence[RunFolder] = (),
) -> tuple[str, str]:
    """Write one run and return the hashes of its old and its new weights.

    Args:
        source: A finished run; reading its weights verifies it.
        target: Where it goes.
        hashes: Of the weights of runs exported before: old -> new.
        written: Those runs; what they hold of this one's weights is not written again.
    """
    weights = {name: halved(name, value) for name, value in source.read_weights().items()}
    target.write_config(shared_config(source))
    beside = [file for run in written for file in sorted(run.path.glob("*.safetensors"))]
    sha256 = write_parts(target.weights_path, weights, MOST_BYTES, beside)
    told = source.provenance
    parents = {name: hashes.get(sha, sha) for name, sha in told.get("parents", {}).items()}
    old = told["weights_sha256"]
    origin = told.get("exported_from") or {"weights_sha256": old, "precision": "float32"}
    kept = {name: told.get(name) for name in KEPT_PROVENANCE}
    kept |= {"parents": parents, "start_from": shared_start(told.get("start_from"))}
    target.write_provenance(kept | {"exported_from": origin, "weights_sha256": sha256})
    return old, sha256


def shared_start(start: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return what a run started from without its place: hash of its weights, its seconds."""
    if start is None:
        return None
    seconds = start.get("seconds")
    if seconds is None and start.get("path"):
        seconds = RunFolder(start["path"]).provenance.get("seconds")
    return {"weights_sha256": start["weights_sha256"], "seconds": seconds}


def shared_config(source: RunFolder) -> Any:  # noqa: ANN401 - DictConfig, imported late
    """Return what rebuilds the stage, without this machine's folders."""
    from omegaconf import OmegaConf

    return OmegaConf.masked_copy(source.checked_config(), list(KEPT_CONFIG))


def halved(name: str, value: "Tensor") -> "Tensor":
    """Return a tensor in half precision, but for small ones and whole numbers.

    Raises:
        MrcontrastError: A value is not finite there.
    """
    import torch

    if not value.is_floating_point() or value.numel() <= SMALL:
        return value
    half = value.to(torch.float16)
    if not torch.isfinite(half).all():
        raise MrcontrastError(
            f"Expected weights within half precision, got {value.abs().max():.3g} ({name}). "
            "Train the run again with weight decay."
        )
    return half
