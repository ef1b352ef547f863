"""Figures of thesis chapter 4: the classifiers as block diagrams, drawn from the Keras models themselves."""

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import layers
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Patch, Polygon

from twostamp.models.layers import DeepHiTS
from twostamp.models.summary import layer_parameters
from twostamp.plots.style import draw_legend, make_panels
from twostamp.utils.typing import Shape

COLOURS: dict[str, tuple[str, tuple[type, ...]]] = {
    "convolutions": ("#9ecae1", (DeepHiTS, layers.Conv2D)),
    "batch normalisation": ("#ffdf80", (layers.BatchNormalization,)),
    "fully connected": ("#a1d99b", (layers.Dense,)),
}
SPLIT_COLOURS = {"training": "#999999", "validation": "#0072B2"}
PLAIN = "#eeeeee"
BOX_WIDTH, BOX_HEIGHT = 0.84, 0.66
EDGE = "#444444"
ARROW: dict[str, Any] = {"arrowstyle": "-|>", "mutation_scale": 8, "color": EDGE, "linewidth": 0.8}


def plot_deephits(layer: DeepHiTS, stamp_shape: tuple[int, int, int], ax: Axes) -> Axes:
    """Draw the stages of a DeepHiTS layer as blocks (figure 4.1).

    Stamps and maps are of one scale of pixels and one of channels, vectors of one scale of values.

    Parameters
    ----------
    layer : DeepHiTS
        Built for stamps of `stamp_shape`.
    stamp_shape : tuple of int
        Rows, columns and channels that enter it.
    """
    shape: Shape = (None, *stamp_shape)
    x = _draw_block(ax, 0.0, stamp_shape, "stamps", PLAIN)
    for stage in layer.stages:
        shape = stage.compute_output_shape(shape)
        label = stage.name.replace("_", " ")
        if (sizes := layer_parameters(stage)) != "-":
            label += f"\n{sizes}"
        start, x = x, _draw_block(ax, x + 0.9, tuple(n or 0 for n in shape[1:]), label, _colour(stage))
        ax.add_patch(FancyArrowPatch((start + 0.15, 0), (start + 0.85, 0), **ARROW))
    ax.set(xlim=(-0.8, x + 0.8), ylim=(-2.8, 2.5))
    return _finish(ax, {_colour(stage) for stage in layer.stages})


def plot_model(model: keras.Model, ax: Axes) -> Axes:
    """Draw the layers of a classifier with their output sizes and connections (figures 4.2 and 4.3)."""
    parents = _layer_parents(model)
    places = _layout(parents)
    for layer in model.layers:
        x, y = places[layer.name]
        _draw_box(ax, x, y, layer)
        for parent in parents[layer.name]:
            start = (places[parent][0] + BOX_WIDTH / 2, places[parent][1])
            ax.add_patch(FancyArrowPatch(start, (x - BOX_WIDTH / 2, y), shrinkA=0, shrinkB=0, **ARROW))
    columns, rows = zip(*places.values(), strict=True)
    ax.set(xlim=(min(columns) - 0.6, max(columns) + 0.6), ylim=(min(rows) - 0.6, max(rows) + 0.6))
    return _finish(ax, {_colour(layer) for layer in model.layers})


def _layer_parents(model: keras.Model) -> dict[str, list[str]]:
    """Return the layers that feed each layer of a model, in topological order."""
    producers = {id(layer.output): layer.name for layer in model.layers}
    inputs = {layer.name for layer in model.layers if isinstance(layer, layers.InputLayer)}
    return {
        layer.name: [producers[id(x)] for x in keras.tree.flatten(layer.input) if layer.name not in inputs]
        for layer in model.layers
    }


def _layout(parents: dict[str, list[str]]) -> dict[str, tuple[float, float]]:
    """Place layers: column by the longest path from an input, inputs right before their use; row by the mean of
    parents."""
    inputs = [name for name, above in parents.items() if not above]
    rows = {name: -float(inputs.index(name)) for name in inputs}
    columns = dict.fromkeys(inputs, 0.0)
    for name, above in parents.items():
        if above:
            columns[name] = 1 + max(columns[parent] for parent in above)
            rows[name] = sum(rows[parent] for parent in above) / len(above)
    for name in inputs:
        columns[name] = min(columns[child] for child, above in parents.items() if name in above) - 1
    return {name: (columns[name], rows[name]) for name in parents}


