"""The warning that a night is unlike the training set."""

import numpy as np
import pandas as pd

from twostamp.data.feature_lists import FEATURE_LISTS
from twostamp.data.feature_ranges import find_unusual_features, measure_ranges
from twostamp.data.features import PACKET_FIELDS


def make_alerts(n=400, seed=5, **columns):
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(rng.uniform(0.1, 1, (n, len(PACKET_FIELDS))), columns=[f"{name}_1" for name in PACKET_FIELDS])
    return table.assign(isdiffpos_1="t", fid_1=1, **{f"{name}_1": value for name, value in columns.items()})


def test_alerts_like_those_of_training_are_not_unusual():
    ranges = measure_ranges(make_alerts(), "drift_safe")
    assert set(ranges) == set(FEATURE_LISTS["drift_safe"])
    assert find_unusual_features(ranges, make_alerts(seed=6)) == {}
    assert find_unusual_features(ranges, make_alerts()[:0]) == {}


def test_features_outside_their_range_are_named_the_worst_first():
    ranges = measure_ranges(make_alerts(), "drift_safe")
    night = make_alerts(seed=6, magpsf=30.0, fwhm=np.where(np.arange(400) % 2, 0.5, 99.0))
    assert find_unusual_features(ranges, night) == {"magpsf": 1.0, "fwhm": 0.5}
    assert find_unusual_features({}, night) == {}
