"""Train one stage: compose, build, fit, and leave a run folder behind."""

import logging
import shlex
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from mrcontrast.config.arguments import check_exists, check_folder, check_name, check_own_folder
from mrcontrast.config.build import build, build_stage, module_name, resolve
from mrcontrast.config.rules import check_numbers
from mrcontrast.config.types import check_types
from mrcontrast.runs.contents import LOCK, check_run_folder
from mrcontrast.runs.folder import RunFolder, software
from mrcontrast.runs.released import check_runs_exist
from mrcontrast.storage.folder_lock import alone
from mrcontrast.tracking.store import origin_tags
from mrcontrast.training.resume import check_origin, how_to_start, is_first_process, is_replacing

if TYPE_CHECKING:
    from lightning import LightningDataModule

    from mrcontrast.stages.contract import Stage
    from mrcontrast.tracking.no_tracker import NoTracker

log = logging.getLogger(__name__)
GIVEN_RUNS = ("autoencoder", "diffusion", "regression", "start_from")


def train(config: DictConfig) -> float | None:
    """Train the stage of ``configs/train.yaml`` with its overrides.

    Returns the best value of the monitored metric, or None when no validation took place.
    """
    check_exists({"data.root": OmegaConf.select(config, "data.root")})
    check_runs_exist({key: config.get(key) for key in GIVEN_RUNS})
    from mrcontrast.training.callbacks.checkpoints import terminable
    from mrcontrast.training.initial_weights import find_start, origin_of
    from mrcontrast.training.lineage import inherit
    from mrcontrast.training.trainer import check_accelerator, quieten

    quieten(is_first_process())
    check_accelerator(config.trainer.accelerator)
    config, parents = inherit(config)
    config = resolve(config)
    check_numbers(config)
    check_types(config)
    refuse_places(config)
    folder, earlier = RunFolder(config.out), find_start(config)
    with ExitStack() as locks:
        if is_first_process():
            check_run_folder(folder, is_replacing(config))  # before a lock is written
            locks.enter_context(alone(folder.path, LOCK, "training"))
        start = how_to_start(folder, config)
        if start.moved:
            locks.enter_context(alone(folder.path, LOCK, "training"))
        if start.finished:
            return finished_before(folder, config, origin_of(parents, earlier))
        with terminable():
            return train_in(folder, config, parents, earlier, start.checkpoint)


def refuse_places(config: DictConfig) -> None:
    """Refuse a run folder that is shared with others, or a name that leads elsewhere."""
    check_name(config.get("name"), "name")
    outputs = Path(check_folder(OmegaConf.select(config, "paths.outputs"), "paths.outputs"))
    out = Path(check_folder(config.get("out"), "out"))
    check_own_folder(out, "out", [Path.cwd(), Path.home(), outputs / "runs"])


def finished_before(
    folder: RunFolder, config: DictConfig, earlier_runs: dict[str, Any]
) -> float | None:
    """Return the score of a finished run; a record that a kill left open is closed."""
    provenance = folder.provenance
    check_origin(provenance, describe(config, build(config.data)) | earlier_runs, folder)
    if is_first_process():
        tracker: NoTracker = build(config.logger)
        if tracker.take_up_open(folder, provenance.get("mlflow_run_id")):
            tell_end(folder, provenance, tracker)
            tracker.close("FINISHED")
    score = provenance.get("score", {}).get("value")
    told = "Finished before: %s (score %s). overwrite=true moves it aside and trains again."
    log.info(told, folder.path, "none" if score is None else f"{score:.4g}")
    return score


