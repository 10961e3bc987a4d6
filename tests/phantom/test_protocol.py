"""Protocols: what the ranges say is what is drawn, and wider ranges leave the other draws alone."""

from dataclasses import replace

import numpy as np
import pytest

from mrcontrast.errors import UsageError
from mrcontrast.phantom.config import ScannerRanges, SequenceRanges
from mrcontrast.phantom.protocol import ScanProtocol, draw_protocol


def draw(seed: int, ranges: ScannerRanges) -> ScanProtocol:
    return draw_protocol(np.random.default_rng(seed), ranges)


def test_sequences_stay_in_their_ranges() -> None:
    sequences = SequenceRanges(mprage_ti_ms=[700.0, 1200.0], flair_te_ms=[80.0, 150.0])
    drawn = [draw(seed, ScannerRanges(sequences=sequences)) for seed in range(60)]
    inversions = [protocol.scans["t1w"].sequence.ti_ms for protocol in drawn]
    echoes = [protocol.scans["flair"].sequence.te_ms for protocol in drawn]
    assert 700 <= min(inversions) < 760 < 1140 < max(inversions) <= 1200
    assert 80 <= min(echoes) < 90 < 140 < max(echoes) <= 150


def test_blur_and_thickness_are_drawn_for_each_subject_and_change_nothing_else() -> None:
    plain = ScannerRanges()
    wide = replace(plain, blur_mm=[0.0, 2.0], flair_slice_thickness_mm=[1.0, 5.0])
    for seed in range(20):
        one, other = draw(seed, plain), draw(seed, wide)
        assert one.scans["t1w"].receiver.blur_mm == 0
        assert other.scans["t1w"].receiver.blur_mm != other.scans["flair"].receiver.blur_mm
        assert 0 <= other.scans["t1w"].receiver.blur_mm <= 2
        assert 1 <= other.scans["flair"].slice_thickness_mm <= 5
        assert other.tags()["flair_slice_thickness_mm"] == other.scans["flair"].slice_thickness_mm
        assert "flair_slice_thickness_mm" not in one.tags()
        for name in ("t1w", "flair"):
            assert one.scans[name].sequence == other.scans[name].sequence
        assert replace(other.scans["flair"].receiver, blur_mm=0.0) == one.scans["flair"].receiver


def test_spread_widens_the_ranges_about_their_middles() -> None:
    plain, wide = ScannerRanges(), ScannerRanges(tissue_spread=2.0)
    pairs = [(draw(seed, plain), draw(seed, wide)) for seed in range(200)]
    pairs = [(a, b) for a, b in pairs if a.field_strength_t == 3.0]
    t1 = np.array([[p.relaxation.t1_ms for p in pair] for pair in pairs])  # (n, 2, tissues)
    np.testing.assert_allclose(t1[:, 1].std(axis=0), 2 * t1[:, 0].std(axis=0), rtol=1e-6)
    middle = np.array([4250.0, 1490.0, 1220.0, 875.0, 1450.0])
    np.testing.assert_allclose(t1[:, 1] - middle, 2 * (t1[:, 0] - middle), rtol=1e-6)


@pytest.mark.parametrize(
    "wrong",
    [
        {"blur_mm": [-1.0, 0.0]},
        {"tissue_spread": -0.5},
        {"flair_slice_thickness_mm": [5.0, 1.0]},
    ],
)
def test_impossible_ranges_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError, match=next(iter(wrong))):
        ScannerRanges(**wrong)


def test_a_reversed_sequence_range_is_refused() -> None:
    with pytest.raises(UsageError, match="flair_te_ms"):
        SequenceRanges(flair_te_ms=[130.0, 90.0])
