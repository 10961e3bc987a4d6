"""Train each variant in the same budget and print how its level depends on the field."""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning import seed_everything

from experiments.norms import variants
from experiments.norms.judge import Case, judge, row
from mrcontrast.callbacks.quiet import quieten
from mrcontrast.config import build, build_stage, compose, resolve
from mrcontrast.lineage import PARENTS, below, check_same, fill_gaps
from mrcontrast.data.volume_store import open_store, store_folder


def field_of(stage: Any, field: variants.Field, grow: bool, per_item: bool) -> None:
    """Let training and drawing tell the norms the brain, and training vary its field."""

    def after(batch: dict, _: int) -> dict:
        if grow and stage.training:
            batch = random_field(batch, stage.factor)
        field.mask = batch.get("brain_mask")
        return batch

    stage.on_after_batch_transfer = after
    stage.register_forward_pre_hook(lambda module, args: setattr(field, "mask", args[0]["brain_mask"]))
    if per_item:
        stage.loss = lambda batch: brain_l1(stage.regressor(batch["flair"]), batch)


def brain_l1(image: torch.Tensor, batch: dict) -> torch.Tensor:
    """Return the mean error of a brain voxel, each image with equal weight in the root of its brain."""
    mask = batch["brain_mask"]
    each = ((image - batch["t1w"]).abs() * mask).flatten(1).sum(1)
    brain = mask.flatten(1).sum(1).clamp_min(1)
    return (each / brain.sqrt()).sum() / brain.sqrt().sum()