def train_in(
    folder: RunFolder,
    config: DictConfig,
    parents: dict[str, RunFolder],
    earlier: RunFolder | None,
    checkpoint: Path | None,
) -> float | None:
    """Build everything, fit, and write the weights. See ``train``."""
    from lightning import seed_everything

    from mrcontrast.stages.contract import check_stage
    from mrcontrast.tracking.no_tracker import NoTracker, recorded
    from mrcontrast.training.initial_weights import take_over
    from mrcontrast.training.trainer import Elapsed, build_trainer, fit, tabulate

    seed_everything(config.seed, workers=True, verbose=False)
    datamodule, stage = build(config.data), check_stage(build_stage(config.stage))
    take_over(stage, parents, earlier)
    datamodule.prepare_data()
    datamodule.setup("fit")
    origin = checked_origin(folder, config, datamodule, parents, earlier)
    before = folder.provenance
    tracker: NoTracker = build(config.logger) if is_first_process() else NoTracker()
    if is_first_process():  # provenance first: it tells whose folder this is
        folder.write_provenance(origin | {"mlflow_run_id": before.get("mlflow_run_id")})
        folder.write_config(config)
    tracker.open(folder, config, before.get("mlflow_run_id"))
    origin["mlflow_run_id"] = tracker.run_id
    with recorded(tracker):
        if is_first_process():
            folder.write_provenance(origin)
        tracker.log_tags(origin_tags(origin))
        tracker.log_file(folder.config_path)
        trainer = build_trainer(config, stage, folder, tracker, clock := Elapsed())
        if stage.learns_by_steps:
            score = fit(trainer, stage, datamodule, checkpoint, folder)
        else:
            score = tabulate(trainer, stage, datamodule, config.stage.checkpoint)
        origin |= {"seconds": round(clock.seconds(), 1), "steps": trainer.global_step}
        origin |= {"score": score, "report_card": stage.report_card}
        if trainer.is_global_zero:
            hand_over(stage, folder, origin, tracker)
    return score["value"]


def checked_origin(
    folder: RunFolder,
    config: DictConfig,
    datamodule: "LightningDataModule",
    parents: dict[str, RunFolder],
    earlier: RunFolder | None,
) -> dict[str, Any]:
    """Return the origin of a run, after a check that a run to go on with has the same."""
    from mrcontrast.training.initial_weights import origin_of, warn_of_other_data, warn_of_patches

    origin = describe(config, datamodule) | origin_of(parents, earlier)
    warn_of_patches(parents, config)
    if earlier is not None:
        warn_of_other_data(earlier, origin["data"])
    if before := folder.provenance:
        check_origin(before, origin, folder)
    return origin


def describe(config: DictConfig, datamodule: "LightningDataModule") -> dict[str, Any]:
    """Return where a run comes from, as far as it is known before training."""
    data: Any = datamodule
    manifest = getattr(data, "manifest", None)
    further = getattr(data, "optional", ())
    command = [Path(sys.argv[0]).name, *sys.argv[1:]]
    return {
        "stage": module_name(config.stage._target_),
        "data_hash": getattr(manifest, "data_hash", None),
        "split_hash": getattr(manifest, "split_hash", None),
        "data": None if manifest is None else manifest.facts(data.source, data.target, further),
        "seed": config.seed,
        "command": shlex.join(command),
        **software(),
    }


def hand_over(
    stage: "Stage", folder: RunFolder, provenance: dict[str, Any], tracker: "NoTracker"
) -> None:
    """Write the weights, and say in full where they come from; the run is then finished."""
    sha256 = folder.write_weights(stage.state_dict())
    folder.write_provenance(provenance | {"weights_sha256": sha256})
    tell_end(folder, folder.provenance, tracker)
    score = provenance["score"]
    if score["value"] is None:
        log.warning("No validation took place; the last weights are kept (%s).", folder.path)
    value = "none" if score["value"] is None else f"{score['value']:.4g}"
    log.info("Finished: %s (%s %s)", folder.path, score.get("monitor", "score"), value)


def tell_end(folder: RunFolder, provenance: dict[str, Any], tracker: "NoTracker") -> None:
    """Add to a run's record what is known only at its end."""
    tracker.log_file(folder.provenance_path)
    tracker.log_tags({"mrcontrast.weights_sha256": provenance["weights_sha256"]})
    score = provenance.get("score") or {}
    if score.get("value") is not None:
        tracker.log_metrics({"best_score": score["value"]}, score["step"])
