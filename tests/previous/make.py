"""Make the fixtures of the version that is checked out; README.md has the command.

The folder WORK gets the complete data sets and runs. The files that the tests need are copied to
fixtures/COMMIT.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import torch

import mrcontrast
from previous.fixture_data import refill, run, summary, translate, write_bids, write_native

HERE = Path(__file__).resolve().parent
KEPT = ("config.yaml", "provenance.json", "weights.safetensors")
DATA_KEPT = (
    *("manifest.tsv", "recipe.yaml", "dataset_description.json"),
    *("dropped.tsv", "measures.tsv", "remarks.tsv"),
)
SOURCE = "/data"  # stands for WORK in what is kept of prepared data sets

PREPARE = {
    "phantom": [
        "recipe=phantom",
        "recipe.sources.0.num_subjects=4",
        "recipe.sources.0.config.anatomy_spacing_mm=4.0",
        "recipe.grid.spacing_mm=4.0",
        "recipe.grid.shape=[40,48,48]",
        "recipe.split.train=2",
        "recipe.split.val=1",
        "recipe.split.test=1",
    ],
    "bids": [
        "recipe=bids_pairs",
        "source=raw/bids",
        "allow_dropped=true",
        "recipe.grid.spacing_mm=5.0",
        "recipe.grid.shape=[32,40,32]",
        "recipe.split.train=0.5",
        "recipe.split.val=0.25",
        "recipe.split.test=0.25",
    ],
}

COMMON = [
    *("logger=none", "trainer=cpu", "trainer.max_steps=6", "trainer.val_check_interval=6"),
    *("data.batch_size=4", "data.augmentation=null", "data.items.max_val_items=4"),
    "callbacks.pictures.count=1",
]
LEARN = ["stage.optimisation.optimizer.lr=0.01", "stage.optimisation.warmup_steps=0"]
LONGER = ["trainer.max_steps=40", "trainer.val_check_interval=40"]  # until the output has structure
STEER = [  # until the output depends on the source image
    *("stage.optimisation.optimizer.lr=0.03", "stage.optimisation.warmup_steps=0", *LONGER),
]
REST = [
    "stage.optimisation.optimizer.lr=1e-8",
    "trainer.max_steps=1",
    "trainer.val_check_interval=1",
]
AUTOENCODER = [
    *("stage.autoencoder.channels=[4,8]", "stage.autoencoder.attention_levels=[false,false]"),
    *("stage.autoencoder.norm_num_groups=4", "stage.autoencoder.latent_channels=2"),
]
MONAI_AUTOENCODER = ["stage.autoencoder._target_=monai.networks.nets.AutoencoderKL"]
DENOISER = [
    *("stage.denoiser.channels=[4,8]", "stage.denoiser.attention_levels=[false,true]"),
    *("stage.denoiser.num_head_channels=[0,8]", "stage.denoiser.norm_num_groups=4"),
]
MONAI_DENOISER = [
    *("stage.denoiser._target_=monai.networks.nets.DiffusionModelUNet", "stage/prompt=constant"),
    *("+stage.denoiser.with_conditioning=true", "+stage.denoiser.cross_attention_dim=4"),
    "stage.prompt.tokens=3",
]
CONCATENATED = [
    *("stage.prompt.concatenated=true", "stage.prompt.dropout=0.0"),
    "stage.denoiser.in_channels=6",  # of the latent and of the prompt
]
PROMPTED = [
    *("stage/prompt=constant", "stage.prompt.tokens=3"),
    "+stage.controlnet.with_conditioning=${stage.denoiser.with_conditioning}",
    "+stage.controlnet.cross_attention_dim=${stage.denoiser.cross_attention_dim}",
]
DISCRIMINATOR = [
    *("stage.discriminator.channels=4", "stage.discriminator.num_layers_d=1"),
    *(
        "stage.discriminator_optimisation.warmup_steps=0",
        "trainer.max_steps=40",
        "trainer.val_check_interval=10",
    ),
]
UNET = [
    "stage.regressor.network.filters=[4,8,8]",
    "stage.regressor.network.kernel_size=[3,3,3]",
    "stage.regressor.network.strides=[1,2,2]",
    "stage.regressor.network.upsample_kernel_size=[2,2]",
    "stage.regressor.factor=4",
]
STEPS = ["stage.process.sampler.num_steps=4"]
SMALL_EMBEDDER = ["stage.condition.embedder_channels=[4,8]"]
NO_EMBEDDER = ["stage.condition.embedder_channels=[4]"]
BOTH = ["stage.contrasts=[t1w,flair]"]
VOLUMES = ["spatial_dims=3", "data.batch_size=1"]
PATCHES = ["data.items.patch_size=[24,32,24]"]


def of(**parents: str) -> list[str]:
    return [f"{key}=outputs/runs/{name}" for key, name in parents.items()]


RUNS = {  # in this order; a run's parents go before it
    "autoencoder": ["stage=autoencoder", *AUTOENCODER, *LEARN, *LONGER],
    "autoencoder_both": [
        *("stage=autoencoder", *AUTOENCODER, *LEARN, *LONGER, *BOTH, "callbacks.ema.decay=0.5")
    ],
    "adversarial": [
        *("stage=adversarial_autoencoder", *AUTOENCODER, *MONAI_AUTOENCODER, *LEARN),
        *(*DISCRIMINATOR, "stage.adversarial_start_step=2", "callbacks.ema.decay=0.0"),
        *("callbacks.best.monitor=step", "callbacks.best.mode=max", "stage.initial_sigma=null"),
        "stage/perceptual=efficientnet_lite0",
    ],
    "diffusion_flow": [
        *("stage=latent_diffusion", *of(autoencoder="autoencoder"), *DENOISER, *LEARN, *STEPS)
    ],
    "diffusion_v": [  # the classes and choices of the papers' recipes
        *("stage=latent_diffusion", *of(autoencoder="adversarial"), *DENOISER, *LEARN, *STEPS),
        *("stage/process=v_prediction", *MONAI_DENOISER, "stage.codec.scale=0.3"),
        *("stage.prompt.guidance=0.0", "stage.store=null", "stage.process.sampler.rho=1.0"),
        "stage.process.times.stratified=false",
    ],
    "diffusion_epsilon": [
        *("stage=latent_diffusion", *of(autoencoder="autoencoder_both"), *DENOISER, *LEARN),
        *("stage/process=v_prediction", "stage/process/schedule=cosine_beta", *STEPS),
        *("stage/process/target=epsilon", "stage/process/sampler=ddpm"),
    ],
    "diffusion_data": [
        *("stage=latent_diffusion", *of(autoencoder="autoencoder"), *DENOISER, *LEARN, *STEPS),
        *("stage/process=data_flow", *LONGER),
    ],
    "diffusion_linear": [
        *("stage=latent_diffusion", *of(autoencoder="autoencoder"), *DENOISER, *LEARN, *STEPS),
        *("stage/process=v_prediction", "stage/process/schedule=linear_beta"),
        "stage/process/sampler=dpm_solver_pp_2m",
    ],
    "unet": ["stage=unet_regression", *UNET, *LEARN, *LONGER],
    "unet_context": [
        *("stage=unet_regression", *UNET, *LEARN, "data.context_slices=1"),
        "stage.regressor.network._target_=monai.networks.nets.DynUNet",
    ],
    "pix2pix": ["stage=pix2pix", *UNET, *LEARN, *DISCRIMINATOR],
    "lookup": ["stage=lookup", "stage.levels=64"],
    "controlnet_pixel": [
        *("stage=controlnet", *of(diffusion="diffusion_flow"), *SMALL_EMBEDDER, *STEER, *STEPS),
        *("stage/process/sampler=heun_flow", "data.context_slices=1"),
    ],
    "controlnet_regressed": [
        *("stage=controlnet", *of(diffusion="diffusion_data", regression="unet"), *STEER, *STEPS),
        *("stage/condition=regressed", *SMALL_EMBEDDER, "stage.start=0.6"),
    ],
    "controlnet_folded": [
        *("stage=controlnet", *of(diffusion="diffusion_linear"), *STEER, *STEPS, *NO_EMBEDDER),
        *("stage/condition=folded", "stage/process/sampler=dpm_solver_pp_2m"),
        "stage.unlock_decoder=true",
    ],
    "controlnet_latent": [
        *("stage=controlnet", *of(diffusion="diffusion_epsilon"), *STEER, *STEPS, *NO_EMBEDDER),
        *("stage/condition=latent", "stage/process/times=uniform", "stage/process/sampler=ddim"),
    ],
    "controlnet_prompt": [  # as the papers' recipes
        *("stage=controlnet", *of(diffusion="diffusion_v"), *STEER, *STEPS, *SMALL_EMBEDDER),
        *("stage/process/times=uniform", "stage/process/sampler=ddim", *PROMPTED),
        *("stage.store=null", "stage.prompt.guidance=7.0", "callbacks.ema.decay=0.0"),
    ],
    "concat": [
        *("stage=concat_diffusion", *of(autoencoder="autoencoder_both"), *DENOISER, *LEARN),
        *STEPS,
    ],
    "residual": [
        *("stage=residual_diffusion", *of(autoencoder="autoencoder", regression="unet_context")),
        *(*DENOISER, *LEARN, *STEPS, "data.context_slices=1"),
    ],
    "bridge": [
        *("stage=latent_bridge", *of(autoencoder="autoencoder_both"), *DENOISER, *LEARN, *STEPS),
    ],
    "autoencoder_3d": ["stage=autoencoder", *VOLUMES, *PATCHES, *AUTOENCODER, *LEARN, *LONGER],
    "diffusion_3d": [
        *("stage=latent_diffusion", *VOLUMES, *of(autoencoder="autoencoder_3d"), *DENOISER),
        *(*LEARN, *STEPS, *PATCHES),
    ],
    "diffusion_3d_prompt": [
        *("stage=latent_diffusion", *VOLUMES, *of(autoencoder="autoencoder_3d"), *DENOISER),
        *(*LEARN, *STEPS, "stage/process=v_prediction", "stage/process/target=epsilon"),
        *(*MONAI_DENOISER, *CONCATENATED),
    ],
    "unet_3d": ["stage=unet_regression", *VOLUMES, *PATCHES, *UNET, *LEARN, *LONGER],
    "controlnet_3d": [
        *("stage=controlnet", *VOLUMES, *PATCHES, *of(diffusion="diffusion_3d"), *STEER, *STEPS),
        *SMALL_EMBEDDER,
    ],
}
INTERRUPTED = [  # stopped between steps 2 and 12
    *("stage=controlnet", *of(diffusion="diffusion_flow"), *SMALL_EMBEDDER, *STEER, *STEPS),
    *("trainer.max_steps=12", "trainer.val_check_interval=12", "save_every_n_steps=2"),
]

BLIND = "diffusion"  # runs without a source image; an untrained ControlNet samples from them
ON_DIFFUSION = ["stage=controlnet", *SMALL_EMBEDDER, *REST, *STEPS]
STARTS = {  # trainings from weights of this version, at a rate that leaves them as they are
    **{
        f"on_{name}": [*ON_DIFFUSION, *of(diffusion=name)]
        for name in RUNS
        if name.startswith(BLIND) and name not in ("diffusion_v", "diffusion_3d_prompt")
        if "3d" not in name
    },
    "on_diffusion_v": [*ON_DIFFUSION, *of(diffusion="diffusion_v"), *PROMPTED, "stage.store=null"],
    "on_diffusion_3d": [*ON_DIFFUSION, *of(diffusion="diffusion_3d"), *VOLUMES],
    "from_diffusion_3d_prompt": [  # no ControlNet takes a concatenated prompt
        *("stage=latent_diffusion", *VOLUMES, *of(autoencoder="autoencoder_3d"), *DENOISER),
        *("stage/process=v_prediction", "stage/process/target=epsilon", *REST, *STEPS),
        *(*MONAI_DENOISER, *CONCATENATED, "start_from=outputs/runs/diffusion_3d_prompt"),
    ],
    "on_adversarial": [
        *("stage=latent_diffusion", *of(autoencoder="adversarial"), *DENOISER, *REST, *STEPS)
    ],
    "on_autoencoder_both": [
        *("stage=concat_diffusion", *of(autoencoder="autoencoder_both"), *DENOISER, *REST, *STEPS)
    ],
    "on_unet": [
        *("stage=residual_diffusion", *of(autoencoder="autoencoder", regression="unet")),
        *(*DENOISER, *REST, *STEPS),
    ],
    "from_autoencoder": [
        *("stage=autoencoder", *AUTOENCODER, *REST, "start_from=outputs/runs/autoencoder")
    ],
    "from_unet": ["stage=unet_regression", *UNET, *REST, "start_from=outputs/runs/unet"],
    "from_controlnet_regressed": [
        *("stage=controlnet", *of(diffusion="diffusion_data", regression="unet"), *REST, *STEPS),
        *("stage/condition=regressed", *SMALL_EMBEDDER, "stage.start=0.6"),
        "start_from=outputs/runs/controlnet_regressed",
    ],
    **{
        f"on_{model}": [
            *(*ON_DIFFUSION, f"diffusion={model}/latent_diffusion"),
            *(["spatial_dims=3", "data.batch_size=1"] if model.endswith("3d") else []),
        ]
        for model in ("phantom-2d", "phantom-2d-1mm", "phantom-3d")
    },
}
MORE = {  # further translations: by a run, with options
    "drawn": ("controlnet_pixel", ["--samples", "2", "--steps", "3", "--noise-turn", "2"]),
    "sampler": ("controlnet_pixel", ["--sampler", "ddim", "--steps", "3"]),
    "temperature": ("concat", ["--temperature", "0.8", "--batch-size", "5"]),
    "start": ("controlnet_regressed", ["--start", "0.3", "--samples", "2"]),
    "tiles": ("controlnet_3d", ["--tile", "24,16"]),
}
SAMPLING = [name for name in RUNS if name.startswith("controlnet")]
SAMPLING += ["concat", "residual", "bridge"]  # translate another source image too
PACKAGED = [
    f"{model}/{run}"
    for model in ("phantom-2d", "phantom-2d-1mm", "phantom-3d")
    for run in ("autoencoder", "controlnet", "lookup", "unet")
]


def main(work: Path) -> None:
    """Make all files in WORK and copy those that the tests need."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    os.environ |= {"OMP_NUM_THREADS": "1", "MLFLOW_DISABLE_TELEMETRY": "true"}
    for name in ("MRCONTRAST_CACHE", "MRCONTRAST_OUTPUTS"):
        os.environ.pop(name, None)
    commit = subprocess.run(
        ["git", "log", "-1", "--abbrev=7", "--format=%h", "--", "src", "configs"],
        cwd=Path(mrcontrast.__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    fixtures = HERE / "fixtures" / commit
    work.mkdir(parents=True, exist_ok=True)
    os.chdir(work)
    write_native(Path("native"))
    write_bids(Path("raw/bids"))
    for name, overrides in PREPARE.items():
        run("prepare", *overrides, f"out=outputs/data/{name}")
        keep_data(Path("outputs/data") / name, fixtures / "data" / name)
        refilled = Path("outputs/data") / f"{name}_refilled"
        if not (refilled / "manifest.tsv").is_file():
            refill(fixtures / "data" / name, refilled)
    for name, overrides in RUNS.items():
        run("train", *COMMON, *overrides, f"name={name}", "data.root=outputs/data/phantom")
        keep_run(Path("outputs/runs") / name, fixtures / "runs" / name)
    goldens = {
        "translations": translations(),
        "prepared": prepared(),
        "starts": starts(),
        "interrupted": interrupted(fixtures),
        "data": data(),
        "prepare": PREPARE,
    }
    (fixtures / "goldens.json").write_text(as_text(goldens))


def as_text(goldens: dict) -> str:
    """Return JSON with one line for each case."""
    parts = []
    for name, cases in goldens.items():
        lines = [f"  {json.dumps(case)}: {json.dumps(value)}" for case, value in cases.items()]
        parts.append(f" {json.dumps(name)}: {{\n" + ",\n".join(lines) + "\n }")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def keep_data(prepared: Path, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for name in DATA_KEPT:
        text = (prepared / name).read_text()
        (target / name).write_text(text.replace(str(Path.cwd()), SOURCE))


def keep_run(folder: Path, target: Path, names: tuple[str, ...] = KEPT) -> None:
    for name in names:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / name, target / name)


def translations() -> dict:
    """Translate the small volumes by every run that can, and by every packaged model."""
    cases = {name: (name, "native", []) for name in RUNS if not name.startswith(BLIND)}
    cases |= {f"other_{name}": (name, "other", []) for name in SAMPLING}
    cases |= {case: (name, "native", options) for case, (name, options) in MORE.items()}
    cases |= {name: (name, "fine" if "1mm" in name else "small", []) for name in PACKAGED}
    return {
        case: translated(name if "/" in name else f"outputs/runs/{name}", name, volume, options)
        for case, (name, volume, options) in cases.items()
    }


def translated(model: str, name: str, volume: str, options: list[str]) -> dict:
    contrast = "T1w" if name.rpartition("/")[2].startswith(("autoencoder", "adver")) else "FLAIR"
    paths = translate(model, Path("native"), f"{volume}_{contrast}", options, Path("translated"))
    return {
        "run": name,
        "volume": f"{volume}_{contrast}",
        "options": options,
        "expected": [summary(path) for path in paths],
    }


def prepared() -> dict:
    """Translate the test subjects of the data sets by runs that were trained on that grid."""
    found = {}
    for name in ("lookup", "controlnet_regressed", "unet_3d"):
        out = Path("translated_prepared") / name
        run(
            "translate",
            "outputs/data/phantom_refilled",
            str(out),
            "--model",
            f"outputs/runs/{name}",
            "--device",
            "cpu",
        )
        found[name] = {path.name: summary(path) for path in sorted(out.glob("*_T1w.nii.gz"))}
    return found


def starts() -> dict:
    found = {}
    for name, overrides in STARTS.items():
        run("train", *COMMON, *overrides, f"name={name}", "data.root=outputs/data/phantom_refilled")
        found[name] = {"overrides": [*COMMON, *overrides]}
        provenance = json.loads(Path(f"outputs/runs/{name}/provenance.json").read_text())
        found[name] |= {"origin": origin(provenance), "score": provenance["score"]["value"]}
        if "stage=latent_diffusion" not in overrides:
            what = "autoencoder" if name == "from_autoencoder" else name
            found[name] |= translated(f"outputs/runs/{name}", what, "native", [])
    return found


def origin(provenance: dict) -> dict:
    start = provenance["start_from"]
    return {
        "parents": provenance["parents"],
        "start_from": None if start is None else start["weights_sha256"],
        "data_hash": provenance["data_hash"],
        "split_hash": provenance["split_hash"],
        "data": provenance["data"],
    }


def interrupted(fixtures: Path) -> dict:
    """Kill a training once it has saved, keep a copy of that, and let it come to its end."""
    overrides = [*COMMON, *INTERRUPTED]
    here = ["data.root=outputs/data/phantom_refilled", "name=interrupted"]
    folder, kept = Path("outputs/runs/interrupted"), Path("outputs/interrupted_as_it_was")
    if not kept.is_dir():
        kill_in_time(folder, [*overrides, *here])
        shutil.copytree(folder, kept)
    names = ("config.yaml", "provenance.json", "checkpoints/last.ckpt")
    keep_run(kept, fixtures / "interrupted", names)
    run("train", *overrides, *here)
    provenance = json.loads((folder / "provenance.json").read_text())
    case = {"overrides": overrides, "steps": provenance["steps"], "origin": origin(provenance)}
    return {"controlnet": case | translated(str(folder), "interrupted", "native", [])}


def kill_in_time(folder: Path, overrides: list[str]) -> None:
    """Start a training and kill it after its first checkpoint."""
    command = [sys.executable, "-m", "mrcontrast", "train", *overrides]
    package = Path(mrcontrast.__file__).parents[1]
    child = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": str(package)})
    while not (folder / "checkpoints/last.ckpt").is_file():
        assert child.poll() is None, "the training has ended before it was killed"
        time.sleep(0.002)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert not (folder / "weights.safetensors").exists()


def data() -> dict:
    """Train on each data set; its provenance holds the hashes and facts of the manifest."""
    found = {}
    for name in PREPARE:
        root = f"outputs/data/{name}_refilled"
        overrides = [*COMMON, "stage=lookup"]
        run("train", *overrides, f"name=on_data_{name}", f"data.root={root}")
        provenance = json.loads(Path(f"outputs/runs/on_data_{name}/provenance.json").read_text())
        outs = {}
        for split in ("train", "val", "test"):
            out = Path("translated_prepared") / f"{name}_{split}"
            run(
                "translate",
                root,
                str(out),
                "--split",
                split,
                "--device",
                "cpu",
                "--model",
                f"outputs/runs/on_data_{name}",
            )
            outs[split] = {p.name: summary(p) for p in sorted(out.glob("*_T1w.nii.gz"))}
        found[name] = {
            "overrides": overrides,
            "origin": origin(provenance),
            "translated": outs,
        }
    return found


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
