"""Figures of notebook 10: models on repeated splits, differences with their intervals, and what the tests are worth."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from twostamp.evaluation.bootstrap import LEVEL
from twostamp.plots.style import ARCHITECTURE_COLOURS, PAGE_WIDTH
from twostamp.thesis import MODELS

LABELS = {"M0": "M0 one stamp", "M1": "M1 stacked", "M2": "M2 separated"}
VERDICT_COLOURS = {"too often": "#CC3311", "holds its level": "#332288", "cautious": "#88CCEE"}


def plot_splits(scores: pd.DataFrame, ax: Axes) -> Axes:
    """Accuracy of each model on each repeated split; a line joins the models of one split.

    Parameters
    ----------
    scores : DataFrame
        Of `twostamp.analysis.significance.repeated_splits.pivot_scores`.
    ax : Axes
    """
    models = {model: variant for model, variant in MODELS.items() if variant in scores}
    values = scores[list(models.values())].to_numpy()
    ax.plot(range(len(models)), values.T, color="#BBBBBB", linewidth=0.8, zorder=1)
    for place, (model, variant) in enumerate(models.items()):
        colour = ARCHITECTURE_COLOURS[variant.split("_")[0]]
        ax.scatter([place] * len(scores), scores[variant], color=colour, s=18, zorder=2)
        ax.hlines(scores[variant].mean(), place - 0.18, place + 0.18, color=colour, linewidth=2, label=LABELS[model])
    ax.set_xticks(range(len(models)), [LABELS[model].replace(" ", "\n", 1) for model in models])
    ax.set_xlim(-0.5, len(models) - 0.5)
    ax.set_ylabel("accuracy on test")
    ax.set_title(f"{len(scores)} splits, each with its own seed and order")
    return ax


def plot_differences(everything: pd.DataFrame, ax: Axes) -> Axes:
    """Draw every difference of a run with its interval; filled where Holm's correction leaves it significant.

    Parameters
    ----------
    everything : DataFrame
        Of `twostamp.analysis.significance.comparisons.correct_all`; rows without an interval are left out.
    ax : Axes
    """
    rows = everything.dropna(subset=["low"]).sort_values(["comparison", "test"], ignore_index=True)
    if rows.empty:  # a run that trains one model
        ax.set_axis_off()
        ax.text(0.5, 0.5, "no two models to compare", ha="center", va="center", transform=ax.transAxes)
        return ax
    colours = dict(zip(rows["comparison"].unique(), ("#332288", "#CC6677", "#117733")))
    for place, row in zip(range(len(rows))[::-1], rows.to_dict("records")):
        colour = colours[row["comparison"]]
        ax.hlines(place, 100 * row["low"], 100 * row["high"], color=colour, linewidth=1.2)
        filled = colour if row["p (Holm)"] < LEVEL else "white"
        ax.scatter(100 * row["difference"], place, s=16, color=filled, edgecolor=colour, zorder=3)
    ax.set_yticks(range(len(rows))[::-1], [f"{c}  {t}" for c, t in zip(rows["comparison"], rows["test"])], fontsize=6.5)
    ax.axvline(0, color="#333333", linewidth=0.6)
    ax.set_xlabel("second minus first model, percentage points (95 %)")
    ax.set_title("filled: significant after Holm")
    return ax


def plot_comparisons(scores: pd.DataFrame, everything: pd.DataFrame) -> Figure:
    """Set `plot_splits` beside `plot_differences`."""
    rows = int(everything["low"].notna().sum())
    figure, axes = plt.subplots(
        1, 2, figsize=(PAGE_WIDTH, 0.9 + 0.14 * max(rows, 14)), gridspec_kw={"width_ratios": [0.8, 1]}
    )
    plot_splits(scores, axes[0])
    plot_differences(everything, axes[1])
    return figure


def plot_false_positives(tables: Mapping[str, pd.DataFrame]) -> Figure:
    """How often each procedure finds what is not there, beside the 5 % that it promises.

    Parameters
    ----------
    tables : mapping of str to DataFrame
        Of `twostamp.analysis.significance.false_positive_rates.count_false_positives`, by title.
    """
    first = next(iter(tables.values()))
    figure, axes = plt.subplots(
        1, len(tables), sharex=True, sharey=True, figsize=(PAGE_WIDTH, 0.8 + 0.2 * len(first)), squeeze=False
    )
    for ax, (title, table) in zip(axes[0], tables.items()):
        for place, row in zip(range(len(table))[::-1], table.to_dict("records")):
            colour = VERDICT_COLOURS[row["verdict"]]
            ax.hlines(place, 100 * row["low"], 100 * row["high"], color=colour)
            ax.scatter(100 * row["rate"], place, color=colour, s=16, zorder=3)
        ax.axvline(100 * LEVEL, color="#333333", linewidth=0.8, linestyle="--")
        ax.set_xlim(0, None)
        ax.grid(axis="x", alpha=0.3)
        ax.set_title(title)
        ax.set_xlabel("false positives (%), 95 % interval")
    axes[0, 0].set_yticks(range(len(first))[::-1], first["procedure"], fontsize=7)
    for verdict, colour in VERDICT_COLOURS.items():
        axes[0, -1].scatter([], [], color=colour, s=16, label=verdict)
    figure.legend(loc="outside upper right", ncols=len(VERDICT_COLOURS))
    return figure
