"""Figures of notebook 13: accuracy and recalls by year, the second alert's gain in each, and drifting features."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from twostamp.plots.style import INK, class_colour, draw_legend, label_rows, make_panels

MODEL_STYLES = {
    ("M0", "thesis26"): ("#CC3311", ":"),
    ("M1", "thesis26"): ("#CC3311", "-"),
    ("M1", "thesis26_no_coordinates"): ("#CC3311", "--"),
    ("M0", "drift_safe"): ("#332288", ":"),
    ("M1", "drift_safe"): ("#332288", "-"),
    ("M0", "thesis26 adapted"): ("#E69F00", ":"),
    ("M1", "thesis26 adapted"): ("#E69F00", "-"),
    ("M0", "drift_safe adapted"): ("#44AA99", ":"),
    ("M1", "drift_safe adapted"): ("#44AA99", "-"),
}
"""Colour by list of features; dotted with one alert, dashed without coordinates."""
_GAIN = r"^(?P<split>.*): gain of the second alert on (?P<list>\w+) in year (?P<when>\d+)$"


def plot_years(table: pd.DataFrame) -> Figure:
    """Plot accuracy by year and model, one panel per split, with 95 % intervals.

    `table` is of `twostamp.analysis.ageing.tabulate_years`.
    """
    table = table[table["score"] == "accuracy"]
    figure, axes = make_panels(table["split"].nunique(), 3.2, sharey=True)
    for ax, (split, part) in zip(axes[0], table.groupby("split", sort=False)):
        for place, ((model, features), rows) in enumerate(part.groupby(["model", "features"], sort=False)):
            colour, line = MODEL_STYLES[str(model), str(features)]
            year, label = rows["year"] + 0.08 * (place - 2), f"{model}, {str(features).replace('_no_', ', no ')}"
            ax.vlines(year, 100 * rows["low"], 100 * rows["high"], color=colour, linewidth=0.8, alpha=0.6)
            ax.plot(year, 100 * rows["value"], color=colour, linestyle=line, marker="o", markersize=3, label=label)
        ax.set(title=split, xlabel="year of the survey (trained on the first)")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes[0, 0].set_ylabel("accuracy (mean of the recalls, %)")
    draw_legend(figure, axes[0, 0], columns=3)
    return figure


def plot_recalls(table: pd.DataFrame, split: str) -> Figure:
    """Plot the recall of each class by year with 95 % intervals, one panel per list; `table` as in `plot_years`."""
    table = table[(table["split"] == split) & table["score"].str.startswith("recall") & (table["model"] == "M1")]
    figure, axes = make_panels(table["features"].nunique(), 2.7, sharey=True)
    for ax, (name, part) in zip(axes[0], table.groupby("features", sort=False)):
        for score, rows in part.groupby("score", sort=False):
            class_name = str(score).removeprefix("recall ")
            colour = class_colour(class_name)
            ax.fill_between(rows["year"], rows["low"], rows["high"], color=colour, alpha=0.06, linewidth=0)
            ax.plot(rows["year"], rows["value"], color=colour, marker="o", markersize=3, label=class_name)
        ax.set_title("M1, " + str(name).replace("_no_coordinates", "\nno coordinates"), fontsize=9)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.set(xlabel="year", ylim=(0, 1.02))
    axes[0, 0].set_ylabel("recall")
    draw_legend(figure, axes[0, 0])
    return figure


def plot_gains(claims: pd.DataFrame) -> Figure:
    """Plot the gain of the second alert in each year, one panel per split and list, paired on the objects, 95 %.

    `claims` is of `twostamp.analysis.ageing.tabulate_falls`.
    """
    table = claims.join(claims["claim"].str.extract(_GAIN)).dropna(subset="when").astype({"when": int})
    groups = list(table.groupby(["split", "list"], sort=False))
    figure, axes = make_panels(max(1, len(groups)), 2.5, sharey=True)
    for ax, ((split, features), rows) in zip(axes[0], groups):
        ax.vlines(rows["when"], 100 * rows["low"], 100 * rows["high"], color=INK, linewidth=1)
        faces = np.where(rows["verdict"] == "gains", INK, "white")
        ax.scatter(rows["when"], 100 * rows["value"], color=faces, edgecolor=INK, s=18, zorder=3)
        ax.axhline(0, color=INK, linewidth=0.6)
        ax.set_title(f"{split}\n{features}", fontsize=8)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes[0, 0].set_ylabel("M1 minus M0, points")
    figure.supxlabel("year of the survey; filled: decided", fontsize=8)
    return figure


def plot_drift(drift: pd.DataFrame) -> Figure:
    """Plot the stability index of each feature and year over its expectation for these sample sizes without drift.

    `drift` is of `twostamp.analysis.ageing.measure_drift`.
    """
    table = drift.assign(excess=drift["index"] / drift["expected"])
    grid = table.pivot_table(index="feature", columns="year", values="excess")
    grid = grid.loc[grid.max(axis=1).sort_values(ascending=False).index]
    figure, ((ax,),) = make_panels(1, 0.9 + 0.16 * len(grid))
    image = ax.imshow(grid.iloc[::-1], aspect="auto", cmap="viridis", vmin=0, vmax=10, origin="lower")
    label_rows(ax, grid.index, margin=0.5, fontsize=6.5)
    ax.set_xticks(range(grid.shape[1]), grid.columns)
    ax.set_xlabel("year of the survey")
    figure.colorbar(image, ax=ax, label="PSI over that of objects that do not drift")
    return figure
