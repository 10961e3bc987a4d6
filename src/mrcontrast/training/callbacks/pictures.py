"""Pictures of fixed validation subjects, from the first step on."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.utilities.rank_zero import rank_zero_only
from lightning.pytorch.utilities.seed import isolate_rng
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

from mrcontrast import keys
from mrcontrast.errors import MrcontrastError
from mrcontrast.stages.contract import Stage
from mrcontrast.storage.files import replacing
from mrcontrast.tracking.trackers import RunMetrics

log = logging.getLogger(__name__)
PANEL_INCHES = 1.6


class SamplePictures(Callback):
    """Draw what the stage makes of the same validation items at each validation.

    The stage gives ``pictures(batch) -> {title: (B, 1, *S) in [0, 1]}``; one without it is left
    alone. Drawing does not move the random generators of the training. Place it before the
    average of the weights in the list of callbacks: it then draws with the averaged weights.

    Args:
        folder: Folder of ``step_000200.png`` and the others.
        count: Number of items, spread evenly over the validation set.
    """

    def __init__(self, folder: str, count: int = 4) -> None:
        self.folder = Path(folder)
        self.count = count
        self.batch: dict[str, Any] | None = None
        self.warned = False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draw before the first step."""
        if trainer.global_step == 0:
            self.draw(trainer, pl_module)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draw after a validation."""
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            self.draw(trainer, pl_module)

    @rank_zero_only
    def draw(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write one picture to the run folder, and to MLflow if that is in use."""
        if not isinstance(pl_module, Stage) or self.count < 1:
            return
        if self.batch is None:
            self.batch = fixed_batch(trainer.datamodule.val_dataloader(), self.count)  # type: ignore[attr-defined]
        images = self.images(pl_module)
        path = self.folder / f"step_{trainer.global_step:06d}.png"
        try:
            save_grid(images, self.batch.get(keys.SUBJECT, []), path)
        except MrcontrastError as error:
            if not self.warned:
                log.warning("No picture, training goes on: %s", error)
            self.warned = True
            return
        for logger in trainer.loggers:
            if isinstance(logger, RunMetrics):
                logger.log_picture(path)

    def images(self, pl_module: Stage) -> dict[str, Tensor]:
        """Return what the stage draws, with every module's mode put back afterwards."""
        training = {module: module.training for module in pl_module.modules()}
        pl_module.eval()
        with isolate_rng(), torch.no_grad():
            torch.manual_seed(0)
            batch = pl_module.transfer_batch_to_device(self.batch, pl_module.device, 0)
            images = pl_module.pictures(batch)
        for module, mode in training.items():
            module.training = mode
        return images


def fixed_batch(loader: Any, count: int) -> dict[str, Any]:  # noqa: ANN401 - any DataLoader
    """Collate items spread evenly over a loader's dataset; each stands amid its share of it."""
    dataset = loader.dataset
    count = min(count, len(dataset))
    chosen = [int((index + 0.5) * len(dataset) / count) for index in range(count)]
    return loader.collate_fn([dataset[index] for index in chosen])


def save_grid(images: Mapping[str, Tensor], subjects: list[str], path: Path) -> None:
    """Write a PNG with a row for each item and a column for each title and plane.

    ``images`` are (B, 1, *S) in [0, 1] by title; of a volume the three middle planes are shown.
    """
    panels = {title: planes(image.detach().float().cpu()) for title, image in images.items()}
    columns = [(title, plane) for title, views in panels.items() for plane in views]
    rows = len(columns[0][1])
    figure = Figure(figsize=(PANEL_INCHES * len(columns), PANEL_INCHES * rows + 0.3))
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, len(columns), squeeze=False)
    for column, (title, plane) in enumerate(columns):
        for row in range(rows):
            axis = axes[row, column]
            axis.imshow(plane[row].T.numpy(), cmap="gray", vmin=0, vmax=1, origin="lower")
            axis.set_xticks([])
            axis.set_yticks([])
            axis.set_title(title if row == 0 else "", fontsize=8)
    for row, subject in enumerate(subjects):
        axes[row, 0].set_ylabel(subject, fontsize=6)
    figure.tight_layout(pad=0.3)
    with replacing(path) as unfinished:
        figure.savefig(unfinished, dpi=100, format="png")


def planes(image: Tensor) -> list[Tensor]:
    """Return the views of (B, 1, *S) to show, each (B, width, height).

    >>> [tuple(view.shape) for view in planes(torch.zeros(2, 1, 4, 5, 6))]
    [(2, 4, 5), (2, 4, 6), (2, 5, 6)]
    """
    image = image[:, 0]
    if image.ndim == 3:
        return [image]
    x, y, z = (size // 2 for size in image.shape[1:])
    return [image[..., z], image[:, :, y], image[:, x]]  # axial, coronal, sagittal
