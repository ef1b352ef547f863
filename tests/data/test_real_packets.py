"""Labelled real packets beside a run: none there is an answer too."""

import numpy as np
import pandas as pd
import pytest

from twostamp.data.real_packets import add_nights, extract_real, select_judging
from twostamp.params import Parameters


def test_no_packets_or_no_labels_is_none(tmp_path):
    assert extract_real(tmp_path, Parameters(real_archive="")) is None
    assert extract_real(tmp_path, Parameters(real_archive=str(tmp_path))) is None


def test_nights_are_of_utc():
    table = add_nights(pd.DataFrame({"jd_1": [2458270.49, 2458270.51, 2460237.5]}))
    assert table["night"].tolist() == ["2018-05-31", "2018-06-01", "2023-10-20"]
    assert table["year"].tolist() == [2018, 2018, 2023]
    assert add_nights(table[:0]).empty


def test_a_third_of_the_nights_judges_and_no_night_is_split():
    table = pd.DataFrame({"jd_1": 2458270.6 + np.repeat(np.arange(600.0), 2)})
    judging = select_judging(table)
    assert len(judging) == pytest.approx(len(table) / 3, rel=0.15)
    assert judging["jd_1"].value_counts().eq(2).all()
