"""Figures of notebook 18: what classifiers recover of labelled real packets."""

from collections.abc import Mapping, Sequence
from itertools import cycle

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from twostamp.plots.style import INK, draw_legend, label_rows, make_panels

_COLOURS = ("#882255", "#56B4E9", "#595959", "#E69F00", "#117733", "#CC6677", "#332288")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")


def plot_recalls(table: pd.DataFrame, classifiers: Sequence[str] = ()) -> Figure:
    """Recall by class, and their mean, of every classifier in each epoch; lines are 95 % intervals over nights.

    `table` is of `twostamp.analysis.real_sky.tabulate_recalls`. A class of fewer than five nights has no interval.
    """
    table = table[table["what"] != "accuracy"]
    epochs, names = list(table["epoch"].unique()), list(table["what"].unique())
    classifiers = classifiers or list(table["classifier"].unique())
    height = 1.3 + max(0.5, 0.11 * len(classifiers)) * len(names)
    figure, axes = make_panels(len(epochs), height, sharey=True, sharex=True)
    offsets = 0.6 * (np.arange(len(classifiers)) / max(len(classifiers) - 1, 1) - 0.5)
    for ax, epoch in zip(axes[0], epochs):
        part = table[table["epoch"] == epoch]
        for classifier, offset, colour, marker in zip(classifiers, offsets, cycle(_COLOURS), cycle(_MARKERS)):
            rows = part[part["classifier"] == classifier].set_index("what").reindex(names)
            at = np.arange(len(names))[::-1] - offset
            ax.hlines(at, rows["low"], rows["high"], color=colour, linewidth=1)
            ax.scatter(rows["value"], at, s=16, color=colour, marker=marker, zorder=3, label=classifier)
        sizes = part.groupby("what").first().reindex(names)
        size = f"n = {sizes['n'].max():.0f}, {sizes['nights'].max():.0f} nights"
        ax.set(title=f"{epoch}\n{size}", xlabel="recall")
        ax.set_xlim(-0.02, 1.02)
        for line in np.arange(len(names) - 1) + 0.5:
            ax.axhline(line, color=INK, linewidth=0.3)
    label_rows(axes[0, 0], ["mean of classes" if name == "balanced" else name for name in names])
    draw_legend(figure, axes[0, 0], columns=2)
    return figure


def plot_learning_curve(table: pd.DataFrame, steps: Mapping[str, str], levels: Sequence[str]) -> Figure:
    """Mean of the recalls by number of real packets learned from, in each epoch, with 95 % over nights.

    Parameters
    ----------
    table : DataFrame
        Of `twostamp.analysis.real_sky.tabulate_recalls`.
    steps : mapping of str to str
        Classifier -> how many packets it learned from, in their order; those without rows are left out.
    levels : sequence of str
        Classifiers that are drawn as levels, to compare with.
    """
    table = table[table["what"] == "balanced"]
    epochs = list(table["epoch"].unique())
    figure, axes = make_panels(len(epochs), 3.4, sharey=True)
    for ax, epoch in zip(axes[0], epochs):
        rows = table[table["epoch"] == epoch].set_index("classifier")
        known = [name for name in steps if name in rows.index]
        places, curve = np.arange(len(known)), rows.loc[known]
        ax.vlines(places, curve["low"], curve["high"], color=_COLOURS[0], linewidth=1)
        ax.plot(places, curve["value"], color=_COLOURS[0], marker="o", markersize=4, label="simulated, then real")
        for name, colour in zip((name for name in levels if name in rows.index), cycle(_COLOURS[1:])):
            ax.axhline(rows.loc[name, "value"], color=colour, linewidth=1, linestyle="--", label=name)
        ax.set_title(f"{epoch}\nn = {curve['n'].max():.0f}, {curve['nights'].max():.0f} nights")
        ax.set_xticks(places, [steps[name] for name in known])
        ax.set(xlabel="real packets learned from", ylim=(0, 1))
    axes[0, 0].set_ylabel("mean of the recalls")
    draw_legend(figure, axes[0, 0], columns=2)
    return figure
