"""``mrcontrast prepare``: raw pairs or phantoms in, a prepared data set out."""

import sys
from typing import TYPE_CHECKING

from omegaconf import DictConfig, OmegaConf

from mrcontrast.config.arguments import check_exists
from mrcontrast.config.build import build, resolve
from mrcontrast.config.types import check_types
from mrcontrast.errors import UsageError

if TYPE_CHECKING:
    from mrcontrast.preparation.dataset import Prepared

MOST_NAMES = 6  # of subjects, on one line
MOST_REMARKS = 12


def prepare(config: DictConfig) -> int:
    """Run the recipe of ``configs/prepare.yaml``, and return the exit code.

    It is 1 when an operator broke, or when a pair was dropped for a fault and ``allow_dropped`` is
    off; else 0.
    """
    check(config)
    node = recipe_of_today(config)
    check_types(node)
    from mrcontrast.preparation.dataset import prepare_dataset
    from mrcontrast.preparation.workers import Workers

    recipe, text = build(node), OmegaConf.to_yaml(node)
    workers = Workers(config.workers, config.scheduler)
    result = prepare_dataset(recipe, str(config.out), text, workers, _say)
    return conclude(result, bool(config.allow_dropped))


def recipe_of_today(config: DictConfig) -> DictConfig:
    """Return the resolved recipe; keys of earlier versions are renamed, with a hint."""
    from mrcontrast.preparation.old_recipes import RENAMED, rename_keys

    plain = OmegaConf.to_container(config, resolve=False)
    assert isinstance(plain, dict)
    if old := rename_keys(plain["recipe"], plain["contrasts"]):
        _say(
            f"hint: {', '.join(dict.fromkeys(old))} of the recipe are keys of an earlier version; "
            "they are read as patterns, entities, normalisers and fixed (see docs/prepare.md)"
        )
    recipe = resolve(OmegaConf.create(plain)).recipe
    return OmegaConf.create({k: v for k, v in recipe.items() if k not in RENAMED["Recipe"]})


def check(config: DictConfig) -> None:
    """Check the config before anything heavy is imported."""
    if OmegaConf.is_missing(config, "out"):
        raise UsageError("Expected a folder for the data set, got none. Give out=FOLDER.")
    if config.workers < 1:
        raise UsageError(f"Expected workers >= 1, got {config.workers}. Change it.")
    if config.source is None and "${source}" in OmegaConf.to_yaml(config.recipe):
        raise UsageError("Expected a folder of raw data, got none. Give source=FOLDER.")
    check_exists({"source=": config.source})


def conclude(result: "Prepared", allow_dropped: bool) -> int:
    """Report the result and its faults, and return the exit code."""
    from mrcontrast.preparation.dataset import EMPTY_VAL, dropped_line
    from mrcontrast.preparation.session import BROKEN, FAULT

    manifest = result.manifest
    sizes = ", ".join(f"{name} {len(manifest.split(name))}" for name in ("train", "val", "test"))
    count = len(manifest.records)
    if result.unchanged:
        how = "reused as it stood"
    elif result.reused:
        how = f"{result.reused} sessions reused"
    else:
        how = "newly prepared"
    first = manifest.records[0]
    grid = f"{first.spacing_mm:g} mm, {'x'.join(map(str, first.shape))}"
    sys.stdout.write(f"{count} sessions ({sizes}) at {grid} in {manifest.root}: {how}\n")
    if manifest.split("train") and not manifest.split("val"):
        _say(EMPTY_VAL.format(len({record.subject for record in manifest.records})))
    if result.changed_sides:
        _say(_moved(result.changed_sides))
    for remark in result.remarks[:MOST_REMARKS]:
        _say(f"look at: {remark.text}")
    if (more := len(result.remarks) - MOST_REMARKS) > 0:
        _say(f"look at: {more} more in remarks.tsv in {manifest.root}")
    wrong = [item for item in result.dropped if item.kind in (FAULT, BROKEN)]
    if wrong:
        _say(f"{len(wrong)} left out, see dropped.tsv and quality.html in {manifest.root}:")
        for item in wrong:
            _say(f"  {dropped_line(item)}")
    broken = any(item.kind == BROKEN for item in wrong)
    return 1 if broken or (wrong and not allow_dropped) else 0


def _moved(subjects: list[str]) -> str:
    """Return the warning about subjects that are now in another split."""
    named = ", ".join(subjects[:MOST_NAMES]) + (", ..." if len(subjects) > MOST_NAMES else "")
    count = "1 subject has" if len(subjects) == 1 else f"{len(subjects)} subjects have"
    return (
        f"warning: {count} moved to another split, so models trained earlier may be tested on "
        f"subjects they know ({named}). Train again, or use ListedSplit or FixedSplit."
    )


def _say(line: str) -> None:
    """Write one line to the standard error; stdout is kept for the result."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
