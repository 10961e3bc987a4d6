import numpy as np
import pytest

from mrcontrast.errors import UsageError
from mrcontrast.phantom.config import ScannerRanges
from mrcontrast.phantom.physics import RANGES, TISSUES, draw_relaxation
from mrcontrast.phantom.protocol import draw_protocol, draw_spin_echo


@pytest.mark.parametrize("field_strength_t", [1.5, 3.0])
def test_values_stay_in_their_ranges(field_strength_t: float) -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        drawn = draw_relaxation(rng, field_strength_t)
        values = np.stack([drawn.t1_ms, drawn.t2_ms, drawn.proton_density], axis=1)
        limits = np.array([RANGES[field_strength_t][tissue] for tissue in TISSUES])
        assert (values >= limits[..., 0]).all()
        assert (values <= limits[..., 1]).all()


def test_unknown_field_strength_is_refused() -> None:
    with pytest.raises(UsageError, match=r"got 7\.0"):
        draw_relaxation(np.random.default_rng(0), 7.0)


@pytest.mark.parametrize("field_strength_t", [1.5, 3.0])
def test_every_protocol_orders_the_tissues_as_mri_does(field_strength_t: float) -> None:
    csf, cortex, deep, wm, lesion = range(5)
    for seed in range(200):
        ranges = ScannerRanges(field_strengths_t=[field_strength_t])
        protocol = draw_protocol(np.random.default_rng(seed), ranges)
        t1w = np.abs(protocol.scans["t1w"].sequence.signal(protocol.relaxation))
        flair = np.abs(protocol.scans["flair"].sequence.signal(protocol.relaxation))
        assert t1w[wm] > t1w[deep] > t1w[cortex] > t1w[csf]
        assert t1w[lesion] < 0.85 * t1w[wm]
        assert flair[lesion] > flair[cortex] > flair[wm] > flair[csf]
        assert flair[lesion] > 1.25 * flair[wm]
        assert 1500 < protocol.scans["flair"].sequence.ti_ms < 3000
        assert protocol.field_strength_t == field_strength_t
        t2w, pd = (
            draw_spin_echo(np.random.default_rng(seed), ranges, name).sequence.signal(
                protocol.relaxation
            )
            for name in ("t2w", "pd")
        )
        assert t2w[csf] > t2w[lesion] > t2w[cortex] > t2w[wm]
        assert pd[lesion] > pd[cortex] > pd[wm]
