"""Diagrams of networks have a box a layer and an arrow a connection."""

import keras
from keras import layers
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from twostamp.models.layers import DeepHiTS
from twostamp.plots.model_search import plot_deephits, plot_model


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
