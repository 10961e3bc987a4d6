import numpy as np
import pytest

from mrcontrast.phantom.physics import Flair, Mprage, Relaxation, SpinEcho, null_ti_ms, sensitivity

WATER = Relaxation(np.array([1000.0]), np.array([100.0]), np.array([1.0]))


def test_flair_by_hand() -> None:
    sequence = Flair(tr_ms=1e6, te_ms=100.0, ti_ms=1000.0)
    # (1 - 2/e) / e = (1 - 0.735759) * 0.367879
    assert sequence.signal(WATER)[0] == pytest.approx(0.0972088, abs=1e-6)


@pytest.mark.parametrize("tr_ms", [5000.0, 9000.0, 1e6])
def test_flair_nulls_csf_at_its_null(tr_ms: float) -> None:
    csf = Relaxation(np.array([4300.0]), np.array([2000.0]), np.array([1.0]))
    ti_ms = null_ti_ms(4300.0, tr_ms)
    assert Flair(tr_ms, 110.0, ti_ms).signal(csf)[0] == pytest.approx(0, abs=1e-12)
    assert Flair(tr_ms, 110.0, ti_ms + 100).signal(csf)[0] > 0.01


def test_null_of_full_recovery_is_t1_ln2() -> None:
    assert null_ti_ms(1000.0, 1e6) == pytest.approx(693.147, abs=1e-3)


def test_mprage_of_one_small_pulse_is_inversion_recovery() -> None:
    sequence = Mprage(
        tr_ms=1e5, ti_ms=1000.0, flip_deg=1.0, echo_spacing_ms=8.0, train_length=1,
        inversion_efficiency=1.0,
    )  # fmt: skip
    # sin(1 degree) * (1 - 2/e) = 0.0174524 * 0.2642411
    assert sequence.signal(WATER)[0] == pytest.approx(0.00461164, rel=1e-5)


def test_mprage_agrees_with_a_pulse_by_pulse_simulation() -> None:
    sequence = Mprage(2300.0, 900.0, 9.0, 7.0, 160)
    t1_ms = np.array([850.0, 1400.0, 4300.0])
    tissue = Relaxation(t1_ms, np.full(3, 100.0), np.array([0.7, 0.8, 1.0]))
    magnetisation, middle = np.ones(3), np.zeros(3)
    flip = np.deg2rad(9.0)
    for _ in range(12):  # repetitions until the steady state
        magnetisation = -0.96 * magnetisation
        magnetisation = 1 + (magnetisation - 1) * np.exp(-(900 - 80 * 7) / t1_ms)
        for pulse in range(160):
            if pulse == 80:
                middle = magnetisation * np.sin(flip)
            magnetisation = 1 + (magnetisation * np.cos(flip) - 1) * np.exp(-7 / t1_ms)
        magnetisation = 1 + (magnetisation - 1) * np.exp(-(2300 - 900 - 80 * 7) / t1_ms)
    np.testing.assert_allclose(sequence.signal(tissue), tissue.proton_density * middle, rtol=1e-6)


def test_sensitivity_to_t2_by_hand() -> None:
    sequence = Flair(tr_ms=1e6, te_ms=100.0, ti_ms=1000.0)
    by_t1, by_t2 = sensitivity(sequence, WATER, step=1e-4)
    signal = sequence.signal(WATER)
    np.testing.assert_allclose(by_t2, signal * 100.0 / 100.0, rtol=1e-6)  # S * TE / T2
    np.testing.assert_allclose(by_t1, -2 * np.exp(-1) * np.exp(-1), rtol=1e-6)


def test_spin_echo_by_hand() -> None:
    # (1 - 1/e) / e = 0.632121 * 0.367879
    signal = SpinEcho(tr_ms=1000.0, te_ms=100.0).signal(WATER)
    assert signal[0] == pytest.approx(0.2325442, abs=1e-6)


def test_a_long_inversion_recovery_is_a_spin_echo() -> None:
    tissue = Relaxation(np.array([850.0, 1400.0]), np.array([70.0, 95.0]), np.array([0.7, 0.8]))
    recovered = Flair(tr_ms=4000.0, te_ms=90.0, ti_ms=0.0).signal(tissue)  # inverted at once
    np.testing.assert_allclose(SpinEcho(4000.0, 90.0).signal(tissue), -recovered, rtol=1e-9)
