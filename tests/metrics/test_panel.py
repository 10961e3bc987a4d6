from collections.abc import Callable

import numpy as np
import pytest

from mrcontrast.errors import MrcontrastError
from mrcontrast.metrics.definitions import METRICS, OUTSIDE
from mrcontrast.metrics.descriptions import describe_metrics
from mrcontrast.metrics.multiscale import ms_ssim
from mrcontrast.metrics.panel import score_regions
from mrcontrast.metrics.structural import ssim
from mrcontrast.metrics.voxelwise import mean_absolute_error, peak_signal_to_noise

MakePair = Callable[..., tuple[np.ndarray, np.ndarray]]

SHAPE = (26, 24, 31)


def test_every_figure_is_that_of_its_own_function(make_pair: MakePair) -> None:
    prediction, target = make_pair(SHAPE)
    mask = np.zeros(SHAPE, bool)
    mask[4:20, 5:20, 6:25] = True
    regions = {"brain": mask, "image": None}
    scores = score_regions(prediction, target, regions, (-1.0, 1.0), num_scales=2)
    for region, voxels in regions.items():
        assert scores[region]["mae"] == mean_absolute_error(prediction, target, voxels)
        assert scores[region]["psnr"] == peak_signal_to_noise(prediction, target, 2.0, voxels)
        assert scores[region]["ssim"] == pytest.approx(ssim(prediction, target, 2.0, voxels))
        assert scores[region]["ms_ssim"] == pytest.approx(ms_ssim(prediction, target, 2.0, voxels))


def test_a_region_that_halving_drops_has_no_ms_ssim(make_pair: MakePair) -> None:
    """The 31st voxel of an axis has no neighbour to be averaged with."""
    last = np.zeros(SHAPE, bool)
    last[10:12, 10:12, 30] = True
    regions = {"lesion": last, "brain": np.ones(SHAPE, bool)}
    scores = score_regions(*make_pair(SHAPE), regions, (0.0, 1.0), num_scales=2)
    assert set(scores["brain"]) - set(scores["lesion"]) == {"ms_ssim"}
    with pytest.raises(MrcontrastError, match=r"2 scales keep, .*Take fewer scales"):
        ms_ssim(*make_pair(SHAPE), 1.0, last, num_scales=2)
    assert np.isfinite(ms_ssim(*make_pair(SHAPE), 1.0, last, num_scales=1))


def test_every_figure_is_defined(make_pair: MakePair) -> None:
    regions = {"brain": np.ones(SHAPE, bool), "image": None}
    scores = score_regions(*make_pair(SHAPE), regions, (0.0, 1.0), num_scales=2)
    described = describe_metrics(num_scales=2, data_range=1.0)
    assert set(scores) == set(regions)
    for figures in scores.values():
        assert set(figures) == set(described) == {*METRICS, OUTSIDE}
    assert described["ms_ssim"]["num_scales"] == len(described["ms_ssim"]["weights"]) == 2
