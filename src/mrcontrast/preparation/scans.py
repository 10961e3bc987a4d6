"""Scans of one BIDS session: their names, which of them to refuse, and which belong together."""

import os
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

from mrcontrast.data.image_kinds import CONTRAST_AGENT, KINDS, PHASE, SYNTHETIC, not_scanned
from mrcontrast.data.sidecars import Sidecars
from mrcontrast.errors import UsageError

NOT_SCANNED = {
    SYNTHETIC: "a synthetic one",
    CONTRAST_AGENT: "one after a contrast agent",
    PHASE: "one of phase or of one part of a complex image",
}


@dataclass(frozen=True)
class Scan:
    """An image of a session.

    Attributes:
        path: The file.
        stem: Its name up to the suffix, such as "sub-01_acq-3d".
        entities: Entities but subject and session, such as ``{"acq": "3d"}``.
    """

    path: Path
    stem: str
    entities: Mapping[str, str] = field(default_factory=dict)

    @property
    def run(self) -> str:
        """Index of the run without leading zeros; "" without one."""
        return self.entities.get("run", "").lstrip("0")


@dataclass(frozen=True)
class Choice:
    """Scans of one session that belong together.

    Attributes:
        scans: One a contrast, the reference first.
        run: Run that distinguishes them from others of the session; "" if there are no others.
        sure: Whether the names alone leave no other choice.
    """

    scans: Mapping[str, Scan]
    run: str = ""
    sure: bool = True


def scan_of(path: Path, subject: str) -> Scan:
    """Parse the name of an image in a folder of ``subject``.

    >>> scan_of(Path("sub-1_ses-2_run-1_FLAIR.nii.gz"), "sub-1").entities
    {'run': '1'}
    """
    stem = path.name.partition(".nii")[0].rpartition("_")[0]
    parts = (part.partition("-") for part in stem.removeprefix(subject).split("_") if part)
    entities = {key: value for key, _, value in parts if key != "ses"}
    return Scan(path, stem, entities)


def contradiction(path: Path, subject: str, session: str | None, root: Path) -> str | None:
    """Return how the name or the target of a file contradicts its folders, or None."""
    if not path.name.startswith(f"{subject}_"):
        case = path.name.casefold().startswith(f"{subject}_".casefold())
        return f"{path.name}, in another letter case" if case else path.name
    named = re.search(r"_(ses-[^_]*)_", path.name)
    if named and named[1] != session:
        return path.name
    if path.is_symlink():
        target = Path(os.path.realpath(path))
        if target.is_relative_to(os.path.realpath(root)):
            parts = target.relative_to(os.path.realpath(root)).parts
            owner = tuple(part for part in parts[:2] if part.startswith(("sub-", "ses-")))
            if owner and owner != tuple(filter(None, (subject, session))):
                return f"{path.name}, a link to a file of {' '.join(owner)}"
    return None


def check_allow(allow: Collection[str]) -> frozenset[str]:
    """Return the kinds of images to accept; raise UsageError for a word that is no kind."""
    if unknown := sorted(set(allow) - set(KINDS)):
        raise UsageError(
            f"Expected {' or '.join(KINDS)}, got {', '.join(unknown)} (allow). Correct it."
        )
    return frozenset(allow)


def asks_for(kind: str, text: str) -> bool:
    """Return whether a pattern or an entity names a kind."""
    return {SYNTHETIC: "synth", CONTRAST_AGENT: "ce-", PHASE: "part-"}[kind] in text.lower()


def refused_scan(
    path: Path, sidecars: Sidecars, allow: Collection[str], asked: str = ""
) -> str | None:
    """Return why an image is left out, by its name and sidecars; ``asked`` is its pattern."""
    kind = not_scanned(path.name, sidecars.known(path))
    return None if kind is None or kind in allow or asks_for(kind, asked) else refusal(kind, path)


def refusal(kind: str, path: Path) -> str:
    """Word why an image is left out."""
    return (
        f"Expected an image as scanned, got {NOT_SCANNED[kind]} ({path}). Leave it out, or take it "
        f"with recipe.sources.0.allow=[{kind}]."
    )


def choose_scans(found: Mapping[str, Sequence[Scan]]) -> list[Choice]:
    """Return the choices of a session: one for each run that all contrasts have, else one.

    The scan that goes with a reference scan is, in this order: one with all its entities, with its
    space, with its run, with the fewest entities, of the lowest run, the first by name. Among
    several reference scans the one with the better company is taken, then by the same order.

    Args:
        found: Scans by contrast, the reference first; none is empty.
    """
    every = sorted(product(*found.values()), key=_rank)
    common = set.intersection(*({scan.run for scan in scans} for scans in found.values()))
    if len(common) > 1:
        best = {
            run: next(scans for scans in every if {scan.run for scan in scans} == {run})
            for run in sorted(common, key=_number)
        }
        return [
            Choice(dict(zip(found, scans, strict=True)), run, sure=False)
            for run, scans in best.items()
        ]
    first = every[0]
    alike = [scans for scans in every if all(s.entities == first[0].entities for s in scans)]
    only = len({scans[0].path for scans in every}) == 1
    return [Choice(dict(zip(found, first, strict=True)), sure=only and len(alike) == 1)]


def _rank(scans: Sequence[Scan]) -> tuple[Any, ...]:
    """Return the sort key of a choice; the smallest is taken."""
    first, *others = scans
    return (
        sum(scan.entities != first.entities for scan in others),
        sum(scan.entities.get("space") != first.entities.get("space") for scan in others),
        sum(scan.run != first.run for scan in others),
        *(part for scan in scans for part in _order(scan)),
    )


def _order(scan: Scan) -> tuple[int, tuple[int, str], str]:
    """Return the sort key of the scans of one contrast."""
    return len(scan.entities), _number(scan.run), scan.path.name


def _number(run: str) -> tuple[int, str]:
    """Sort runs by their value, "" first."""
    return (int(run) if run.isdecimal() else 0, run)
