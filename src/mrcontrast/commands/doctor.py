"""``mrcontrast info`` and ``mrcontrast doctor``: versions, devices, models, and a check of them."""

import argparse
import importlib.metadata
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

from mrcontrast.config.build import compose, config_dir, module_name
from mrcontrast.errors import MrcontrastError, one_line
from mrcontrast.runs.folder import RunFolder, software
from mrcontrast.runs.released import MODELS

EXTRAS = {
    "SimpleITK": "registration and bias field of raw data (extra prep)",
    "deepbet": "skull stripping (extra prep)",
    "optuna": "search over settings (extra sweep)",
    "submitit": "SLURM (extra sweep)",
}
GIB = 1024**3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of both commands."""
    if parser.get_default("command") == "info":
        text = "describe one model alone: a released one, a run folder, models:/NAME or runs:/ID"
        parser.add_argument("model", nargs="?", help=text)
    default = Path(os.environ.get("MRCONTRAST_OUTPUTS", "outputs"))
    text = "folder of runs (default: %(default)s)"
    parser.add_argument("--outputs", type=Path, default=default, help=text)


def run(args: argparse.Namespace) -> int:
    """Run ``args.command`` and return the exit code."""
    if args.command == "info" and args.model is not None:
        sys.stdout.write("\n  ".join([args.model, *described(args.model)]) + "\n")
        return 0
    return info(args.outputs) if args.command == "info" else doctor(args.outputs)


def info(outputs: Path) -> int:
    """Print versions, devices, memory and models; return 1 if a run cannot be used, else 0."""
    known = software()
    commit = known["git_sha"] or "none (installed package)"
    refused: list[str] = []
    found = list(trained(outputs, refused))
    parts = {
        "versions": [f"{k:<11} {v}" for k, v in (known["versions"] | {"commit": commit}).items()],
        "devices": devices(),
        f"trained models: those released, and in {outputs}": found + refused or ["none"],
    }
    for head, lines in parts.items():
        sys.stdout.write("\n  ".join([head, *lines]) + "\n")
    return 1 if refused else 0


def devices() -> Iterator[str]:
    """Yield one line for the CPU and one for each CUDA device."""
    import torch

    gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB
    yield f"cpu: {os.cpu_count()} cores, {torch.get_num_threads()} threads, {gib:.1f} GiB memory"
    for index in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(index)
        name = torch.cuda.get_device_name(index)
        bf16 = "with" if torch.cuda.is_bf16_supported() else "without"
        yield f"cuda:{index}: {name}, {free / GIB:.1f} of {total / GIB:.1f} GiB free, {bf16} bf16"
    if not torch.cuda.is_available():
        yield "cuda: none"


def trained(outputs: Path, refused: list[str]) -> Iterator[str]:
    """Yield name, stage, best score and size of each released and each finished run."""
    studies = sorted((outputs / "study").glob("*/runs"))
    places = [MODELS, outputs / "runs", outputs / "sweeps", *studies]
    for path in (found for place in places for found in sorted(place.glob("**/provenance.json"))):
        folder = RunFolder(path.parent)
        try:
            if not folder.finished:
                continue
            stage = module_name(str(folder.checked_config().stage._target_))
            score = folder.provenance.get("score") or {}
        except MrcontrastError as error:
            refused.append(f"{folder.path}: {one_line(error)}")
            continue
        value = "unknown" if score.get("value") is None else f"{score['value']:.4g}"
        inside = folder.path.is_relative_to(MODELS)
        name = folder.path.relative_to(MODELS) if inside else folder.path
        best = f"{score.get('monitor', 'score')} {value}"
        yield f"{name}: {stage}, {best}, {folder.weights_mb:.1f} MB"


def described(reference: str) -> Iterator[str]:
    """Yield what a model takes, how it is normalised, what it makes, and the tags that it knows."""
    from mrcontrast.inference.from_run import from_run
    from mrcontrast.inference.prompting import tag_prompts

    model = from_run(reference, device="cpu")
    stage, spacing = model.sampler.stage, model.grid.spacing_mm
    yield f"stage    {model.identity['Stage']}, {stage.spatial_dims}D"
    for name, normaliser in model.source.items():
        optional = ", may be absent" if name in model.optional else ""
        yield f"source   {name}, in [0, 1] by {normaliser}{optional}"
    yield f"target   {model.target}, in [0, 1]"
    yield f"grid     RAS, {spacing:g} mm"
    tags = {name: text for prompt in tag_prompts(stage) for name, text in prompt.trained().items()}
    yield from (f"tag      {name}: {text}" for name, text in tags.items())


def doctor(outputs: Path) -> int:
    """Run all checks, print a line for each, and return 1 if one failed; extras are optional."""
    checks: dict[str, Callable[[], str]] = {
        "configs": check_configs,
        "outputs": lambda: check_outputs(outputs),
        "torch": check_torch,
        "mlflow": check_mlflow,
    }
    failed = 0
    for name, check in checks.items():
        try:
            line = f"ok    {name}: {check()}"
        except Exception as error:
            failed = 1
            line = f"fail  {name}: {type(error).__name__}: {one_line(error)}"
        sys.stdout.write(line + "\n")
    for package, purpose in EXTRAS.items():
        absent = find_spec(package) is None
        head, tail = ("warn", ", absent") if absent else ("ok  ", "")
        sys.stdout.write(f"{head}  {package}: {purpose}{tail}\n")
    return failed


def check_configs() -> str:
    """Compose one config."""
    compose("train", ["stage=autoencoder"])
    return f"found and composed from {config_dir()}"


def check_outputs(outputs: Path) -> str:
    """Write and remove a file in the outputs, or in the nearest existing folder above."""
    folder = outputs.resolve()
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir():
        raise MrcontrastError(f"Expected a folder, got a file ({folder}). Set --outputs.")
    with tempfile.TemporaryFile(dir=folder):
        return f"{folder} can be written to"


def check_torch() -> str:
    """Run a convolution and its gradient on each kind of device."""
    import torch

    names = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    for name in names:
        image = torch.ones(1, 1, 8, 8, device=name, requires_grad=True)
        weight = torch.ones(1, 1, 3, 3, device=name)
        torch.nn.functional.conv2d(image, weight).sum().backward()
        if image.grad is None or float(image.grad[0, 0, 4, 4]) != 9.0:
            raise MrcontrastError(f"Expected a gradient of 9, got {image.grad} ({name}).")
    return f"{torch.__version__}, convolution right on {' and '.join(names)}"


def check_mlflow() -> str:
    """Create a database and a run in a temporary folder."""
    from mrcontrast.tracking.store import connect

    with tempfile.TemporaryDirectory() as folder:
        client = connect(f"sqlite:///{folder}/mlflow.db")
        experiment = client.create_experiment("doctor", artifact_location=folder)
        run_id = client.create_run(experiment).info.run_id
        client.set_terminated(run_id, "FINISHED")
        status = client.get_run(run_id).info.status
    return f"{importlib.metadata.version('mlflow')}, a run in a new database is {status}"
