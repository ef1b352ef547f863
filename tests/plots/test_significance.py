"""No interval is cut off by the limits of an axis that panels share."""

import pandas as pd

from twostamp.plots.significance import plot_false_positives


def make_table(rate):
    return pd.DataFrame({"procedure": ["t"], "rate": rate, "low": rate / 2, "high": rate * 1.5, "verdict": "too often"})


def test_all_panels_show_their_intervals():
    figure = plot_false_positives({"first": make_table(0.1), "second": make_table(0.6)})
    for ax in figure.axes:
        low, high = ax.get_xlim()
        assert low == 0
        assert high > 90
