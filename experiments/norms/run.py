"""Train variants in one budget, or take released models, and print how levels depend on the field.

python -m experiments.norms.run group local+t --stages unet autoencoder controlnet --data DATA
python -m experiments.norms.run --released phantom-2d/unet --data DATA
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import lightning
import torch
from experiments.norms import variants
from experiments.norms.judge import HEAD, Case, judge, row
from experiments.norms.settings import OPTIONS, PARENTS_OF, PARTS, config_of
from lightning import seed_everything

from mrcontrast.config.build import build, build_stage
from mrcontrast.data.manifest import Manifest
from mrcontrast.data.volume_store import open_store, store_folder
from mrcontrast.losses.brain import brain_error
from mrcontrast.tracking.loading import load_stage
from mrcontrast.training.lineage import PARENTS, below, check_same
from mrcontrast.training.trainer import quieten


def train_stage(name: str, variant: str, args: argparse.Namespace) -> Any:  # noqa: ANN401 - a stage
    """Return a stage of a variant, trained now or before; its parents are trained first."""
    norm, _, options = variant.partition("+")
    known = args.runs / f"{variant}_{name}_{args.dims}d_{args.steps}.pt"
    config = config_of(name, variant, args.dims, args.data)
    seed_everything(0, verbose=False)
    datamodule, stage, field = build(config.data), build_stage(config.stage), variants.Field()
    for part in PARTS[name]:
        variants.NORMS[norm](stage.get_submodule(part), field)
    if norm == "crop":
        stage.regressor.network = variants.Cropped(stage.regressor.network, stage.factor)
    watch(stage, field, options, name == "unet")
    if known.is_file():
        stage.load_state_dict(torch.load(known))
        return stage.eval()
    state = stage.state_dict()
    for parent, key in PARENTS_OF.get(name, {}).items():
        theirs = train_stage(parent, variant, args).state_dict()
        for ours, source in PARENTS[key].weights.items():
            wanted, found = below(state, ours), below(theirs, source)
            check_same(wanted, found, known)
            for tensor, value in found.items():
                wanted[tensor].copy_(value)
    getattr(stage, "initialise", lambda: None)()
    fit(stage, datamodule, args.steps, args.precision)
    if name == "autoencoder":
        with torch.no_grad():
            stage.measure_latents(datamodule)
    args.runs.mkdir(parents=True, exist_ok=True)
    torch.save(stage.state_dict(), known)
    return stage


def watch(
    stage: Any,  # noqa: ANN401 - any stage
    field: variants.Field,
    options: str,
    unet: bool,
) -> None:
    """Tell norms the brain of each batch; vary the field, or weigh the loss, if asked."""

    def after(batch: dict, _: int) -> dict:
        batch = random_field(batch, stage.factor) if "f" in options and stage.training else batch
        field.mask = batch.get("brain_mask")
        return batch

    stage.on_after_batch_transfer = after
    stage.register_forward_pre_hook(lambda _, given: setattr(field, "mask", given[0]["brain_mask"]))
    if unet:
        stage.loss = lambda batch: error_of(stage.regressor.raw_of(batch), batch, options)


def error_of(image: torch.Tensor, batch: dict, options: str) -> torch.Tensor:
    """Return the mean absolute error of the field, or the error in the brain, if asked."""
    target, mask = batch["target"], batch["brain_mask"]
    if "b" not in options:
        return torch.nn.functional.l1_loss(image, target)
    return brain_error(image * mask, target * mask, mask, 2 if "s" in options else 1)


def random_field(batch: dict, factor: int) -> dict:
    """Cut or pad each axis of a batch to a random length between a quarter and 1.5 times of it."""
    changed = dict(batch)
    for axis, size in enumerate(batch["brain_mask"].shape[2:]):
        low, high = max(factor, size // 4), round(1.5 * size)
        new = int(torch.randint(low, high + 1, ())) // factor * factor
        start = int(torch.randint(min(0, size - new), max(0, size - new) + 1, ()))
        first, last = max(start, 0), min(start + new, size)
        for key in ("source", "target", "brain_mask"):
            part = changed[key].narrow(axis + 2, first, last - first)
            sides = [0, 0] * (part.ndim - 3 - axis) + [max(-start, 0), max(start + new - size, 0)]
            changed[key] = torch.nn.functional.pad(part, sides)
    return changed


def fit(stage: Any, datamodule: Any, steps: int, precision: str) -> None:  # noqa: ANN401
    """Train for so many steps, without validation and without an average of the weights."""
    datamodule.prepare_data()
    trainer = lightning.Trainer(
        max_steps=steps,
        max_epochs=-1,
        accelerator="cpu",
        devices=1,
        precision=precision,
        gradient_clip_val=1.0,
        limit_val_batches=0,
        num_sanity_val_steps=0,
        **dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar"), False),
        enable_model_summary=False,
    )
    getattr(stage, "before_fit", lambda _: None)(datamodule)
    trainer.fit(stage, datamodule)
    stage.eval()


def held_out(data: Path, count: int, autoencoder: bool) -> list[Case]:
    """Return test subjects; an autoencoder takes the T1w."""
    records = Manifest.read(data).split("test")[:count]
    store = open_store(records, store_folder(data), ["flair", "t1w"])
    cases = []
    for index in range(len(records)):
        flair, t1w, mask = (channel.astype("float32") for channel in store[index])
        cases.append(Case(t1w if autoencoder else flair, t1w, mask > 0.5))
    return cases


def tell(
    name: str,
    stage: Any,  # noqa: ANN401 - any stage
    args: argparse.Namespace,
    trained: tuple[int, int, int] | None,
    seconds: float,
) -> None:
    """Judge a stage, print its row and keep its figures."""
    cases = held_out(args.data, args.subjects, type(stage).__name__ == "Autoencoder")
    found = judge(stage, cases, 2.0, trained)
    print(f"| {name} | {row(found)} | {seconds:.0f} |", flush=True)
    with args.out.open("a") as file:
        file.write(json.dumps({"name": name, "seconds": seconds} | found) + "\n")


def main() -> None:
    """Run."""
    parser = argparse.ArgumentParser(description=__doc__, epilog=OPTIONS)
    parser.add_argument("variants", nargs="*")
    parser.add_argument("--released", nargs="*", default=[])
    parser.add_argument("--stages", nargs="+", default=["unet"])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("outputs/norms/results.jsonl"))
    parser.add_argument("--runs", type=Path, default=Path("outputs/norms/runs"))
    parser.add_argument("--dims", type=int, choices=(2, 3), default=2)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--precision", default="bf16-mixed", help="32-true: no bf16 units")
    parser.add_argument("--subjects", type=int, default=3)
    args = parser.parse_args()
    quieten(True)
    torch.set_num_threads(1)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    print(HEAD)
    for variant in args.variants:
        for name in args.stages:
            begun = time.time()
            stage = train_stage(name, variant, args)
            tell(f"{name} {args.dims}D, {variant}", stage, args, None, time.time() - begun)
    shape = Manifest.read(args.data).records[0].shape
    for reference in args.released:
        for words, trained in (("as released", None), ("with relief", shape)):
            tell(f"{reference} {words}", load_stage(reference), args, trained, 0)


if __name__ == "__main__":
    main()