def _draw_box(ax: Axes, x: float, y: float, layer: layers.Layer) -> None:
    corner = (x - BOX_WIDTH / 2, y - BOX_HEIGHT / 2)
    style = "round,pad=0,rounding_size=0.06"
    box = FancyBboxPatch(corner, BOX_WIDTH, BOX_HEIGHT, boxstyle=style, facecolor=_colour(layer), edgecolor=EDGE)
    ax.add_patch(box)
    lines = textwrap.wrap(layer.name.replace("_", " "), 19)
    if (sizes := layer_parameters(layer)) != "-":
        lines.append(sizes)
    ax.text(x, y + 0.1, "\n".join(lines), ha="center", va="center", fontsize=6.5, linespacing=1.05)
    ax.text(x, y - 0.26, _size(layer.output.shape[1:]), ha="center", va="center", fontsize=6.5, style="italic")


def plot_learning_curves(histories: Mapping[str, Sequence[Mapping[str, Sequence[float]]]]) -> Figure:
    """Draw loss and accuracy by epoch, on training and validation, one column per classifier.

    Parameters
    ----------
    histories : mapping of str to sequence of mapping
        By variant, for every repetition: loss, accuracy, val_loss and val_accuracy, one value per epoch.

    Returns
    -------
    Figure
        Lines are means over the repetitions, bands their range.
    """
    figure, axes = make_panels(len(histories), 3.6, rows=2, sharex=True, sharey="row")
    for column, (variant, repetitions) in zip(axes.T, histories.items(), strict=True):
        column[0].set_title(variant)
        column[1].set_xlabel("epoch")
        for ax, score in zip(column, ("loss", "accuracy"), strict=True):
            for prefix, split in (("", "training"), ("val_", "validation")):
                _draw_curve(ax, [repetition[prefix + score] for repetition in repetitions], split)
    axes[0, 0].set_ylabel("cross-entropy, nats")
    axes[1, 0].set_ylabel("accuracy")
    draw_legend(figure, axes[0, 0])
    return figure


def _draw_curve(ax: Axes, values: Sequence[Sequence[float]], split: str) -> None:
    curves = np.asarray(values)
    epochs = np.arange(1, curves.shape[1] + 1)
    colour = SPLIT_COLOURS[split]
    ax.fill_between(epochs, curves.min(axis=0), curves.max(axis=0), color=colour, alpha=0.2, linewidth=0)
    ax.plot(epochs, curves.mean(axis=0), color=colour, marker="o", markersize=2, label=split)


def _draw_block(ax: Axes, x: float, shape: tuple[int, ...], label: str, colour: str) -> float:
    """Draw a box in perspective from x rightwards; return where it ends."""
    if len(shape) == 3:
        h, d, w = shape[0] / 13.5, shape[1] / 13.5, 0.1 + shape[2] / 128
    else:
        h, d, w = shape[-1] / 960, 0.1, 0.12 * math.prod(shape[:-1])
    slope = d * 0.25
    front = [(x, -h / 2), (x + w, -h / 2), (x + w, h / 2), (x, h / 2)]
    top = [(x, h / 2), (x + w, h / 2), (x + w + slope, h / 2 + slope), (x + slope, h / 2 + slope)]
    side = [(x + w, -h / 2), (x + w + slope, -h / 2 + slope), (x + w + slope, h / 2 + slope), (x + w, h / 2)]
    for corners in (front, top, side):
        ax.add_patch(Polygon(corners, facecolor=colour, edgecolor=EDGE, linewidth=0.7, joinstyle="round"))
    centre = x + (w + slope) / 2
    ax.text(centre, 1.75, _size(shape), ha="center", va="bottom", fontsize=6.5, style="italic", rotation=45)
    ax.text(centre, -1.35, label, ha="right", va="top", fontsize=6.5, rotation=45, rotation_mode="anchor")
    return x + w + slope


def _finish(ax: Axes, drawn: set[str]) -> Axes:
    shown = [(name, colour) for name, (colour, _) in COLOURS.items() if colour in drawn]
    handles = [Patch(facecolor=colour, edgecolor=EDGE, label=name) for name, colour in shown]
    ax.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, 0.02), ncols=len(handles))
    ax.axis("off")
    return ax


def _colour(layer: layers.Layer) -> str:
    if "output" in layer.name:
        return "white"
    return next((colour for colour, kinds in COLOURS.values() if isinstance(layer, kinds)), PLAIN)


def _size(shape: Any) -> str:
    return " × ".join(str(n) for n in shape)
