"""The past of an object: what its packets say, and how fast it rises; on synthetic and on real packets."""

import numpy as np
import pandas as pd
import pytest

from tests.hunter.night import START, make_object
from twostamp.alerts import iter_members, list_sources, read_packets
from twostamp.hunter.light_curve import find_rise, last_limit, read_light_curve


def make_curve(*exposures):
    """Rows of (jd, band, mag or None, limit)."""
    rows = [
        (jd, band, np.nan if mag is None else mag, 0.1, limit, mag is not None, 1) for jd, band, mag, limit in exposures
    ]
    return pd.DataFrame(rows, columns=["jd", "band", "mag", "error", "limit", "positive", "programid"])


@pytest.mark.parametrize(
    ("exposures", "rise"),
    [
        ([(0, "r", None, 20.5), (2, "r", 19.5, 20.5)], 0.5),
        ([(0, "r", None, 19.0), (2, "r", 19.5, 20.5)], np.nan),  # the limit says nothing
        ([(0, "g", None, 20.5), (2, "r", 19.5, 20.5)], np.nan),  # another band
        ([(0, "r", None, 21.0), (1, "r", None, 20.5), (2, "r", 19.5, 20.5)], 1.0),  # the last limit
        ([(1.9, "r", None, 20.5), (2, "r", 19.5, 20.5)], np.nan),  # within a night
        ([(0, "r", 19.0, 20.5), (2, "r", 19.5, 20.5)], -0.25),
        ([(0, "r", 19.0, 20.5), (1, "r", None, 18.0), (2, "r", 18.5, 20.5)], 0.25),
        ([(0, "g", None, 20.0), (0, "r", None, 20.5), (2, "g", 19.8, 20), (2, "r", 19.5, 20)], 0.5),  # the faster band
        ([(0, "r", None, 20.5)], np.nan),
    ],
)
def test_rise(exposures, rise):
    assert find_rise(make_curve(*exposures)) == pytest.approx(rise, nan_ok=True)


def test_a_negative_detection_is_no_brightness():
    curve = make_curve((0, "r", None, 20.5), (2, "r", 19.5, 20.5))
    assert np.isnan(find_rise(curve.assign(positive=False)))


def test_two_packets_tell_each_exposure_once():
    curve = read_light_curve(make_object(1))
    assert (curve["jd"] - START).round(1).tolist() == [-9.0, -6.1, -3.0, 0.0, 3.0]
    assert curve["mag"].notna().tolist() == [False] * 3 + [True] * 2
    assert curve["positive"].tolist() == [False] * 3 + [True] * 2
    assert last_limit(curve)["jd"] == START - 3
    assert last_limit(curve[curve["mag"].notna()]) is None
    assert last_limit(curve[:0]) is None


def test_sentinels_and_numbers_in_words_are_no_magnitudes():
    (alert,) = make_object(0, 1, diffmaglim=-999.0)
    alert["prv_candidates"] = [{"jd": START - 1, "fid": 2, "diffmaglim": -999.0}, {"jd": START - 2, "fid": 1}]
    curve = read_light_curve([alert])
    assert len(curve) == 1
    assert np.isnan(curve["limit"].iloc[0])


@pytest.mark.slow
def test_real_packets(real_alerts):
    """Every real packet has a light curve with its own detection in it, and rises are of this world."""
    rises, exposures = [], 0
    for source in list_sources(real_alerts)[::6]:
        for member in iter_members(source):
            packet = read_packets(member.data)[0]
            curve = read_light_curve([packet])
            own = curve[curve["jd"] == packet["candidate"]["jd"]]
            assert own["mag"].notna().any()
            assert curve["jd"].is_monotonic_increasing
            assert curve["jd"].iloc[-1] - curve["jd"].iloc[0] <= 31
            exposures += len(curve)
            rises.append(find_rise(curve))
    rises = np.array(rises)
    known = rises[np.isfinite(rises)]
    assert exposures > 5 * len(rises)
    assert 0.2 < len(known) / len(rises) < 1
    assert (np.abs(known) < 10).all()
    assert 0 < np.median(known) < 1  # most first detections follow a limit
