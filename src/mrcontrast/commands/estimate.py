"""``mrcontrast estimate``: memory and GPU hours of the trainings of a study."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from mrcontrast.config.arguments import check_replaces_own
from mrcontrast.config.build import compose, resolve
from mrcontrast.errors import UsageError
from mrcontrast.storage.files import write_json
from mrcontrast.training.cost import Cost, cost_of_training

GIB = 1024**3
NOTES = (
    "Memory is that of one device at its batch: weights, gradients, optimiser, average of the "
    "weights, and the tensors alive at once in forward and backward, counted without values. "
    "The workspace of kernels is not included.",
    "GPU hours are counted operations of forward and backward over the assumed rate, or "
    "trainer.max_time where that is shorter; validation, encoding of caches and loading are not "
    "included.",
)


def estimate(config: DictConfig) -> int:
    """Print parameters, memory and GPU hours of each training, and return exit code 0."""
    from rich.console import Console

    if config.out is not None:
        check_replaces_own(Path(config.out), '"gpu_hours"', "out=")
    rate = config.peak_tflops * 1e12 * config.achieved_share
    costs = study_costs(config.study)
    console = Console(highlight=False, width=max(Console().width, 100))
    console.print(to_table(costs, rate, config.memory_gib))
    if any(cost.memory / GIB > config.memory_gib for cost in costs):
        console.print(
            f"* over {config.memory_gib:g} GiB: more devices, smaller batch, larger memory_gib."
        )
    console.print(
        f"{sum(cost.hours(rate) for cost in costs):,.0f} GPU hours in all, if {config.gpu} reaches "
        f"{config.achieved_share:.0%} of its {config.peak_tflops:g} TFLOP/s (assumed).",
        *NOTES,
        sep="\n",
        markup=False,
    )
    if config.out is not None:
        names = ("gpu", "memory_gib", "peak_tflops", "achieved_share")
        assumed = {name: config[name] for name in names}
        trainings = [asdict(cost) | {"gpu_hours": cost.hours(rate)} for cost in costs]
        content = {"assumed": assumed, "trainings": trainings, "notes": list(NOTES)}
        write_json(Path(config.out), content)
    return 0


def study_costs(study: DictConfig) -> list[Cost]:
    """Return the cost of each training of a study with an optimiser."""
    given = OmegaConf.select(study, "size.shape")
    shape = grid_of(study) if given is None else [int(axis) for axis in given]
    items = OmegaConf.select(study, "size.items")
    return [
        cost_of_training(name, config, item_shape(shape, config, given is None), items)
        for name, config in training_configs(study).items()
        if "optimisation" in config.stage
    ]


def grid_of(study: DictConfig) -> list[int]:
    """Return the axes of the volumes of a study's recipe; raise UsageError without a grid."""
    plain: Any = OmegaConf.to_container(study, resolve=True)
    config = compose("prepare", [*plain["prepare"], "out=unknown"])
    shape = OmegaConf.select(config, "recipe.grid.shape")
    if shape is None:
        raise UsageError(
            f"Expected a recipe with a grid, got none (study {study.name}). Add "
            "+study.size.shape=[X,Y] (in 3D [X,Y,Z])."
        )
    return [int(axis) for axis in shape]


def item_shape(shape: list[int], config: DictConfig, of_volumes: bool = True) -> list[int]:
    """Return the axes of a training's items: a slice, a volume, or a patch of it.

    ``of_volumes`` says whether patches are cut from ``shape``.

    >>> item_shape([40, 56, 48], OmegaConf.create({"spatial_dims": 2, "data": {"items": None}}))
    [40, 56]
    """
    dims = config.spatial_dims
    if len(shape) < dims:
        raise UsageError(
            f"Expected {dims} axes for {config.name}, got {shape} (study.size.shape). "
            "Add the missing ones."
        )
    patch = OmegaConf.select(config, "data.items.patch_size") if of_volumes else None
    return [min(sizes) for sizes in zip(shape[:dims], patch or shape[:dims], strict=True)]


def training_configs(study: DictConfig) -> dict[str, DictConfig]:
    """Return the resolved config of each training, filled from its parents' configs."""
    from mrcontrast.runs.released import check_runs_exist
    from mrcontrast.tracking.references import open_run
    from mrcontrast.training.lineage import PARENTS, fill_gaps
    from mrcontrast.training.start_settings import follow, typed_keys

    plain: Any = OmegaConf.to_container(study, resolve=True)
    found: dict[str, DictConfig] = {}
    for name, node in plain["train"].items():
        fixed = ["data=prepared", "data.root=unknown", f"name={name}"]
        config = compose("train", [*fixed, *plain["common"], *node["overrides"]])
        typed, start = typed_keys(config), node.get("start_from")
        parts = [path for key in node.get("parents", {}) for path in PARENTS[key].parts]
        if start in found:
            follow(config, found[start], typed, parts, start)
        elif start is not None and (earlier := open_run(start)).config_path.is_file():
            follow(config, earlier.checked_config(), typed, parts, start)
        for key, parent in node.get("parents", {}).items():
            if parent not in found:
                check_runs_exist({f"study.train.{name}.parents.{key}": parent})
            theirs = found[parent] if parent in found else open_run(parent).checked_config()
            fill_gaps(config, theirs, PARENTS[key], parent)
        found[name] = resolve(config)
    return found


def to_table(costs: list[Cost], rate: float, memory_gib: float) -> Any:  # noqa: ANN401 - rich's
    """Return the table of the terminal."""
    from rich.table import Table

    heads = ("training", "trained M", "all M", "batch", "GiB", "GFLOP", "items M", "GPU hours")
    table = Table(title="Parameters, memory of a step, operations of an item, items, time")
    for head in heads:
        table.add_column(head, justify="left" if head == heads[0] else "right", no_wrap=True)
    for cost in costs:
        gib = cost.memory / GIB
        table.add_row(
            cost.name,
            f"{cost.trained / 1e6:.1f}",
            f"{cost.parameters / 1e6:.1f}",
            str(cost.batch_size),
            f"{gib:.1f}{'' if gib <= memory_gib else ' *'}",
            f"{cost.flops / 1e9:,.0f}",
            "" if cost.images is None else f"{cost.images / 1e6:.2f}",
            f"{cost.hours(rate):,.1f}",
        )
    return table
