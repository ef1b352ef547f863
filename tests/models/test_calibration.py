"""A model's calibration beside its card."""

import numpy as np

from twostamp.evaluation.calibration import apply_temperature, shift_priors
from twostamp.evaluation.conformal import fit_thresholds
from twostamp.models.calibration import Calibration, load_calibration, save_calibration


def test_a_calibration_is_kept_beside_the_card(tmp_path):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 300)
    probabilities = rng.dirichlet(np.ones(3), 300) * 0.5 + 0.5 * np.eye(3)[labels]
    shares = [0.7, 0.2, 0.1]
    fitted = Calibration.fit(probabilities, labels, 0.9, shares)
    assert load_calibration(tmp_path) == {}
    save_calibration(tmp_path, {1: fitted, 2: fitted})
    read = load_calibration(tmp_path)
    assert set(read) == {1, 2}
    assert read[2] == fitted
    np.testing.assert_array_equal(
        read[1].correct(probabilities), shift_priors(apply_temperature(probabilities, fitted.temperature), shares)
    )
    sets = read[1].make_sets(probabilities)
    np.testing.assert_array_equal(sets, probabilities >= fit_thresholds(probabilities, labels, 0.9))
    assert sets[np.arange(300), labels].mean() >= 0.9
