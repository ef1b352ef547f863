"""Figures of notebook 10: models on repeated splits, differences with intervals, and false-positive rates."""

from collections.abc import Mapping
from textwrap import fill

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from twostamp.evaluation.bootstrap import LEVEL
from twostamp.plots.style import INK, MODEL_COLOURS, MODEL_LABELS, draw_intervals, label_rows, make_panels
from twostamp.thesis import MODELS

VERDICT_COLOURS = {"too often": "#CC3311", "holds its level": "#332288", "cautious": "#88CCEE"}


def plot_comparisons(scores: pd.DataFrame, everything: pd.DataFrame) -> Figure:
    """Plot the accuracy of each model on each repeated split, and the primary differences with their intervals.

    Parameters
    ----------
    scores : DataFrame
        Of `twostamp.analysis.significance.repeated_splits.train_splits`.
    everything : DataFrame
        Of `twostamp.analysis.significance.comparisons.correct_all`.
    """
    figure, ((left, right),) = make_panels(2, 2.9, gridspec_kw={"width_ratios": [0.8, 1]})
    _draw_splits(scores, left)
    _draw_differences(everything, right)
    return figure


def _draw_splits(scores: pd.DataFrame, ax: Axes) -> None:
    """Draw one dot per split and model; a line joins the models of one split."""
    models = [model for model in MODELS if model in scores]
    values = scores[models].to_numpy()
    ax.plot(range(len(models)), values.T, color="#BBBBBB", linewidth=0.8, zorder=1)
    for place, model in enumerate(models):
        colour, accuracy = MODEL_COLOURS[model], scores[model]
        ax.scatter([place] * len(scores), accuracy, color=colour, s=18, zorder=2)
        ax.hlines(accuracy.mean(), place - 0.18, place + 0.18, color=colour, linewidth=2)
    ax.set_xticks(range(len(models)), [MODEL_LABELS[model].replace(" ", "\n", 1) for model in models])
    ax.set(xlim=(-0.5, len(models) - 0.5), ylabel="accuracy on test")
    ax.set_title(f"{len(scores)} splits, each with its own seed and order")


def _draw_differences(everything: pd.DataFrame, ax: Axes) -> None:
    """Draw one row per difference; filled if significant after Holm's correction."""
    rows = everything[everything["family"] == "primary"].dropna(subset=["low"]).sort_values("comparison")
    if rows.empty:  # a run that trains one model
        ax.set_axis_off()
        ax.text(0.5, 0.5, "no two models to compare", ha="center", va="center", transform=ax.transAxes)
        return
    colours = dict(zip(rows["comparison"].unique(), ("#332288", "#CC6677", "#117733")))
    hollow = ~(rows["p (Holm)"] < LEVEL)  # NaN is not significant
    draw_intervals(ax, rows, "difference", rows["comparison"].map(colours), scale=100, hollow=hollow, linewidth=1.2)
    label_rows(ax, rows["comparison"])
    ax.axvline(0, color=INK, linewidth=0.6)
    ax.set(xlabel="second minus first model, percentage points (95 %)", title="filled: significant after Holm")


def plot_false_positives(tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Plot the false-positive rate of each procedure, with its nominal level of 5 %.

    `tables` are of `twostamp.analysis.significance.false_positive_rates.count_false_positives`, by title.
    """
    first = next(iter(tables.values()))
    figure, axes = make_panels(len(tables), 0.8 + 0.2 * len(first), sharex=True, sharey=True)
    for ax, (title, table) in zip(axes[0], tables.items()):
        draw_intervals(ax, table, "rate", table["verdict"].map(VERDICT_COLOURS), scale=100)
        ax.axvline(100 * LEVEL, color=INK, linewidth=0.8, linestyle="--")
        ax.grid(axis="x", alpha=0.3)
        ax.set(title=fill(title, 36), xlabel="false positives (%), 95 % interval")
    ax.set_xlim(0, None)
    axes[0, 0].set_yticks(range(len(first))[::-1], first["procedure"], fontsize=7)
    for verdict, colour in VERDICT_COLOURS.items():
        axes[0, -1].scatter([], [], color=colour, s=16, label=verdict)
    figure.legend(loc="outside upper right", ncols=len(VERDICT_COLOURS))
    return figure
