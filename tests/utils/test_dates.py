from datetime import date, timedelta

import pandas as pd
import pytest

from twostamp.utils.dates import julian_midnight, longest_gap, night_of, to_timestamps


@pytest.mark.parametrize(("jd", "night"), [(2440587.5, "1970-01-01"), (2440587.4999, "1969-12-31")])
def test_a_night_begins_at_midnight(jd, night):
    assert night_of(jd) == night


def test_midnights_and_nights_agree():
    for step in range(0, 4000, 37):
        day = date(2017, 11, 5) + timedelta(days=step)
        assert night_of(julian_midnight(day)) == night_of(julian_midnight(day) + 0.999) == str(day)
        assert to_timestamps(pd.Series([julian_midnight(day)]))[0] == pd.Timestamp(day)


@pytest.mark.parametrize("nights", [[], ["2018-06-01"], ["2018-06-01", "2018-06-02"]])
def test_no_gap(nights):
    assert longest_gap(nights) == 0
