"""Models and devices that cannot translate are refused before anything is read or written."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from mrcontrast.errors import MrcontrastError, UsageError
from mrcontrast.inference.from_run import from_run
from mrcontrast.runs.folder import RunFolder
from mrcontrast.stages.latent_diffusion import LatentDiffusion


def test_a_model_that_does_not_translate_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = SimpleNamespace(path=tmp_path, stage_name="latent_diffusion")
    module = sys.modules[from_run.__module__]  # the package has a function of that name
    blind = object.__new__(LatentDiffusion)
    monkeypatch.setattr(module, "open_run", lambda _: folder)
    monkeypatch.setattr(module, "load_stage", lambda *_: blind)
    with pytest.raises(UsageError, match="translates, got a latent_diffusion"):
        from_run(str(tmp_path))


def test_cuda_is_refused_where_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UsageError, match="--device cuda"):
        from_run(str(tmp_path), device="cuda")


def test_a_name_that_is_no_device_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"auto, cpu, cuda or cuda:N, got gpu \(--device\)"):
        from_run(str(tmp_path), device="gpu")


def test_a_folder_that_is_no_run_is_told_from_an_unfinished_one(tmp_path: Path) -> None:
    with pytest.raises(MrcontrastError, match=r"without config\.yaml"):
        RunFolder(tmp_path).verify()
