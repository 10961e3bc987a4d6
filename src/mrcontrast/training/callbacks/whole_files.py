"""Checkpoints that are whole or absent, whatever happens while they are written."""

from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO

from mrcontrast.errors import MrcontrastError, one_line
from mrcontrast.storage.files import replacing


class WholeFiles(TorchCheckpointIO):
    """Write a checkpoint under a temporary name, then rename it.

    Lightning's own goes by a file in ``$TMPDIR``. Where that is another file system the last step
    is a copy, and a kill in it leaves half a checkpoint in the place of a whole one.
    """

    def save_checkpoint(
        self,
        checkpoint: dict[str, Any],
        path: str | Path,
        storage_options: object = None,
    ) -> None:
        """Write a checkpoint; of an earlier one there all or nothing is replaced.

        Raises:
            MrcontrastError: The disk is full, or the folder cannot be written to.
        """
        path = Path(path)
        try:
            with replacing(path, durable=True) as unfinished, unfinished.open("wb") as file:
                torch.save(checkpoint, file)
        except (MrcontrastError, RuntimeError) as error:  # torch turns an OSError into the latter
            reason = one_line(error.__cause__ or error, most=200)
            raise MrcontrastError(
                f"Expected room for a checkpoint, got: {reason} ({path}). "
                "Free some space; the same command goes on from the checkpoint before."
            ) from error
