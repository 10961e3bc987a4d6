"""``mrcontrast export``: runs in half precision, each tensor once, without local paths."""

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf

from mrcontrast.errors import MrcontrastError, UsageError
from mrcontrast.runs.folder import RunFolder
from mrcontrast.storage.files import making_folder, write_text
from mrcontrast.storage.tensor_file import write_parts
from mrcontrast.tracking.references import open_run

if TYPE_CHECKING:
    from torch import Tensor

KEPT_CONFIG = ("spatial_dims", "seed", "stage")
KEPT_PROVENANCE = (
    *("stage", "data_hash", "split_hash", "data", "seed", "git_sha", "versions"),
    *("seconds", "score", "report_card"),
)
MOST_BYTES = 4_000_000  # of a file of weights, for hosts of repositories
SMALL = 64  # elements; smaller tensors, such as scales and means, stay in full precision


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of ``mrcontrast export``."""
    add = parser.add_argument
    add("runs", nargs="+", metavar="RUN", help="as for `translate --model`, parents first")
    add("--out", type=Path, required=True, metavar="DIR", help="gets a folder for each run")
    card = "model card in Markdown, copied to DIR/README.md"
    add("--card", type=Path, metavar="FILE", help=card)


def run(args: Namespace) -> int:
    """Run ``mrcontrast export``, print the written runs, and return exit code 0."""
    if args.card is not None and not args.card.is_file():
        raise UsageError(f"Expected a model card, got no file ({args.card}). Check the path.")
    for exported in export(args.runs, args.out, args.card):
        size = f"{exported.weights_mb:.1f} MB"
        sys.stdout.write(f"{exported.path}: {exported.stage_name}, {size}\n")
    return 0


def export(runs: Sequence[str | Path], out: Path, card: Path | None = None) -> list[RunFolder]:
    """Write runs as models to share, and return them in order.

    Parents come first, since later runs refer to their new hashes. Each gets a folder in ``out``,
    named like the run; ``out`` is written completely or not at all. ``card`` is Markdown.
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
    """Write one run and return the hashes of its old and new weights.

    ``hashes`` leads from old to new weights of ``written`` runs, whose tensors are not repeated.
    """
    weights = {name: halved(name, value) for name, value in source.read_weights().items()}
    target.write_config(OmegaConf.masked_copy(source.checked_config(), list(KEPT_CONFIG)))
    beside = [file for run in written for file in sorted(run.path.glob("*.safetensors"))]
    sha256 = write_parts(target.weights_path, weights, MOST_BYTES, beside)
    before = source.provenance
    parents = {name: hashes.get(sha, sha) for name, sha in before.get("parents", {}).items()}
    old = before["weights_sha256"]
    origin = before.get("exported_from") or {"weights_sha256": old, "precision": "float32"}
    kept = {name: before.get(name) for name in KEPT_PROVENANCE}
    kept |= {"parents": parents, "start_from": shared_start(before.get("start_from"))}
    target.write_provenance(kept | {"exported_from": origin, "weights_sha256": sha256})
    return old, sha256


def shared_start(start: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return hash and seconds of the run that a training started from, without its path."""
    if start is None:
        return None
    seconds = start.get("seconds")
    if seconds is None and start.get("path"):
        seconds = RunFolder(start["path"]).provenance.get("seconds")
    return {"weights_sha256": start["weights_sha256"], "seconds": seconds}


def halved(name: str, value: "Tensor") -> "Tensor":
    """Return a tensor in half precision, except for small ones and whole numbers."""
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
