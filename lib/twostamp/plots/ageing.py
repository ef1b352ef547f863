"""Figures of notebook 13: accuracy by year, drift of features and its alarm, and real packets years apart."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator

from twostamp.analysis.ageing.drift_alarm import MONTHS, MonitoredSurvey
from twostamp.plots.style import INK, class_colour, draw_legend, make_panels

LIST_STYLES = {
    "thesis26": ("#CC3311", "-"),
    "thesis26_no_coordinates": ("#CC3311", "--"),
    "drift_safe": ("#332288", "-"),
    "drift_safe_no_coordinates": ("#332288", "--"),
}
"""Colour and line by list of features: dashed without coordinates."""


def plot_years(table: pd.DataFrame) -> Figure:
    """Accuracy by year and list of features, one panel a split, with intervals of 95 %.

    `table` is of `twostamp.analysis.ageing.yearly.tabulate_years`.
    """
    table = table[table["score"] == "accuracy"]
    figure, axes = make_panels(table["split"].nunique(), 3.2, sharey=True)
    for ax, (split, part) in zip(axes[0], table.groupby("split", sort=False)):
        for place, (name, rows) in enumerate(part.groupby("features", sort=False)):
            colour, line = LIST_STYLES[str(name)]
            year = rows["year"] + 0.08 * (place - 1.5)
            ax.vlines(year, rows["low"], rows["high"], color=colour, linewidth=0.8, alpha=0.6)
            ax.plot(year, rows["value"], color=colour, linestyle=line, marker="o", markersize=3, label=name)
        ax.set(title=split, xlabel="year of the survey (trained on the first)")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes[0, 0].set_ylabel("accuracy (mean of the recalls)")
    draw_legend(figure, axes[0, 0])
    return figure


def plot_recalls(table: pd.DataFrame, split: str) -> Figure:
    """Recall of each class by year with intervals of 95 %, one panel a list of features; `table` as in `plot_years`."""
    table = table[(table["split"] == split) & table["score"].str.startswith("recall")]
    figure, axes = make_panels(table["features"].nunique(), 2.7, sharey=True)
    for ax, (name, part) in zip(axes[0], table.groupby("features", sort=False)):
        for score, rows in part.groupby("score", sort=False):
            class_name = str(score).removeprefix("recall ")
            colour = class_colour(class_name)
            ax.fill_between(rows["year"], rows["low"], rows["high"], color=colour, alpha=0.06, linewidth=0)
            ax.plot(rows["year"], rows["value"], color=colour, marker="o", markersize=3, label=class_name)
        ax.set_title(str(name).replace("_no_coordinates", "\nno coordinates"), fontsize=9)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.set(xlabel="year", ylim=(0, 1.02))
    axes[0, 0].set_ylabel("recall")
    draw_legend(figure, axes[0, 0])
    return figure


def plot_drift(surveys: Mapping[str, MonitoredSurvey]) -> Figure:
    """Index over its limit by feature and batch, one panel a list of features; what is above 1 rings."""
    heights = [len(survey.alarm.names) for survey in surveys.values()]
    figure, axes = make_panels(len(surveys), 0.9 + 0.16 * max(heights))
    for ax, (name, survey) in zip(axes[0], surveys.items()):
        image = _draw_excess(survey, ax)
        ax.set_title(f"{name}: {_describe_first(survey)}", fontsize=9)
    figure.colorbar(image, ax=axes[0].tolist(), label="PSI over its limit", shrink=0.7, aspect=25)
    return figure


def _draw_excess(survey: MonitoredSurvey, ax: Axes) -> AxesImage:
    excess = survey.index / survey.alarm.limits
    order = np.argsort(-np.nan_to_num(excess).max(axis=0))
    per_year = survey.alarm.n_reference
    years = (2 - 0.5 / per_year, 2 + (len(excess) - 0.5) / per_year)
    extent = (*years, len(order) - 0.5, -0.5)
    image = ax.imshow(excess.T[order], aspect="auto", cmap="RdBu_r", vmin=0, vmax=2, extent=extent)
    ax.set_yticks(range(len(order)), [survey.alarm.names[i] for i in order], fontsize=6.5)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_xlabel("year of the survey")
    return image


def _describe_first(survey: MonitoredSurvey) -> str:
    first = int(survey.alarm.first(survey.index))
    months = (first + 1) * MONTHS / survey.alarm.n_reference
    return "no alarm" if first < 0 else f"alarm {months:.0f} months after year 1"


def plot_real(calls: pd.DataFrame, rate: float) -> Figure:
    """Asteroid recall beside the false-asteroid rate by year, real packets; thin lines are intervals, wide ones seeds.

    `calls` is of `twostamp.analysis.ageing.real_packets.tabulate_recalls`; `rate` is the first year's rate.
    """
    figure, axes = make_panels(2, 3.2, sharey=True)
    for ax, what in zip(axes[0], ("recall", "false rate")):
        part = calls[calls["what"] == what]
        sizes = part.groupby("year")["n"].first()
        for place, (name, rows) in enumerate(part.groupby("features", sort=False)):
            colour, line = LIST_STYLES[str(name)]
            at = sizes.index.get_indexer(pd.Index(rows["year"])) + 0.15 * (place - 1)
            ax.vlines(at, rows["low"], rows["high"], color=colour, linewidth=1)
            ax.vlines(at, rows["seeds_low"], rows["seeds_high"], color=colour, linewidth=4, alpha=0.25)
            face = colour if line == "-" else "white"
            ax.scatter(at, rows["value"], s=22, color=colour, facecolor=face, zorder=3, label=name)
        ax.set_xticks(range(len(sizes)), [f"{year}\nn {size}" for year, size in sizes.items()])
    axes[0, 1].axhline(rate, color=INK, linewidth=0.8, linestyle="--")
    axes[0, 0].set(title="asteroids called asteroid", ylabel="share")
    axes[0, 1].set_title("VS and bogus called asteroid")
    draw_legend(figure, axes[0, 0])
    return figure