def random_field(batch: dict, factor: int) -> dict:
    """Cut or pad all images of a batch to one random field about a random place."""
    shape = batch["brain_mask"].shape[2:]
    changed = dict(batch)
    for axis, size in enumerate(shape):
        low, high = max(factor, size // 4), round(1.5 * size)
        new = int(torch.randint(low, high + 1, ())) // factor * factor
        start = int(torch.randint(min(0, size - new), max(0, size - new) + 1, ()))
        for key in ("flair", "t1w", "brain_mask"):
            x = changed[key]
            dim = axis + 2
            lack = max(-start, 0), max(start + new - size, 0)
            x = x.narrow(dim, max(start, 0), min(start + new, size) - max(start, 0))
            sides = [0, 0] * (x.ndim - 1 - dim) + list(lack)
            changed[key] = torch.nn.functional.pad(x, sides)
    return changed


def data_of(dims: int, data: str, options: str, neighbours: bool) -> list[str]:
    """Return the overrides of a training's data."""
    return [
        "data=prepared", f"data.root={data}", f"spatial_dims={dims}", "logger=none",
        "data.batch_size=8" if dims == 2 else "data.batch_size=2",
        f"data.context_slices={int(dims == 2 and neighbours)}",
        *([] if dims == 2 else ["data.items.patch_size=[48,48,48]"]),
        *(["data.items.min_brain_fraction=0.005"] if "t" in options and dims == 2 else []),
    ]


STAGES = {
    "unet": ["stage=unet_regression", "stage.regressor.network.filters=[16,32,64,128]"],
    "autoencoder": [
        "stage=autoencoder", "stage.autoencoder.channels=[16,32]", "stage.kl_weight=1e-6",
        "stage.autoencoder.attention_levels=[false,false]", "stage.autoencoder.norm_num_groups=8",
        "stage.autoencoder.latent_channels=3",
    ],
    "diffusion": [
        "stage=latent_diffusion", "stage/process=data_flow", "stage.denoiser.channels=[32,64,64]",
        "stage.denoiser.norm_num_groups=16", "stage.store=null",
    ],
    "controlnet": [
        "stage=controlnet", "stage/condition=regressed", "stage.condition.embedder_channels=[16,32]",
        "stage.process.times.mean=0.5", "stage.process.sampler.num_steps=3", "stage.start=0.9",
        "stage.store=null",
    ],
}
MONAI = {  # today's networks, with group norms
    "unet": [
        "stage.regressor.network._target_=monai.networks.nets.DynUNet",
        "+stage.regressor.network.norm_name=[group,{num_groups:8}]",
    ],
    "autoencoder": ["stage.autoencoder._target_=monai.networks.nets.AutoencoderKL"],
    "diffusion": ["stage.denoiser._target_=monai.networks.nets.DiffusionModelUNet"],
    "controlnet": [],
}
PARENTS_OF = {"diffusion": ["autoencoder"], "controlnet": ["diffusion", "unet"]}
KEY = {"autoencoder": "autoencoder", "diffusion": "diffusion", "unet": "regression"}
PARTS = {
    "unet": ["regressor.network"], "autoencoder": ["autoencoder"],
    "diffusion": ["codec.autoencoder", "denoiser"],
    "controlnet": ["codec.autoencoder", "denoiser", "controlnet", "condition.regressor.network"],
}


def config_of(name: str, variant: str, dims: int, data: str, extra: list[str]) -> Any:
    norm, _, options = variant.partition("+")
    config = compose(
        "train",
        [
            f"name={name}", *STAGES[name], *(MONAI[name] if norm != "local" else []),
            *data_of(dims, data, options, name in ("unet", "controlnet")), *extra,
        ],
    )
    for parent in PARENTS_OF.get(name, []):
        theirs = config_of(parent, variant, dims, data, [])
        fill_gaps(config, theirs, PARENTS[KEY[parent]], parent)
    return resolve(config)


def train_stage(
    name: str, variant: str, data: str, dims: int, steps: int, folder: Path, extra: list[str]
) -> Any:
    """Return a stage of a variant, trained now or before."""
    norm, _, options = variant.partition("+")
    known = folder / f"{variant}_{name}_{dims}d_{steps}.pt"
    config = config_of(name, variant, dims, data, extra)
    seed_everything(0, verbose=False)
    datamodule, stage = build(config.data), build_stage(config.stage)
    field = variants.Field()
    for part in PARTS[name]:
        network = stage.get_submodule(part)
        variants.NORMS[norm](network, field)
        if norm == "crop":
            stage.regressor.network = variants.Cropped(network, stage.factor)
    field_of(stage, field, "f" in options, "b" in options and name == "unet")
    if known.is_file():
        stage.load_state_dict(torch.load(known))
        return stage.eval()
    state = stage.state_dict()
    for parent in PARENTS_OF.get(name, []):
        theirs = train_stage(parent, variant, data, dims, steps, folder, []).state_dict()
        for ours, source in PARENTS[KEY[parent]].weights.items():
            wanted, found = below(state, ours), below(theirs, source)
            check_same(wanted, found, known)
            for key, value in found.items():
                wanted[key].copy_(value)
    if hasattr(stage, "initialise"):
        stage.initialise()
    fit(stage, datamodule, steps)
    if name == "autoencoder":
        with torch.no_grad():
            stage.measure_latents(datamodule)
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(stage.state_dict(), known)
    return stage


def fit(stage: Any, datamodule: Any, steps: int) -> None:
    datamodule.prepare_data()
    trainer = lightning.Trainer(
        max_steps=steps, max_epochs=-1, accelerator="cpu", devices=1, logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        limit_val_batches=0, precision="bf16-mixed", num_sanity_val_steps=0, gradient_clip_val=1.0,
    )
    before = getattr(stage, "before_fit", None)
    if before is not None:
        before(datamodule)
    trainer.fit(stage, datamodule)
    stage.eval()


def held_out(data: str, count: int, autoencoder: bool = False) -> list[Case]:
    from mrcontrast.data.manifest import Manifest

    manifest = Manifest.read(Path(data))
    records = manifest.split("test")[:count]
    store = open_store(records, store_folder(Path(data)))
    cases = []
    for index in range(len(records)):
        flair, t1w, mask = (channel.astype("float32") for channel in store[index])
        cases.append(Case(t1w if autoencoder else flair, t1w, mask > 0.5))
    return cases


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("variants", nargs="+")
    parser.add_argument("--data", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--dims", type=int, default=2)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--subjects", type=int, default=4)
    parser.add_argument("--stages", nargs="+", default=["unet"])
    parser.add_argument("--runs", type=Path, default=Path("/tmp/norms/runs"))
    parser.add_argument("--set", nargs="*", default=[])
    args = parser.parse_args()
    quieten(True)
    torch.set_num_threads(1)
    for name in args.variants:
        for stage_name in args.stages:
            cases = held_out(args.data, args.subjects, stage_name == "autoencoder")
            begun = time.time()
            stage = train_stage(
                stage_name, name, args.data, args.dims, args.steps, args.runs, args.set
            )
            trained = time.time() - begun
            if stage_name == "diffusion":
                continue
            found = judge(stage, cases, 2.0)
            print(f"| {stage_name} {args.dims}D | {name} | {row(found)} | {trained:.0f} s |", flush=True)
            facts = {"name": name, "stage": stage_name, "dims": args.dims, "seconds": trained}
            with open(args.out, "a") as file:
                file.write(json.dumps(facts | found) + "\n")


if __name__ == "__main__":
    sys.exit(main())
