"""``mrcontrast cache``: list the stored latents, and delete broken or unused ones."""

import argparse
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.filesize import decimal
from rich.table import Table

from mrcontrast.errors import UsageError
from mrcontrast.latent.stored_caches import StoredCache, remove, stored_caches, superfluous

PIPE_WIDTH = 200  # of the table without a terminal, in characters


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add = parser.add_argument
    default = f"folder of latent caches (default: {default_folder()}, from MRCONTRAST_CACHE or "
    add("--folder", type=Path, help=f"{default}MRCONTRAST_OUTPUTS)")
    add("--prune", action="store_true", help="delete broken caches")
    text = "with --prune: delete also those that no training has opened for N days; they are built "
    add("--older-than-days", type=days, metavar="N", help=f"{text}again when needed")


def run(args: argparse.Namespace) -> int:
    """List the caches, or prune them, and return exit code 0."""
    folder = args.folder or default_folder()
    if args.folder is not None and not folder.is_dir():
        raise UsageError(
            f"Expected a folder of latent caches, got none ({folder}). Check --folder."
        )
    if args.older_than_days is not None and not args.prune:
        raise UsageError("Expected --prune with --older-than-days, got none. Add --prune.")
    console = Console(width=None if sys.stdout.isatty() else PIPE_WIDTH, highlight=False)
    caches = stored_caches(folder)
    if args.prune:
        prune(superfluous(caches, args.older_than_days, datetime.now(UTC)), console)
    elif caches:
        console.print(table_of(caches))
    else:
        console.print(f"No latent caches in {folder}", soft_wrap=True)
    return 0


def prune(caches: Sequence[StoredCache], console: Console) -> None:
    """Delete caches and print the result of each."""
    freed = 0
    for cache in caches:
        gone = remove(cache)
        freed += cache.size_bytes if gone else 0
        verdict = "deleted" if gone else "kept, a process is writing it:"
        size = f"({cache.state}, {decimal(cache.size_bytes)})"
        console.print(f"{verdict} {cache.folder} {size}", soft_wrap=True)
    console.print(f"{decimal(freed)} freed")


def table_of(caches: Sequence[StoredCache]) -> Table:
    """Return the caches as a table with their total."""
    total = decimal(sum(cache.size_bytes for cache in caches))
    table = Table(
        title=f"{caches[0].folder.parent}: {total}",
        title_justify="left",
        caption="used: last opened by a training; any cache may be deleted, it is built again",
        caption_justify="left",
    )
    for heading in ("cache", "state", "size", "items", "created", "used", "holds"):
        if heading in ("size", "items"):
            table.add_column(heading, justify="right", no_wrap=True)
        else:
            table.add_column(heading, overflow="fold")
    for cache in caches:
        created = "" if cache.created is None else f"{cache.created:%Y-%m-%d %H:%M}"
        size, items = decimal(cache.size_bytes), str(cache.items or "")
        used = f"{cache.used:%Y-%m-%d %H:%M}"
        table.add_row(cache.folder.name, cache.state, size, items, created, used, contents(cache))
    return table


def contents(cache: StoredCache) -> str:
    """Describe the content of a finished cache, with abbreviated hashes."""
    if not cache.facts:
        return ""
    facts, items = cache.facts, cache.facts.get("items")
    known = items if isinstance(items, dict) else {}
    words = [
        f"{known['spatial_dims']}D" if "spatial_dims" in known else "",
        f"data {str(known['data'])[:8]}" if "data" in known else "",
        f"autoencoder {str(facts['autoencoder'])[:8]}" if facts.get("autoencoder") else "",
        f"variants {facts.get('variants')}",
        str(facts.get("signal") or facts.get("condition") or ""),
    ]
    return ", ".join(filter(None, words))


def default_folder() -> Path:
    """Return the folder of latents in the configs: ``paths.cache``, then "latents"."""
    outputs = os.environ.get("MRCONTRAST_OUTPUTS", "outputs")
    return Path(os.environ.get("MRCONTRAST_CACHE", f"{outputs}/cache")) / "latents"


def days(text: str) -> float:
    """Read a number of days, 0 or more."""
    number = float(text)
    if not number >= 0:
        raise argparse.ArgumentTypeError(f"expected 0 or more days, got {text}")
    return number
