"""Diagrams of networks have a box a layer and an arrow a connection."""

import keras
import matplotlib.pyplot as plt
import numpy as np
import pytest
from keras import layers
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Polygon

from twostamp.models.layers import DeepHiTS
from twostamp.plots.model_search import plot_deephits, plot_learning_curves, plot_model


def count(ax, kind):
    return sum(isinstance(patch, kind) for patch in ax.patches)


def test_two_inputs_flow_together():
    first, second = keras.Input((2,), name="first"), keras.Input((3,), name="second")
    output = layers.Dense(5, name="output")(layers.Concatenate(name="joined")([first, second]))
    ax = plot_model(keras.Model([first, second], output), Figure().subplots())
    assert count(ax, FancyBboxPatch) == 4
    assert count(ax, FancyArrowPatch) == 3
    assert {"first", "second", "joined"} <= {text.get_text() for text in ax.texts}


def test_stages_follow_each_other():
    layer = DeepHiTS(3, 0.25)
    layer.build((None, 21, 21, 3))
    ax = plot_deephits(layer, (21, 21, 3), Figure().subplots())
    assert count(ax, FancyArrowPatch) == len(layer.stages)


def test_vectors_are_as_high_as_they_have_values():
    layer = DeepHiTS(3, 0.25)
    layer.build((None, 21, 21, 3))
    ax = plot_deephits(layer, (21, 21, 3), Figure().subplots())
    fronts = [patch.get_xy() for patch in ax.patches if isinstance(patch, Polygon)][::3]
    heights = [np.ptp(corners[:, 1]) for corners in fronts]
    flattened = next(i for i, stage in enumerate(layer.stages, start=1) if "flatten" in stage.name)
    assert heights[flattened] / heights[flattened + 1] == pytest.approx(6 * 6)
    assert heights[1] / heights[0] == pytest.approx(27 / 21)


def test_learning_curves_show_mean_and_range_of_the_repetitions():
    scores = ("loss", "accuracy", "val_loss", "val_accuracy")
    repetitions = [{score: [0.2 + shift, 0.4 + shift] for score in scores} for shift in (0.0, 0.1)]
    figure = plot_learning_curves({"stacked": repetitions, "separated": repetitions[:1]})
    assert [ax.get_title() for ax in figure.axes[:2]] == ["stacked", "separated"]
    for ax in figure.axes:
        assert [line.get_label() for line in ax.lines] == ["training", "validation"]
    (training, _) = figure.axes[0].lines
    assert training.get_xdata().tolist() == [1, 2]
    np.testing.assert_allclose(training.get_ydata(), [0.25, 0.45])
    plt.close(figure)
