"""Depth of the call stack, from the command to the network and to the mathematics of a step.

The stack is taken at the first call of the denoiser in a translation, and of the noise schedule in
the training of each latent stage. Functions of this project alone count.
"""

import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import nibabel
import numpy as np
from monai.networks.nets import DiffusionModelUNet

import mrcontrast
from mrcontrast.cli import main
from mrcontrast.diffusion.schedules import NoiseSchedule

PACKAGE = Path(mrcontrast.__file__).parent
LEFT_OUT = {"estimate_memory", "before_fit"}  # which call networks before the work begins
PREPARE = (
    *("recipe=phantom", "recipe.sources.0.num_subjects=3", "recipe.grid.spacing_mm=4"),
    *("recipe.sources.0.config.anatomy_spacing_mm=4", "recipe.grid.shape=[40,48,48]"),
    *("recipe.split.train=1", "recipe.split.val=1", "recipe.split.test=1"),
)
NET = ("channels=[8,8]", "attention_levels=[false,false]", "norm_num_groups=4")
CODEC = tuple(f"stage.autoencoder.{each}" for each in (*NET, "latent_channels=2"))
DENOISER = (
    *(f"stage.denoiser.{each}" for each in (*NET, "num_head_channels=[0,4]")),
    *("stage.codec.latent_multiple=2", "autoencoder={runs}/autoencoder"),
)
STAGES = {
    "autoencoder": (*CODEC, "stage.contrasts=[t1w,flair]"),
    "latent_diffusion": DENOISER,
    "concat_diffusion": DENOISER,
    "controlnet": ("diffusion={runs}/latent_diffusion", "stage.condition.embedder_channels=[4,8]"),
}


@contextmanager
def first_stack(owner: type, name: str) -> Iterator[list[str]]:
    """Yield a list that gets the functions above the first call of a method, outermost first."""
    found: list[str] = []
    method: Callable = getattr(owner, name)

    def noting(*args: object, **named: object) -> object:
        frames = [f for f in traceback.extract_stack() if Path(f.filename).is_relative_to(PACKAGE)]
        if not found and frames and not LEFT_OUT & {frame.name for frame in frames}:
            places = [Path(frame.filename).relative_to(PACKAGE) for frame in frames]
            found.extend(f"{p}:{frame.name}" for p, frame in zip(places, frames, strict=True))
            if (own := Path(method.__code__.co_filename)).is_relative_to(PACKAGE):
                found.append(f"{own.relative_to(PACKAGE)}:{name}")
        return method(*args, **named)

    setattr(owner, name, noting)
    try:
        yield found
    finally:
        setattr(owner, name, method)


def translation(folder: Path) -> list[str]:
    """Return the functions from the command to the denoiser of the trained ControlNet."""
    places = np.moveaxis(np.indices((24, 28, 9)), 0, -1) - np.array([11.5, 13.5, 4])
    ball = np.where((places**2).sum(-1) < 81, 200.0 + places[..., 0], 0).astype(np.float32)
    source = folder / "sub-1_FLAIR.nii.gz"
    nibabel.save(nibabel.Nifti1Image(ball, np.diag([4.0, 4, 4, 1])), source)
    model = str(folder / "runs" / "controlnet")
    with first_stack(DiffusionModelUNet, "forward") as found:
        main(["translate", str(source), str(folder / "out.nii.gz"), "--model", model])
    return found


def trainings(folder: Path) -> dict[str, list[str]]:
    """Return the functions from the command to the noise schedule, by latent stage."""
    main(["prepare", *PREPARE, f"out={folder}/data"])
    stacks = {}
    for stage, overrides in STAGES.items():
        common = [f"stage={stage}", "data=prepared", f"data.root={folder}/data", "logger=none"]
        common += [f"paths.outputs={folder}", "trainer=cpu", "trainer.max_steps=1"]
        common += ["data.batch_size=2", "callbacks.pictures.count=0"]
        with first_stack(NoiseSchedule, "add_noise") as found:
            main(["train", *common, *(each.format(runs=folder / "runs") for each in overrides)])
        if found:
            stacks[stage] = found
    return stacks


def run() -> None:
    """Print both depths."""
    with TemporaryDirectory() as folder:
        found = trainings(Path(folder)) | {"translate": translation(Path(folder))}
    for name, stack in found.items():
        files = {each.partition(":")[0] for each in stack}
        steps = [place for place, each in enumerate(stack) if each.endswith(":training_step")]
        last = f", {len(stack) - steps[0]} of them from the training step on" if steps else ""
        print(f"{name}: {len(stack)} functions in {len(files)} files{last}")
        print("\n".join(f"  {each}" for each in stack))


if __name__ == "__main__":
    run()
