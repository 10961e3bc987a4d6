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

ASKING = {SYNTHETIC: "synth", CONTRAST_AGENT: "ce-", PHASE: "part-"}  # in a pattern or an entity
NOT_SCANNED = {
    SYNTHETIC: "a synthetic one",
    CONTRAST_AGENT: "one after a contrast agent",
    PHASE: "one of phase or of one part of a complex image",
}


@dataclass(frozen=True)
class Scan:
    """An image of a session."""

    path: Path
    stem: str  # its name up to the suffix, such as "sub-01_acq-3d"
    entities: Mapping[str, str] = field(default_factory=dict)  # but for subject and session

    @property
    def run(self) -> str:
        """Index of the run without leading zeros; "" without one."""
        return self.entities.get("run", "").lstrip("0")


@dataclass(frozen=True)
class Choice:
    """Scans of one session that belong together, by contrast, the reference first."""

    scans: Mapping[str, Scan]
    run: str = ""  # distinguishes them from others of the session
    sure: bool = True  # whether the names alone leave no other choice


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


def refused_scan(
    path: Path, sidecars: Sidecars, allow: Collection[str], asked: str = ""
) -> str | None:
    """Return why an image is left out by its name and sidecars; ``asked`` is its pattern."""
    kind = not_scanned(path.name, sidecars.known(path))
    if kind is None or kind in allow or ASKING[kind] in asked.lower():
        return None
    return (
        f"Expected an image as scanned, got {NOT_SCANNED[kind]} ({path}). Leave it out, or take it "
        f"with recipe.sources.0.allow=[{kind}]."
    )


def choose_scans(found: Mapping[str, Sequence[Scan]]) -> list[Choice]:
    """Return the choices of a session: one for each run that all contrasts have, else one.

    The scan that goes with a reference scan is, in this order: one with all its entities, with its
    space, with its run, with the fewest entities, of the lowest run, the first by name. Among
    several reference scans the one with the better company is taken, then by the same order.
    ``found`` has scans by contrast, the reference first; none is empty.
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
        *((len(scan.entities), _number(scan.run), scan.path.name) for scan in scans),
    )


def _number(run: str) -> tuple[int, str]:
    """Sort runs by their value, "" first."""
    return (int(run) if run.isdecimal() else 0, run)
