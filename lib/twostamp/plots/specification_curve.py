"""The specification curve of notebook 15: effects in order, and below them which switches stood how."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from twostamp.analysis.specification_curve.specifications import SWITCHES
from twostamp.plots.style import INK, make_panels

ABOVE, BELOW, BETWEEN, OWN = "#44AA99", "#882255", "#888888", "#222222"
FEW = 40
"""Up to this many specifications the marks are large."""
TITLES = {
    "normalisation": "normalisation (S2)",
    "metadata_recipe": "clipping (M5)",
    "crop_size": "crop, pixels (S4)",
    "crop_before_normalising": "order (S3)",
    "features": "features (M1, M9)",
    "batch_normalisation": "batch norm. (M6)",
    "dropout_layers": "dropout layers (A5)",
    "dropout_rate": "dropout rate",
    "warmup_fraction": "warm-up (T2)",
    "two_alerts": "two alerts (A6)",
    "entropy_beta": "entropy β (A7)",
    "epochs": "epochs, of the run's",
    "width": "width, of the run's",
    "objects": "objects, of the run's",
}
WORDS: dict[str, dict[Any, str]] = {
    "crop_before_normalising": {False: "normalise first", True: "crop first"},
    "batch_normalisation": {True: "on", False: "off"},
    "warmup_fraction": {0.0: "none"},
    "features": {"thesis26_no_coordinates": "no coordinates"},
}


def plot_curve(effects: pd.DataFrame, baselines: Mapping[str, float]) -> Figure:
    """Plot two alerts minus one for every specification in the order of the table, above the switches that vary.

    `effects` is of `twostamp.analysis.specification_curve.curve.tabulate_effects`; `baselines` are what classifiers on
    metadata gain from the second alert, by name.
    """
    varied = _list_levels(effects)
    height = 0.135 * max(1, sum(map(len, varied.values())))
    ratios = {"height_ratios": [2.4, max(height, 0.3)]}
    figure, ((above,), (below,)) = make_panels(1, 2.9 + height, rows=2, gridspec_kw=ratios)
    _draw_effects(effects, above)
    for (name, gain), line in zip(baselines.items(), (":", "--", "-.")):
        above.axhline(100 * gain, color="#999999", linewidth=0.9, linestyle=line)
        above.annotate(name, (1.005, 100 * gain), xycoords=("axes fraction", "data"), fontsize=6, va="center")
    _draw_switches(effects, varied, below)
    for ax in (above, below):
        ax.set(xticks=[], xlim=(-0.7, len(effects) - 0.3))
    below.set_xlabel(f"{len(effects)} specifications, by difference")
    return figure


def _draw_effects(effects: pd.DataFrame, ax: Axes) -> None:
    """Draw each difference with its interval, a ring round the run's own."""
    place, difference = np.arange(len(effects)), 100 * effects["difference"]
    colours = np.select([effects["low"] > 0, effects["high"] < 0], [ABOVE, BELOW], BETWEEN)
    size = 22 if len(effects) < FEW else 7
    ax.vlines(place, 100 * effects["low"], 100 * effects["high"], color=colours, linewidth=1.1)
    ax.scatter(place, difference, color=colours, s=size, zorder=3)
    own = effects["specification"] == 0
    ax.scatter(place[own], difference[own], s=4 * size, facecolor="none", edgecolor=OWN, zorder=4)
    ax.axhline(0, color=INK, linewidth=0.7)
    for label, colour in {"interval above 0": ABOVE, "holds 0": BETWEEN, "below 0": BELOW}.items():
        ax.plot([], [], color=colour, marker="o", markersize=4, label=label)
    ax.plot([], [], linestyle="", marker="o", markersize=7, markerfacecolor="none", color=OWN, label="the run's own")
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=4)
    ax.set_ylabel("accuracy, two alerts\nminus one (points, 95 %)")


def _draw_switches(effects: pd.DataFrame, varied: dict[str, list[Any]], ax: Axes) -> None:
    """Mark the level of every switch below its specification."""
    labels: list[str] = []
    for switch, levels in varied.items():
        if labels:
            ax.axhline(len(labels) - 0.5, color="#DDDDDD", linewidth=0.6)
        ax.annotate(
            TITLES[switch], (0, len(labels) + (len(levels) - 1) / 2), xycoords=("axes fraction", "data"),
            xytext=(-70, 0), textcoords="offset points", ha="right", va="center", fontsize=7, annotation_clip=False,
        )  # fmt: skip
        for level in levels:
            at = np.flatnonzero(effects[switch] == level)
            ax.scatter(at, np.full(len(at), len(labels)), marker="s", s=16 if len(effects) < FEW else 4, color=INK)
            labels.append(WORDS.get(switch, {}).get(level, str(level)))
    ax.set_yticks(range(len(labels)), labels, fontsize=6.5)
    ax.set_ylim(len(labels) - 0.4, -0.6)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)


def _list_levels(effects: pd.DataFrame) -> dict[str, list[Any]]:
    """Levels that occur of every switch that varies, in the order of `SWITCHES`."""
    found = {}
    for switch, levels in SWITCHES.items():
        present = list(effects[switch].unique())
        if len(present) > 1:
            found[switch] = sorted(present, key=lambda x: levels.index(x) if x in levels else len(levels))
    return found
