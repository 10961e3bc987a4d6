"""Restore random generators from a checkpoint."""

import random
from typing import Any

import numpy as np
import torch
from lightning import Callback, LightningModule, Trainer

from mrcontrast.data.augmentation import draw_seed
from mrcontrast.training.callbacks.processes import gather, number


class RandomState(Callback):
    """Keep the state of Python's, NumPy's and torch's generators in checkpoints.

    Without it a resumed training sees the noise of its first steps again. Of several processes
    that train together each has its own state; they begin apart, so that no two draw alike.
    """

    def __init__(self) -> None:
        self.restored: dict[str, Any] | None = None

    def state_dict(self) -> dict[str, Any]:
        """Return the states of all processes, in their order."""
        version, internal, gauss = random.getstate()
        name, keys, *rest = np.random.get_state(legacy=True)  # noqa: NPY002 - the one MONAI draws from
        own = {  # tensors, lists and numbers load without pickle
            "python": [version, list(internal), gauss],
            "numpy": [name, np.asarray(keys).tolist(), *rest],
            "torch": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        }
        return {"processes": gather(own)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep the states until training starts: building and pictures draw numbers too."""
        states = state_dict.get("processes", [state_dict])
        self.restored = states[min(number(), len(states) - 1)]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Set the generators, if a checkpoint was loaded; else let processes draw apart."""
        if self.restored is None:
            if number() > 0:
                seed = draw_seed("process", torch.initial_seed(), number())
                random.seed(seed)
                np.random.seed(seed)  # noqa: NPY002
                torch.manual_seed(seed)
            return
        version, internal, gauss = self.restored["python"]
        random.setstate((version, tuple(internal), gauss))
        np.random.set_state(tuple(self.restored["numpy"]))  # noqa: NPY002
        torch.set_rng_state(self.restored["torch"].cpu())
        cuda = self.restored["cuda"]
        if cuda and len(cuda) == torch.cuda.device_count():
            torch.cuda.set_rng_state_all([state.cpu() for state in cuda])
        self.restored = None
