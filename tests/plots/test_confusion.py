"""Confusion matrices: what is written in the cells, for few classes, many, and one without objects."""

import numpy as np
from matplotlib.colors import to_rgb

from twostamp.plots.confusion import MANY, plot_confusions


def texts_of(ax):
    return [text.get_text() for text in ax.texts]


def test_cells_hold_mean_and_deviation_of_the_repetitions():
    figure = plot_confusions({"validation": [[[8, 2], [0, 10]], [[6, 4], [0, 10]]], "test": [[[1, 0], [0, 1]]]}, "ab")
    validation, test = figure.axes[:2]
    titles = [ax.get_title() for ax in (validation, test)]
    assert titles == ["validation, accuracy 0.850 ± 0.050 (n = 2)", "test, accuracy 1.000 (n = 1)"]
    assert texts_of(validation) == ["0.70\n±0.10", "0.30\n±0.10", "0.00\n±0.00", "1.00\n±0.00"]
    assert [to_rgb(text.get_color()) for text in validation.texts] == [(1,) * 3, (0,) * 3, (0,) * 3, (1,) * 3]
    assert [label.get_text() for label in validation.get_yticklabels()] == ["a", "b"]
    assert [label.get_text() for label in test.get_yticklabels()] == ["", ""]


def test_a_class_without_objects_stays_empty():
    ax = plot_confusions({"test": [[[3, 1], [0, 0]]]}, "ab").axes[0]
    assert texts_of(ax) == ["0.75", "0.25"]


def test_of_many_classes_only_notable_shares_are_written():
    counts = 97 * np.eye(MANY, dtype=int) + 3 * np.roll(np.eye(MANY, dtype=int), 1, axis=1)
    ax = plot_confusions({"test": [counts]}, "abcdefgh").axes[0]
    assert [text for text in texts_of(ax) if text] == ["0.97"] * MANY
