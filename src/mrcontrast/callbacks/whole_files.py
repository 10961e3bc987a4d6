"""Checkpoints that are whole or absent, whatever happens while they are written."""

import os
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO

from mrcontrast.errors import MrcontrastError, one_line


class WholeFiles(TorchCheckpointIO):
    """Write a checkpoint beside its place, down to the disk, and then give it its name.

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
        unfinished = path.with_name(f".{path.name}.{os.getpid()}.partial")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            for left in path.parent.glob(f".{path.name}.*.partial"):  # by a kill
                left.unlink(missing_ok=True)
            with unfinished.open("wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(path)
        except (OSError, RuntimeError) as error:  # torch's writer turns the one into the other
            reason = one_line(error, most=200)
            raise MrcontrastError(
                f"Expected room for a checkpoint, got: {reason} ({path}). "
                "Free some space; the same command goes on from the checkpoint before."
            ) from error
        finally:
            unfinished.unlink(missing_ok=True)
