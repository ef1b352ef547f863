"""Figures of notebook 12: one answer revised by a second alert, flips, dedicated classifiers, cadence stress."""

from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from twostamp.analysis.second_alert.revisions import FLIPS
from twostamp.plots.style import CLASS_COLOURS, PAGE_WIDTH

FLIP_COLOURS = dict(zip(FLIPS, ("#44AA99", "#882255", "#BBBBBB")))
MODEL_STYLES = {
    "two alerts": ("#DDAA33", "--"),
    "two alerts, gaps learned": ("#DDAA33", "-"),
    "one or two": ("#332288", "--"),
    "one or two, gaps learned": ("#332288", "-"),
    "M1 of notebook 04": ("#882255", ":"),
    "M2 of notebook 04": ("#DDAA33", ":"),
}
OTHER_COLOURS = ("#332288", "#CC6677", "#117733", "#882255")
MISSING = "#333333"
KINDS = {"shift": "shift\n{:+g} d", "censor": "limit\n{:g} d", "stretch": "stretch\n{:g} x"}


def plot_value(table: pd.DataFrame) -> Figure:
    """Accuracy with one alert and with two, by class and by the days between them.

    Parameters
    ----------
    table : DataFrame
        Of `twostamp.analysis.second_alert.revisions.tabulate_revisions`.
    """
    parts = [table[table["grouping"].isin(("all", "class"))], table[table["grouping"] == "deltajd"]]
    figure, axes = plt.subplots(1, 2, sharex=True, figsize=(PAGE_WIDTH, 2.8))
    for ax, part, title in zip(axes, parts, ("by class", "by days between the alerts")):
        places = range(len(part))[::-1]
        for place, row in zip(places, part.to_dict("records")):
            colour = CLASS_COLOURS.get(row["group"], MISSING)
            ends = 100 * row["accuracy with one"], 100 * row["accuracy with two"]
            arrow = {"arrowstyle": "->", "color": colour}
            ax.annotate("", (ends[1], place), (ends[0], place), arrowprops=arrow)
            ax.scatter(ends[0], place, facecolor="white", edgecolor=colour, s=26, zorder=3)
            ax.scatter(ends[1], place, color=colour, s=26, zorder=3)
            ax.text(1.02, place, _describe_gain(row), transform=ax.get_yaxis_transform(), va="center", fontsize=7)
        ax.set_yticks(places, [f"{name} ({n})" for name, n in zip(part["group"], part["n"])])
        ax.set_ylim(-0.6, len(part) - 0.4)
        ax.grid(axis="x", alpha=0.3)
        ax.set_xlabel("accuracy (%)")
        ax.set_title(title)
    axes[1].scatter([], [], facecolor="white", edgecolor=MISSING, s=26, label="first alert alone")
    axes[1].scatter([], [], color=MISSING, s=26, label="both alerts; at the right: points gained, 95 %")
    figure.legend(loc="outside upper center", ncols=2)
    return figure


def _describe_gain(row: Mapping[Any, float]) -> str:
    return f"{100 * row['gain']:+.1f} [{100 * row['gain low']:+.0f}, {100 * row['gain high']:+.0f}]"


def plot_flips(table: pd.DataFrame) -> Figure:
    """How often a second alert changes the answer, and what it gains or costs in each group of objects.

    Parameters
    ----------
    table : DataFrame
        Of `twostamp.analysis.second_alert.revisions.tabulate_revisions`.
    """
    figure, axes = plt.subplots(
        1, 2, figsize=(PAGE_WIDTH, 0.9 + 0.16 * len(table)), gridspec_kw={"width_ratios": [1, 1]}, sharey=True
    )
    places = np.arange(len(table))[::-1]
    start = np.zeros(len(table))
    for name in FLIPS:
        axes[0].barh(places, 100 * table[name], left=start, color=FLIP_COLOURS[name], height=0.7, label=name)
        start = start + 100 * table[name]
    axes[0].set_xlabel("answers changed by the second alert (%)")
    for place, row in zip(places, table.to_dict("records")):
        colour = {"helps": FLIP_COLOURS["wrong to right"], "hurts": FLIP_COLOURS["right to wrong"]}
        of_row = colour.get(row["second alert"], "#777777")
        axes[1].hlines(place, 100 * row["gain low"], 100 * row["gain high"], color=of_row)
        axes[1].scatter(100 * row["gain"], place, color=of_row, s=14, zorder=3)
    axes[1].axvline(0, color=MISSING, linewidth=0.6)
    axes[1].set_xlabel("accuracy gained, points (95 %)")
    spoken = {"all": "", "class and night": ""}
    names = [
        f"{spoken.get(g, f'{g}: ')}{n} ({size})" for g, n, size in zip(table["grouping"], table["group"], table["n"])
    ]
    axes[0].set_yticks(places, names, fontsize=7)
    axes[0].set_ylim(-0.8, len(table) - 0.2)
    figure.legend(loc="outside upper right", ncols=len(FLIPS))
    return figure


