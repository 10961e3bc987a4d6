"""Write a finished run with random weights, to measure a translation."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from mrcontrast.config.build import build_stage
from mrcontrast.runs.folder import RunFolder

NORMALISER = {"name": "percentile-0.5-99.5", "clip": True}


def write_random_run(
    path: Path, stage_node: DictConfig, spacing_mm: float, shape: Sequence[int]
) -> RunFolder:
    """Write the run folder of a ControlNet without zero-initialised output layer.

    Args:
        path: Run folder.
        stage_node: ``stage`` of a resolved config.
        spacing_mm: Voxel size of the training data.
        shape: Shape of the training volumes.
    """
    torch.manual_seed(0)
    stage: Any = build_stage(stage_node)
    stage.codec.std.fill_(1.0)
    stage.initialise()
    torch.nn.init.normal_(stage.denoiser.out[-1].conv.weight, std=0.02)  # MONAI: 0
    folder = RunFolder(path)
    dims = stage.spatial_dims
    folder.write_config(OmegaConf.create({"stage": stage_node, "spatial_dims": dims}))
    sha256 = folder.write_weights(stage.state_dict())
    data = {"spacing_mm": spacing_mm, "shape": list(shape)}
    data |= {"normaliser_flair": NORMALISER, "normaliser_t1w": NORMALISER}
    folder.write_provenance({"weights_sha256": sha256, "data": data})
    return folder
