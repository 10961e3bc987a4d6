"""Every choice in configs/stage that belongs to diffusion builds and works with every other."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from omegaconf import OmegaConf

from mrcontrast.config.build import build
from mrcontrast.diffusion.sampling import Sampler
from mrcontrast.diffusion.schedules import NoiseSchedule
from mrcontrast.diffusion.targets import Target
from mrcontrast.diffusion.time_sampling import TimeSampler

if TYPE_CHECKING:
    from conftest import Mixture

STAGE = Path(__file__).parents[2] / "configs" / "stage" / "process"


def choices(group: str) -> list[Path]:
    return sorted((STAGE / group).glob("*.yaml"))


def by_stem(path: Path) -> str:
    return path.stem


@pytest.mark.parametrize(
    ("group", "kind"),
    [
        ("schedule", NoiseSchedule),
        ("target", Target),
        ("times", TimeSampler),
        ("sampler", Sampler),
    ],
)
def test_choices_build(group: str, kind: type) -> None:
    built = [build(OmegaConf.load(path)) for path in choices(group)]
    assert len(built) >= 2
    assert all(isinstance(part, kind) for part in built)
    assert len({type(part) for part in built}) == len(built)


@pytest.mark.parametrize("sampler", choices("sampler"), ids=by_stem)
@pytest.mark.parametrize("target", choices("target"), ids=by_stem)
@pytest.mark.parametrize("schedule", choices("schedule"), ids=by_stem)
def test_each_combination_draws_the_data(
    schedule: Path, target: Path, sampler: Path, gaussian: "Mixture"
) -> None:
    parts = [build(OmegaConf.load(path)) for path in (schedule, target, sampler)]
    if sampler.stem == "euler_flow" and schedule.stem != "rectified_flow":
        parts[2].num_steps = 20  # as its YAML advises
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(2, 1, 50, 40, generator=generator)
    predict = gaussian.predictor(*parts[:2])
    out = parts[2].sample(predict, noise, *parts[:2], generator)
    assert out.mean().item() == pytest.approx(0.7, abs=0.04)
    assert out.std().item() == pytest.approx(0.5, abs=0.09)  # 20 Euler steps on linear betas: -.07
