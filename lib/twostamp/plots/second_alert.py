"""Figures of notebook 12: predictions revised by a second alert, flips, dedicated classifiers, cadence stress."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from twostamp.analysis.second_alert.cadence_stress import STAYING
from twostamp.analysis.second_alert.revisions import FLIPS
from twostamp.plots.style import CLASS_COLOURS, INK, draw_intervals, draw_legend, label_rows, make_panels

FLIP_COLOURS = dict(zip(FLIPS, ("#44AA99", "#882255", "#BBBBBB")))
EFFECT_COLOURS = {"helps": FLIP_COLOURS["wrong to right"], "hurts": FLIP_COLOURS["right to wrong"]}
MODEL_STYLES = {
    "two alerts": ("#DDAA33", "--"),
    "two alerts, gaps learned": ("#DDAA33", "-"),
    "one or two": ("#332288", "--"),
    "one or two, gaps learned": ("#332288", "-"),
    "M1 of notebook 04": ("#882255", ":"),
    "M2 of notebook 04": ("#DDAA33", ":"),
}
OTHER_COLOURS = ("#332288", "#CC6677", "#117733", "#882255")
KINDS = {"shift": "shift\n{:+g} d", "censor": "limit\n{:g} d", "stretch": "stretch\n{:g} x"}


def plot_value(table: pd.DataFrame) -> Figure:
    """Plot accuracy with one alert and with two, by class and by the days between them.

    `table` is of `twostamp.analysis.second_alert.revisions.tabulate_revisions`.
    """
    parts = [table[table["grouping"].isin(("all", "class"))], table[table["grouping"] == "deltajd"]]
    figure, axes = make_panels(2, 2.8, sharex=True)
    for ax, part, title in zip(axes[0], parts, ("by class", "by days between the alerts")):
        for place, row in zip(range(len(part))[::-1], part.to_dict("records")):
            _draw_gain(place, row, ax)
        label_rows(ax, [f"{name} ({n})" for name, n in zip(part["group"], part["n"])])
        ax.grid(axis="x", alpha=0.3)
        ax.set(xlabel="accuracy (%)", title=title)
    ax.scatter([], [], facecolor="white", edgecolor=INK, s=26, label="first alert alone")
    ax.scatter([], [], color=INK, s=26, label="both alerts; at the right: points gained, 95 %")
    figure.legend(loc="outside upper center", ncols=2)
    return figure


def _draw_gain(place: int, row: Mapping[Any, Any], ax: Axes) -> None:
    """Draw an arrow from the accuracy with one alert to that with two, and write the gain next to the axes."""
    colour = CLASS_COLOURS.get(row["group"], INK)
    one, two = 100 * row["accuracy with one"], 100 * row["accuracy with two"]
    ax.annotate("", (two, place), (one, place), arrowprops={"arrowstyle": "->", "color": colour})
    ax.scatter(one, place, facecolor="white", edgecolor=colour, s=26, zorder=3)
    ax.scatter(two, place, color=colour, s=26, zorder=3)
    text = f"{100 * row['gain']:+.1f} [{100 * row['gain low']:+.0f}, {100 * row['gain high']:+.0f}]"
    ax.text(1.02, place, text, transform=ax.get_yaxis_transform(), va="center", fontsize=7)


def plot_flips(table: pd.DataFrame) -> Figure:
    """Plot how often a second alert changes the prediction, and its gain or cost in each group of objects.

    `table` is of `twostamp.analysis.second_alert.revisions.tabulate_revisions`.
    """
    figure, ((left, right),) = make_panels(2, 0.9 + 0.16 * len(table), sharey=True)
    places, start = range(len(table))[::-1], np.zeros(len(table))
    for name in FLIPS:
        left.barh(places, 100 * table[name], left=start, color=FLIP_COLOURS[name], height=0.7, label=name)
        start = start + 100 * table[name]
    left.set_xlabel("answers changed by the second alert (%)")
    colours = table["verdict"].map(EFFECT_COLOURS).fillna("#777777")
    draw_intervals(right, table, "gain", colours, low="gain low", high="gain high", scale=100, size=14)
    right.axvline(0, color=INK, linewidth=0.6)
    right.set_xlabel("accuracy gained, points (95 %)")
    spoken = {"all": "", "class and night": ""}
    rows = zip(table["grouping"], table["group"], table["n"])
    label_rows(left, [f"{spoken.get(g, f'{g}: ')}{name} ({n})" for g, name, n in rows], margin=0.8, fontsize=7)
    figure.legend(loc="outside upper right", ncols=len(FLIPS))
    return figure


def plot_dedicated(table: pd.DataFrame) -> Figure:
    """Plot differences between the model for one or two alerts and the classifier trained for the case.

    `table` is of `twostamp.analysis.second_alert.revisions.compare_with_dedicated`.
    """
    figure, ((ax,),) = make_panels(1, 0.9 + 0.28 * len(table))
    draw_intervals(ax, table, "difference", [MODEL_STYLES["one or two"][0]] * len(table), scale=100, size=22)
    for place, row in zip(range(len(table))[::-1], table.to_dict("records")):
        text = f"{100 * row['accuracy']:.1f} % against {100 * row['dedicated accuracy']:.1f} %"
        ax.text(1.01, place, text, transform=ax.get_yaxis_transform(), va="center", fontsize=7)
    label_rows(ax, [f"{row.model}, {row.alerts} seen, minus {row.dedicated}" for row in table.itertuples()])
    ax.axvline(0, color=INK, linewidth=0.6)
    ax.set_xlabel("difference of accuracy, points (95 %)")
    return figure


def plot_stress(table: pd.DataFrame, baselines: Mapping[str, float]) -> Figure:
    """Plot accuracy against weather gaps, and under other perturbations of the days between the alerts.

    `table` is of `twostamp.analysis.second_alert.cadence_stress.tabulate_stress`; `baselines` are accuracies by name
    that no gap affects, those from one alert.
    """
    figure, ((left, right),) = make_panels(2, 3.3, sharey=True, gridspec_kw={"width_ratios": [1, 1.1]})
    table = table[table["objects"] == STAYING]
    others = table[table["kind"] != "gap"]
    names = list(dict.fromkeys(zip(others["kind"], others["amount"])))
    models = list(dict.fromkeys(table["model"]))
    spread = np.linspace(-0.3, 0.3, len(models)) if len(models) > 1 else [0.0]
    for i, (model, offset) in enumerate(zip(models, spread)):
        colour, line = MODEL_STYLES.get(model, (OTHER_COLOURS[i % len(OTHER_COLOURS)], "-"))
        rows = table[table["model"] == model]
        _draw_gaps(rows[rows["kind"] == "gap"], left, color=colour, linestyle=line, label=model)
        _draw_others(rows[rows["kind"] != "gap"], names, offset, right, colour, line)
    for (name, value), dashes in zip(baselines.items(), (":", "-.")):
        for ax in (left, right):
            ax.axhline(100 * value, color=INK, linewidth=1, linestyle=dashes, label=name if ax is left else None)
    right.set_xticks(range(len(names)), [KINDS[kind].format(amount) for kind, amount in names], fontsize=7)
    left.set(ylabel=f"accuracy on test, {STAYING} (%)", title="weather gap before the second alert")
    right.set_title("deltajd shifted, cut at a limit, stretched")
    draw_legend(figure, left, columns=3)
    return figure


def _draw_gaps(rows: pd.DataFrame, ax: Axes, **style: Any) -> None:
    """Draw a line over the nights of a gap, with its band."""
    ax.fill_between(
        rows["amount"], 100 * rows["low"], 100 * rows["high"], color=style["color"], alpha=0.08, linewidth=0
    )
    ax.plot(rows["amount"], 100 * rows["accuracy"], marker="o", markersize=3, linewidth=1.2, **style)
    ax.set_xscale("symlog", linthresh=1)
    ax.set_xticks(rows["amount"], [f"{amount:g}" for amount in rows["amount"]])
    ax.set_xlabel("nights (log scale from 1 on)")


def _draw_others(rows: pd.DataFrame, names: list[Any], offset: float, ax: Axes, colour: str, line: str) -> None:
    """Draw an upright bar for each perturbation in `names`; filled where the model has a full line."""
    places = [names.index(key) + offset for key in zip(rows["kind"], rows["amount"])]
    ax.vlines(places, 100 * rows["low"], 100 * rows["high"], color=colour, linestyle=line, linewidth=1)
    face = colour if line == "-" else "white"
    ax.scatter(places, 100 * rows["accuracy"], facecolor=face, edgecolor=colour, s=14, zorder=3)


def plot_gains(table: pd.DataFrame) -> Figure:
    """Plot the gain of the second alert under every design, one panel per learner; filled if it has a verdict.

    `table` is of `twostamp.analysis.second_alert.gains.tabulate_gains`.
    """
    learners = list(dict.fromkeys(table["learner"]))
    designs = list(dict.fromkeys(table["design"]))
    figure, axes = make_panels(len(learners), 0.9 + 0.2 * len(designs), sharex=True, sharey=True)
    for ax, learner, colour in zip(axes[0], learners, OTHER_COLOURS):
        rows = table[table["learner"] == learner].set_index("design").reindex(designs)
        hollow = ~rows["verdict"].isin(["gains", "loses"])
        draw_intervals(ax, rows, "gain", [colour] * len(rows), scale=100, hollow=hollow)
        label_rows(ax, designs, fontsize=7)
        ax.axvline(0, color=INK, linewidth=0.6)
        ax.set_title(learner, fontsize=9)
    figure.supxlabel("accuracy of two alerts minus that of one, points (95 %); filled: decided", fontsize=8)
    return figure


def plot_waiting(table: pd.DataFrame) -> Figure:
    """Plot the accuracy gained by revisions against the days since the first alert.

    `table` is of `twostamp.analysis.second_alert.gains.tabulate_waiting`.
    """
    figure, ((ax,),) = make_panels(1, 2.6)
    ax.fill_between(table["days"], 100 * table["low"], 100 * table["high"], color=INK, alpha=0.15, linewidth=0)
    ax.plot(table["days"], 100 * table["gain"], color=INK, marker="o", markersize=3)
    ax.axhline(0, color=INK, linewidth=0.6)
    ax.set(xscale="log", xlabel="days since the first alert", ylabel="accuracy gained, points (95 %)")
    return figure
