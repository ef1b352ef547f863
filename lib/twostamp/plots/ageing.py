"""Figures of notebook 13: accuracy by year, drift of features and its alarm, and real packets years apart."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from twostamp.analysis.ageing.drift_alarm import MONTHS, MonitoredSurvey
from twostamp.plots.style import PAGE_WIDTH, class_colour

LIST_STYLES = {
    "thesis26": ("#CC3311", "-"),
    "thesis26_no_coordinates": ("#CC3311", "--"),
    "drift_safe": ("#332288", "-"),
    "drift_safe_no_coordinates": ("#332288", "--"),
}
"""Colour and line by list of features: dashed without coordinates."""


def _entitle(list_name: str) -> str:
    return list_name.replace("_no_coordinates", "\nno coordinates")


def plot_years(table: pd.DataFrame) -> Figure:
    """Accuracy by year and list of features, one panel a split, with intervals of 95 %.

    Parameters
    ----------
    table : DataFrame
        Of `twostamp.analysis.ageing.yearly.tabulate_years`.
    """
    table = table[table["score"] == "accuracy"]
    splits = table["split"].unique()
    figure, axes = plt.subplots(1, len(splits), sharey=True, squeeze=False, figsize=(PAGE_WIDTH, 3.2))
    for ax, split in zip(axes[0], splits):
        part = table[table["split"] == split]
        for place, (name, rows) in enumerate(part.groupby("features", sort=False)):
            colour, line = LIST_STYLES[str(name)]
            year = rows["year"] + 0.08 * (place - 1.5)
            ax.vlines(year, rows["low"], rows["high"], color=colour, linewidth=0.8, alpha=0.6)
            ax.plot(year, rows["value"], color=colour, linestyle=line, marker="o", markersize=3, label=name)
        ax.set_title(split)
        ax.set_xlabel("year of the survey (trained on the first)")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes[0, 0].set_ylabel("accuracy (mean of the recalls)")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels))
    return figure


def plot_recalls(table: pd.DataFrame, split: str) -> Figure:
    """Recall of each class by year, one panel a list of features.

    Parameters
    ----------
    table : DataFrame
        Of `twostamp.analysis.ageing.yearly.tabulate_years`.
    split : str
    """
    table = table[(table["split"] == split) & table["score"].str.startswith("recall")]
    lists = table["features"].unique()
    figure, axes = plt.subplots(1, len(lists), sharey=True, squeeze=False, figsize=(PAGE_WIDTH, 2.7))
    for ax, name in zip(axes[0], lists):
        for score, rows in table[table["features"] == name].groupby("score", sort=False):
            colour = class_colour(str(score).removeprefix("recall "))
            ax.fill_between(rows["year"], rows["low"], rows["high"], color=colour, alpha=0.06, linewidth=0)
            ax.plot(rows["year"], rows["value"], color=colour, marker="o", markersize=3, label=str(score)[7:])
        ax.set_title(_entitle(name), fontsize=9)
        ax.set_xlabel("year")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.set_ylim(0, 1.02)
    axes[0, 0].set_ylabel("recall")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels))
    return figure


def plot_drift(surveys: Mapping[str, MonitoredSurvey]) -> Figure:
    """Index over its limit, by feature and batch, of each list; what is above 1 rings.

    Parameters
    ----------
    surveys : mapping of str to MonitoredSurvey
        By list of features.
    """
    heights = [len(survey.alarm.names) for survey in surveys.values()]
    figure, axes = plt.subplots(
        1, len(surveys), squeeze=False, figsize=(PAGE_WIDTH, 0.9 + 0.16 * max(heights)), layout="constrained"
    )
    for ax, (name, survey) in zip(axes[0], surveys.items()):
        image = _draw_excess(survey, ax)
        ax.set_title(f"{name}: {_describe_first(survey)}", fontsize=9)
    figure.colorbar(image, ax=axes[0].tolist(), label="PSI over its limit", shrink=0.7, aspect=25)
    return figure


def _draw_excess(survey: MonitoredSurvey, ax: Axes) -> object:
    excess = survey.index / survey.alarm.limits
    order = np.argsort(-np.nan_to_num(excess).max(axis=0))
    per_year = survey.alarm.n_reference
    years = (2 - 0.5 / per_year, 2 + (len(excess) - 0.5) / per_year)
    image = ax.imshow(
        excess.T[order], aspect="auto", cmap="RdBu_r", vmin=0, vmax=2, extent=(*years, len(order) - 0.5, -0.5)
    )
    ax.set_yticks(range(len(order)), [survey.alarm.names[i] for i in order], fontsize=6.5)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_xlabel("year of the survey")
    return image


def _describe_first(survey: MonitoredSurvey) -> str:
    first = int(survey.alarm.first(survey.index))
    return (
        "no alarm" if first < 0 else f"alarm {(first + 1) * MONTHS / survey.alarm.n_reference:.0f} months after year 1"
    )


def plot_real(calls: pd.DataFrame, rate: float) -> Figure:
    """Asteroid recall beside the false-asteroid rate by year, real packets; vertical lines are what `interval` says.

    Parameters
    ----------
    calls : DataFrame
        Of `twostamp.analysis.ageing.real_packets.tabulate_recalls`.
    rate : float
        The false-asteroid rate of the first year.
    """
    figure, axes = plt.subplots(1, 2, sharey=True, figsize=(PAGE_WIDTH, 3.2))
    for ax, what in zip(axes, ("recall", "false rate")):
        part = calls[calls["what"] == what]
        years = sorted(part["year"].unique())
        for place, (name, rows) in enumerate(part.groupby("features", sort=False)):
            colour, line = LIST_STYLES[str(name)]
            at = np.array([years.index(year) for year in rows["year"]]) + 0.15 * (place - 1)
            ax.vlines(at, rows["low"], rows["high"], color=colour, linewidth=1)
            ax.vlines(at, rows["seeds_low"], rows["seeds_high"], color=colour, linewidth=4, alpha=0.25)
            face = colour if line == "-" else "white"
            ax.scatter(at, rows["value"], s=22, color=colour, facecolor=face, zorder=3, label=name)
        sizes = part.groupby("year")["n"].first()
        ax.set_xticks(range(len(years)), [f"{year}\nn {sizes[year]}" for year in years])
    axes[1].axhline(rate, color="#333333", linewidth=0.8, linestyle="--")
    axes[0].set_title("asteroids called asteroid")
    axes[1].set_title("VS and bogus called asteroid")
    axes[0].set_ylabel("share")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels))
    return figure
