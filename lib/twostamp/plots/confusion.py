"""Confusion matrices of repeated trainings: mean ± std per cell, validation and test (figures 6.1-6.3, 6.9-6.11)."""

from collections.abc import Mapping, Sequence

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from twostamp.evaluation.metrics import accuracy, confusion_mean_std, format_mean_std, format_repeats

CELL = 0.72
"""Side of a cell of a small matrix, inches."""
MANY = 8
"""Number of classes from which cells shrink and only notable shares are written."""


def plot_confusion(
    confusions: Sequence[ArrayLike], classes: Sequence[str], ax: Axes, *, title: str = "", show_rows: bool = True
) -> Axes:
    """Draw one row-normalised matrix, mean ± standard deviation over the repetitions if there are several.

    Parameters
    ----------
    confusions : sequence of array_like, shape (k, k)
        Counts, one matrix per repetition; rows true, columns predicted.
    classes : sequence of str, length k
    show_rows : bool
        Whether to name the rows.
    """
    mean, std = confusion_mean_std(confusions)
    many = len(classes) >= MANY
    shown = np.vectorize(_write_notable if many else _write_cell)(mean, std, len(confusions))
    size = {"size": 6 if many else 8}
    sns.heatmap(mean, annot=shown, fmt="", annot_kws=size, cmap="Blues", vmin=0, vmax=1, square=True, cbar=False, ax=ax)
    for text, share in zip(ax.texts, mean[np.isfinite(mean)]):  # seaborn writes white on medium blue
        text.set_color("white" if share > 0.55 else "black")
    places = np.arange(len(classes)) + 0.5
    ax.set_xticks(places, classes, rotation=90 if many else 30, ha="center" if many else "right")
    ax.set_yticks(places, classes if show_rows else [""] * len(classes), rotation=0)
    ax.set(xlabel="predicted class", ylabel="true class" if show_rows else "", title=title)
    ax.tick_params(length=0, labelsize=7 if many else 8)
    return ax


def _write_cell(share: float, std: float, n: int) -> str:
    return format_mean_std(share, std, n, digits=2).replace(" ± ", "\n±")


def _write_notable(share: float, *_: float) -> str:
    return f"{share:.2f}" if share >= 0.05 else ""


def plot_confusions(splits: Mapping[str, Sequence[ArrayLike]], classes: Sequence[str]) -> Figure:
    """Draw the matrices of several splits side by side, each under its accuracy and number of repetitions.

    Parameters
    ----------
    splits : mapping
        Matrices of counts, one per repetition, by the name of the split.
    classes : sequence of str
        Five to some twenty.
    """
    side = len(classes) * (CELL if len(classes) < MANY else 0.5 * CELL) + 0.6
    figure = Figure(figsize=(side * len(splits) + 0.6, side + 0.5), layout="constrained")
    (axes,) = figure.subplots(1, len(splits), squeeze=False)
    for place, (ax, (name, confusions)) in enumerate(zip(axes, splits.items())):
        title = f"{name}, accuracy {format_repeats([accuracy(counts) for counts in confusions])}"
        plot_confusion(confusions, classes, ax, title=title, show_rows=place == 0)
    bar = figure.colorbar(axes[-1].collections[0], ax=list(axes), fraction=0.03, pad=0.02, shrink=0.7)
    bar.set_label("share of the true class")
    return figure
