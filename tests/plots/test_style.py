"""Rows with intervals: each at its place, whatever the number of rows."""

import matplotlib as mpl
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from twostamp.plots.style import (
    CLASS_COLOURS,
    MODEL_COLOURS,
    class_colour,
    draw_intervals,
    group_digits,
    label_rows,
    use_style,
)

ROWS = pd.DataFrame({"value": [0.5, 0.1], "low": [0.4, 0.0], "high": [0.7, 0.3], "other": [0.45, 0.05]})


def test_rows_go_from_top_to_bottom_in_their_scale():
    ax = Figure().subplots()
    draw_intervals(ax, ROWS, "value", ["red", "blue"], scale=100, hollow=[False, True])
    bars, dots = ax.collections[::2], ax.collections[1::2]
    assert [bar.get_segments()[0].tolist() for bar in bars] == [[[40, 1], [70, 1]], [[0, 0], [30, 0]]]
    assert [dot.get_offsets()[0].tolist() for dot in dots] == [[50, 1], [10, 0]]
    assert [tuple(dot.get_facecolor()[0]) for dot in dots] == [(1, 0, 0, 1), (1, 1, 1, 1)]


def test_ends_may_have_names_of_their_own():
    ax = Figure().subplots()
    draw_intervals(ax, ROWS, "value", ["red", "blue"], low="other")
    assert ax.collections[0].get_segments()[0][:, 0].tolist() == [0.45, 0.7]


def test_no_rows_draw_nothing():
    ax = Figure().subplots()
    draw_intervals(ax, ROWS.iloc[:0], "value", [])
    assert not ax.collections


def test_rows_are_named_at_their_places():
    ax = Figure().subplots()
    label_rows(ax, pd.Series(["above", "below"]), margin=0.5)
    assert dict(zip(ax.get_yticks().tolist(), (text.get_text() for text in ax.get_yticklabels()))) == {
        1: "above",
        0: "below",
    }
    assert ax.get_ylim() == (-0.5, 1.5)
    with plt.rc_context({"ytick.labelsize": 6}):
        ax = Figure().subplots()
        label_rows(ax, ["one"])
    assert ax.get_yticklabels()[0].get_size() == 6


@pytest.mark.parametrize(("count", "text"), [(7, "7"), (12345.0, "12\u2009345"), (0, "0")])
def test_digits_are_grouped(count, text):
    assert group_digits(count) == text


def test_every_model_and_class_has_a_colour_of_its_own():
    assert len(set(MODEL_COLOURS.values())) == len(MODEL_COLOURS) == 3
    assert class_colour("SLSN") not in CLASS_COLOURS.values()


def test_the_style_is_the_same_whatever_the_users_matplotlibrc_says():
    use_style()
    ours = dict(mpl.rcParams)
    with mpl.rc_context({"text.usetex": True, "axes.facecolor": "black", "savefig.transparent": True}):
        use_style()
        assert dict(mpl.rcParams) == ours
