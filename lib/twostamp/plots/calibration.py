"""Figures of notebook 11: reliability, candidates to inspect, and the coverage of conformal sets."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator
from numpy.typing import ArrayLike

from twostamp.evaluation.calibration import calibration_scores, measure_reliability
from twostamp.evaluation.conformal import CANNOT_TELL
from twostamp.plots.style import INK, MODEL_COLOURS, MODEL_LABELS, class_colour, make_panels
from twostamp.utils.typing import Floats

FEW = 10
"""Objects below which the mark of a bin is hollow."""
MARKERS = {"M0": "o", "M1": "s", "M2": "^"}


def plot_reliability(
    calibrated: Mapping[str, Mapping[str, Floats]],
    labels: ArrayLike,
    bins: int,
    methods: tuple[str, ...] = ("single", "ensemble, temperature"),
) -> Figure:
    """Plot the share of right predictions against confidence, one row per method and one column per model.

    Bars span the 95 % range of the share for a calibrated model; bins of few objects are hollow.

    `calibrated` is of `twostamp.evaluation.calibration.calibrate`; `labels` are the true classes, shape (n,), int.
    """
    figure, axes = make_panels(len(calibrated), 0.4 + 2.1 * len(methods), len(methods), sharex=True, sharey=True)
    for column, (model, probabilities) in enumerate(calibrated.items()):
        for ax, method in zip(axes[:, column], methods):
            _draw_reliability(probabilities[method], labels, bins, MODEL_COLOURS[model], ax)
            scores = calibration_scores(probabilities[method], labels, bins)
            title = f"{MODEL_LABELS[model]}\n{method}\nECE {scores[1]:.3f}, NLL {scores[3]:.2f}"
            ax.set_title(title, fontsize=8)
        axes[-1, column].set_xlabel("confidence")
    for ax in axes[:, 0]:
        ax.set_ylabel("share right")
    return figure


def _draw_reliability(probabilities: ArrayLike, labels: ArrayLike, bins: int, colour: str, ax: Axes) -> None:
    table = measure_reliability(probabilities, labels, bins)
    ax.plot([0, 1], [0, 1], color="#999999", linewidth=0.7, linestyle="--")
    ax.vlines(table["confidence"], table["low"], table["high"], color="#CCCCCC", linewidth=5)
    faces = [colour if n >= FEW else "white" for n in table["n"]]
    ax.scatter(table["confidence"], table["right"], color=faces, edgecolor=colour, s=18, zorder=3)
    ax.set(xlim=(0, 1), ylim=(0, 1.02))


def plot_candidates(tables: Mapping[str, pd.DataFrame], wanted: str = "supernova") -> Figure:
    """Plot candidates per true object of a class against completeness, one panel per mix of classes.

    `tables` are of `twostamp.evaluation.candidates.tabulate_candidates`, by title; `wanted` is the class's name.
    """
    figure, axes = make_panels(len(tables), 2.9)
    for ax, (title, table) in zip(axes[0], tables.items()):
        for model, rows in table.groupby("model", sort=False):
            colour = MODEL_COLOURS[str(model)]
            place = 100 * rows["completeness"]
            ax.fill_between(place, rows["low"], rows["high"], color=colour, alpha=0.15, linewidth=0)
            label = MODEL_LABELS[str(model)]
            ax.plot(place, rows["candidates"], color=colour, marker="o", markersize=3, label=label)
        ax.set_yscale("log")
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.yaxis.set_major_formatter("{x:g}")
        ax.yaxis.set_minor_formatter("")
        ax.set_xlabel(f"{wanted}e found (%)" if wanted == "supernova" else "found (%)")
        ax.set_title(title, fontsize=9)
    axes[0, 0].set_ylabel(f"candidates per true {wanted}")
    axes[0, 0].legend(loc="upper left")
    return figure


def plot_coverage(tables: Mapping[str, pd.DataFrame], coverage: float) -> Figure:
    """Plot each class's coverage with the range allowed at the nominal coverage, and how often no single class is
    named.

    `tables` come from `twostamp.evaluation.conformal.check_coverage`, by model; `coverage` is the nominal one.
    """
    figure, ((left, right),) = make_panels(2, 2.9)
    offsets = np.linspace(-0.25, 0.25, len(tables)) if len(tables) > 1 else np.zeros(1)
    for offset, (model, table) in zip(offsets, tables.items()):
        classes = table[table["class"] != "all"]
        place = np.arange(len(classes)) + offset
        colours = [class_colour(name) for name in classes["class"]]
        left.vlines(place, classes["low"], classes["high"], color="#CCCCCC", linewidth=5)
        left.scatter(place, classes["covered"], color=colours, s=16, marker=MARKERS[model], zorder=3)
        left.scatter([], [], color=INK, s=16, marker=MARKERS[model], label=MODEL_LABELS[model])
        right.bar(place, classes[CANNOT_TELL], width=0.22, color=MODEL_COLOURS[model], label=MODEL_LABELS[model])
    left.axhline(coverage, color=INK, linewidth=0.8, linestyle="--")
    left.set_ylabel("share of sets with the true class")
    right.set_ylabel(CANNOT_TELL)
    close = {"columnspacing": 0.8, "handletextpad": 0.3}
    for ax in (left, right):
        ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=len(tables), **close)
        ax.set_xticks(range(len(classes)), classes["class"])
    return figure
