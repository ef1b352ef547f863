"""Confusion matrices of repeated trainings: mean ± std per cell, validation beside test (figures 6.1-6.3, 6.9-6.11)."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from twostamp.evaluation.metrics import confusion_mean_std

CELL = 0.72
"""Side of a cell of a small matrix, inches."""
MANY = 8
"""From this many classes on, cells shrink and only their notable shares are written."""


def plot_confusion(
    confusions: Sequence[ArrayLike], classes: Sequence[str], axes: Axes, *, title: str = "", show_rows: bool = True
) -> Axes:
    """Draw one row-normalised matrix.

    Parameters
    ----------
    confusions : sequence of array_like, shape (k, k)
        Counts, one matrix a repetition; rows true, columns predicted.
    classes : sequence of str, length k
    axes : Axes
    title : str
    show_rows : bool
        Whether to name the rows.

    Returns
    -------
    Axes
    """
    mean, std = confusion_mean_std(confusions)
    axes.imshow(mean, cmap="Blues", vmin=0, vmax=1)
    many = len(classes) >= MANY
    for (row, column), value in np.ndenumerate(mean):
        if np.isfinite(value) and (not many or value >= 0.05):
            text = f"{value:.2f}" if many else f"{value:.2f}\n±{std[row, column]:.2f}"
            colour = "white" if value > 0.55 else "black"
            axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=6 if many else 8)
    places = range(len(classes))
    axes.set_xticks(places, classes, rotation=90 if many else 30, ha="center" if many else "right")
    axes.set_yticks(places, classes if show_rows else [])
    axes.set(xlabel="predicted class", ylabel="true class" if show_rows else "", title=title)
    axes.tick_params(length=0, labelsize=7 if many else 8)
    axes.spines[:].set_visible(False)
    return axes


def plot_confusions(splits: Mapping[str, Sequence[ArrayLike]], classes: Sequence[str]) -> Figure:
    """Draw the matrices of several splits side by side.

    Parameters
    ----------
    splits : mapping
        Matrices of counts, one a repetition, by the name of the split.
    classes : sequence of str
        Five to some twenty.

    Returns
    -------
    Figure
    """
    side = len(classes) * (CELL if len(classes) < MANY else 0.5 * CELL) + 0.6
    figure = Figure(figsize=(side * len(splits) + 0.6, side + 0.5), layout="constrained")
    grid = figure.subplots(1, len(splits), squeeze=False)[0]
    for place, (name, confusions) in enumerate(splits.items()):
        plot_confusion(confusions, classes, grid[place], title=name, show_rows=place == 0)
    bar = figure.colorbar(grid[-1].images[0], ax=list(grid), fraction=0.03, pad=0.02, shrink=0.7)
    bar.set_label("share of the true class")
    return figure
