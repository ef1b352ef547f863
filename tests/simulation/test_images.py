"""The images of a visit: the subtraction keeps a source's flux, whatever the seeing, and noise is as measured."""

import numpy as np
import pytest

from twostamp.simulation import constants as c
from twostamp.simulation.conditions import Visit, make_source
from twostamp.simulation.images import _draw_resampled_noise, expose, render
from twostamp.simulation.light_curves import Change

CENTRE = (31.3, 30.8)


def observe(seeing: float, flux: float, change: Change, seed: int = 1):
    visit = Visit(2458300.5, "20180701", 2, seeing, 0.0, 26.3, 150.0, 6.0, 20.4, 0.0, 0.0)
    sources = make_source(0.0, 0.0, 17.0, 0.5)
    return expose(render(sources, visit, CENTRE), change, flux, np.random.default_rng(seed))


@pytest.mark.parametrize("seeing", [1.3, 1.9, 3.5])
def test_the_difference_holds_the_flux_of_the_change(seeing):
    triplet = observe(seeing, 3000.0, Change(None, np.zeros(1)))
    flux = (triplet.difference * triplet.psf).sum() / (triplet.psf**2).sum()
    assert flux == pytest.approx(3000, rel=0.1)
    assert triplet.psf.sum() == pytest.approx(1, abs=0.02)
    assert triplet.positive


def test_a_wrong_psf_leaves_a_ring_and_a_wrong_gain_a_star(monkeypatch):
    for name in ("PSF_ERROR", "GAIN_ERROR", "REGISTRATION_ERROR"):
        monkeypatch.setattr(c, name, 0.0)
    ring, star = (observe(1.9, 0.0, Change(None, np.zeros(1), **error)) for error in ({"blur": 0.12}, {"gain": -0.3}))
    clean = observe(1.9, 0.0, Change(None, np.zeros(1)))
    assert np.ptp(ring.difference) > 3 * np.ptp(clean.difference)
    light = 10 ** (0.4 * (26.3 - 17.0))
    assert (star.difference * star.psf).sum() / (star.psf**2).sum() == pytest.approx(0.3 * light, rel=0.1)


def test_noise_of_a_coadd_is_shared_by_neighbours():
    noise = np.stack([_draw_resampled_noise(np.random.default_rng(seed)) for seed in range(40)])
    assert noise.std() == pytest.approx(1, abs=0.02)
    lags = [np.mean(noise[:, :, lag:] * noise[:, :, :-lag]) for lag in (1, 2)]
    np.testing.assert_allclose(lags, [0.20, -0.10], atol=0.02)


def test_a_template_is_as_deep_as_the_night_is_clear():
    clear = Visit(2458300.5, "20180701", 2, 1.9, 0.0, c.ZEROPOINT[2], 150.0, 6.0, 20.4, 0.0, 0.0)
    clouded = clear.through_cloud(2.5)
    assert (clouded.clouded, clouded.limit) == (True, pytest.approx(17.9))
    exposures = [render(make_source(0.0, 0.0, 20.0, 0.5), visit, CENTRE) for visit in (clear, clouded)]
    assert exposures[1].template_noise == pytest.approx(0.1 * exposures[0].template_noise)