def plot_rivals(table: pd.DataFrame) -> Figure:
    """Difference between the model for one or two alerts and the classifier that is trained for the case.

    Parameters
    ----------
    table : DataFrame
        Of `twostamp.analysis.second_alert.revisions.compare_rivals`.
    """
    figure, ax = plt.subplots(figsize=(PAGE_WIDTH, 0.9 + 0.28 * len(table)))
    for place, row in zip(range(len(table))[::-1], table.to_dict("records")):
        colour = MODEL_STYLES["one or two"][0]
        ax.hlines(place, 100 * row["low"], 100 * row["high"], color=colour)
        ax.scatter(100 * row["difference"], place, color=colour, s=22, zorder=3)
        text = f"{100 * row['accuracy']:.1f} % against {100 * row['dedicated accuracy']:.1f} %"
        ax.text(1.01, place, text, transform=ax.get_yaxis_transform(), va="center", fontsize=7)
    names = [f"{row.model}, {row.alerts} seen, minus {row.dedicated}" for row in table.itertuples()]
    ax.set_yticks(range(len(table))[::-1], names)
    ax.set_ylim(-0.6, len(table) - 0.4)
    ax.axvline(0, color=MISSING, linewidth=0.6)
    ax.set_xlabel("difference of accuracy, points (95 %)")
    return figure


def plot_stress(table: pd.DataFrame, baselines: Mapping[str, float]) -> Figure:
    """Accuracy against weather gaps, and under other perturbations of the days between the alerts.

    Parameters
    ----------
    table : DataFrame
        Of `twostamp.analysis.second_alert.cadence_stress.tabulate_stress`.
    baselines : mapping of str to float
        Accuracies that no gap can touch, those of answers to one alert, by name.
    """
    figure, axes = plt.subplots(1, 2, sharey=True, figsize=(PAGE_WIDTH, 3.3), gridspec_kw={"width_ratios": [1, 1.1]})
    others = table[table["kind"] != "gap"]
    names = list(dict.fromkeys(zip(others["kind"], others["amount"])))
    models = list(dict.fromkeys(table["model"]))
    spread = np.linspace(-0.3, 0.3, len(models)) if len(models) > 1 else [0.0]
    for i, model in enumerate(models):
        colour, line = MODEL_STYLES.get(model, (OTHER_COLOURS[i % len(OTHER_COLOURS)], "-"))
        rows = table[table["model"] == model]
        _draw_gaps(rows[rows["kind"] == "gap"], axes[0], color=colour, linestyle=line, label=model)
        rest = rows[rows["kind"] != "gap"]
        places = [names.index(key) + spread[i] for key in zip(rest["kind"], rest["amount"])]
        axes[1].vlines(places, 100 * rest["low"], 100 * rest["high"], color=colour, linestyle=line, linewidth=1)
        filled = colour if line == "-" else "white"
        axes[1].scatter(places, 100 * rest["accuracy"], facecolor=filled, edgecolor=colour, s=14, zorder=3)
    for (name, value), dashes in zip(baselines.items(), (":", "-.")):
        for ax in axes:
            ax.axhline(100 * value, color=MISSING, linewidth=1, linestyle=dashes, label=name if ax is axes[0] else None)
    ticks = [KINDS[kind].format(amount) for kind, amount in names]
    axes[1].set_xticks(range(len(names)), ticks, fontsize=7)
    axes[0].set_ylabel("accuracy on test (%)")
    axes[0].set_title("weather gap before the second alert")
    axes[1].set_title("deltajd shifted, cut at a limit, stretched")
    figure.legend(loc="outside upper center", ncols=3)
    return figure


def _draw_gaps(rows: pd.DataFrame, ax: Axes, **style: str) -> None:
    band: dict[str, Any] = {"color": style["color"], "alpha": 0.08, "linewidth": 0}
    ax.fill_between(rows["amount"], 100 * rows["low"], 100 * rows["high"], **band)
    ax.plot(rows["amount"], 100 * rows["accuracy"], marker="o", markersize=3, linewidth=1.2, **style)  # type: ignore[arg-type]
    ax.set_xscale("symlog", linthresh=1)
    ax.set_xticks(rows["amount"], [f"{amount:g}" for amount in rows["amount"]])
    ax.set_xlabel("nights (log scale from 1 on)")
