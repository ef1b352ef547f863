"""Figures of notebook 18: what classifiers recover of labelled real packets."""

from itertools import cycle

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from twostamp.plots.style import INK, draw_legend, label_rows, make_panels

_COLOURS = ("#882255", "#56B4E9", "#595959", "#E69F00")
_MARKERS = ("o", "s", "^", "D")


def plot_recalls(table: pd.DataFrame) -> Figure:
    """Recall by class, and their mean, of every classifier in each epoch; lines are 95 % intervals over nights.

    `table` is of `twostamp.analysis.real_sky.tabulate_recalls`. A class of fewer than five nights has no interval.
    """
    table = table[table["what"] != "accuracy"]
    epochs, names = list(table["epoch"].unique()), list(table["what"].unique())
    classifiers = list(table["classifier"].unique())
    figure, axes = make_panels(len(epochs), 1.2 + 0.5 * len(names), sharey=True, sharex=True)
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
