import numpy as np
import pytest

from twostamp.simulation import constants as c
from twostamp.simulation.light_curves import _light_curve, _random_walk

TIMES = np.linspace(0, 10, 2000)


@pytest.mark.parametrize("shape", ["sine", "contact", "eclipse", "sawtooth"])
def test_a_curve_has_its_amplitude_and_repeats_after_its_period(shape):
    curve = _light_curve(shape, TIMES, 0.6, 2.0, np.random.default_rng(1))
    later = _light_curve(shape, TIMES + 2.0, 0.6, 2.0, np.random.default_rng(1))
    assert np.ptp(curve) == pytest.approx(0.6, rel=0.05)
    np.testing.assert_allclose(curve, later, atol=1e-9)


def test_every_variable_has_a_curve():
    for amplitudes, periods, shape in c.VARIABLES.values():
        curve = _light_curve(shape, TIMES, amplitudes[1], periods[1], np.random.default_rng(2))
        assert np.isfinite(curve).all()


def test_a_random_walk_forgets_after_its_timescale():
    walk = _random_walk(np.arange(20_000.0), 0.2, 10.0, np.random.default_rng(3))
    assert walk.std() == pytest.approx(0.2, rel=0.1)
    assert np.corrcoef(walk[:-10], walk[10:])[0, 1] == pytest.approx(np.exp(-1), abs=0.05)


def test_a_walk_of_one_time():
    assert _random_walk(np.zeros(1), 0.2, 10.0, np.random.default_rng(4)).shape == (1,)


def test_out_of_eclipse_a_binary_is_as_bright_as_in_the_coadd():
    curve = _light_curve("eclipse", TIMES, 0.6, 2.0, np.random.default_rng(1))
    assert np.median(np.abs(curve)) < 0.01
    assert curve.min() > -0.01
