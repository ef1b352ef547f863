"""Figures of notebook 14: probabilities by latitude, importance, attributions and occlusion."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray

from twostamp.alerts.cutouts import STAMPS
from twostamp.analysis.shortcut_audit import SWAPPED, WITH, WITHOUT, CoordinateTest, profile_latitudes
from twostamp.plots.metadata_importance import draw_measure
from twostamp.plots.style import (
    INK,
    PAGE_WIDTH,
    SEQUENTIAL,
    class_colour,
    draw_intervals,
    draw_legend,
    label_rows,
    make_panels,
)

OVERLAY = LinearSegmentedColormap.from_list(
    "overlay", [(0, "#4B2A8CFF"), (0.5, "#4B2A8C00"), (0.5, "#E6610100"), (1, "#E66101FF")]
)
"""Orange against purple, which colour-blind readers can distinguish; the weaker, the more transparent."""

STRONG = 0.99
"""Quantile of an object beyond which attributions have the full colour."""

LINES = {WITH: "-", WITHOUT: "--", SWAPPED: ":"}
MEASURES = (
    ("impurity", "forest: mean decrease\nin impurity (both alerts)", "#999933"),
    ("permutation", "forest: test accuracy\nlost when shuffled", "#332288"),
    ("accuracy", "network: test accuracy\nlost when shuffled", "#882255"),
    ("nll", "network: nats of log loss\ngained when shuffled", "#882255"),
)


def plot_profiles(tests: Mapping[str, CoordinateTest], classes: Sequence[str]) -> Figure:
    """Plot the mean probability of every class against distance from the Galactic plane, test by test.

    For objects with permuted coordinates, the latitude is the permuted one.
    """
    figure, (axes,) = make_panels(len(classes), 2.3, sharey=True)
    for column, (ax, name) in enumerate(zip(axes, classes)):
        for way, test in tests.items():
            latitude, mean = profile_latitudes(test)
            ax.plot(latitude, mean[:, column], LINES[way], color=class_colour(name), marker="o", markersize=2.5)
        ax.set_title(name)
        ax.grid(alpha=0.3)
    axes[0].set(ylim=(0, None), ylabel="mean probability")
    figure.supxlabel("distance from the Galactic plane |b| (degrees)", fontsize=9)
    for way in tests:
        axes[0].plot([], [], LINES[way], color=INK, label=way)
    draw_legend(figure, axes[0])
    return figure


def plot_importances(table: pd.DataFrame) -> Figure:
    """Plot impurity and permutation importance of the forest next to permutation importance of the network.

    `table` is of `twostamp.inspection.permutation.compare_importance`.
    """
    figure, (axes,) = make_panels(len(MEASURES), 0.9 + 0.16 * len(table), sharey=True)
    for ax, (measure, label, colour) in zip(axes, MEASURES, strict=True):
        draw_measure(ax, table, measure, colour)
        ax.set_xlabel(label, fontsize=7.5)
        ax.tick_params(axis="x", labelsize=7)
        ax.locator_params(axis="x", nbins=4)
    label_rows(axes[0], table["feature"], margin=0.7, fontsize=6.5)
    return figure


def plot_attributions(
    stamps: Mapping[str, NDArray[Any]], attributions: Mapping[str, NDArray[Any]], titles: Mapping[int, str]
) -> Figure:
    """Plot stamps of a few objects overlaid with their attributions.

    Parameters
    ----------
    stamps, attributions : mapping of ndarray, shape (n, crop, crop, 3)
        By alert: ``stamps_1`` and, if there is one, ``stamps_2``; other inputs are left out.
    titles : mapping of int to str
        Text next to each object shown, by index; one row of the figure each.
    """
    names = sorted(name for name in stamps if name.startswith("stamps"))
    columns = [(name, channel) for name in names for channel in range(3)]
    figure, axes = make_panels(len(columns), 0.7 + 1.12 * len(titles), rows=len(titles))
    for row, (place, title) in zip(axes, titles.items()):
        limit = np.quantile(np.abs([attributions[name][place] for name in names]), STRONG) or 1.0
        for ax, (name, channel) in zip(row, columns, strict=True):
            ax.imshow(stamps[name][place, ..., channel], cmap="gray", vmin=-1, vmax=1)
            mesh = ax.imshow(attributions[name][place, ..., channel] / limit, cmap=OVERLAY, vmin=-1, vmax=1)
            ax.set(xticks=[], yticks=[])
        row[0].set_ylabel(title, fontsize=7)
    for ax, (name, channel) in zip(axes[0], columns, strict=True):
        ax.set_title(f"{STAMPS[channel]},\nalert {name[-1]}", fontsize=8)
    bar = figure.colorbar(mesh, ax=axes, orientation="horizontal", shrink=0.5, aspect=40, pad=0.02)
    bar.set_label("attribution, of the object's largest per cent: orange for the class, purple against it", fontsize=8)
    return figure


def plot_agreement(pooled: NDArray[Any], occlusion: NDArray[Any], agreement: pd.DataFrame) -> Figure:
    """Plot the mean strength of attributions and occlusion by patch, and the agreement of their ranks.

    `pooled` and `occlusion` are absolute values, shape (n, alerts, 3, g, g); `agreement` is of
    `twostamp.inspection.agreement.check_agreement`.
    """
    figure = plt.figure(figsize=(PAGE_WIDTH, 3.8))
    above, below = figure.subfigures(2, 1, height_ratios=[2.2, 1.1])
    axes = above.subplots(2, 3 * pooled.shape[1], squeeze=False)
    for row, (label, values) in zip(axes, (("|attribution|", pooled), ("|occlusion|", occlusion))):
        mean = values.mean(axis=0).reshape(-1, *values.shape[-2:])
        for ax, image in zip(row, mean):
            mesh = ax.imshow(image / mean.max(), cmap=SEQUENTIAL, vmin=0, vmax=1)
            ax.set(xticks=[], yticks=[])
        row[0].set_ylabel(label, fontsize=8)
    for column, ax in enumerate(axes[0]):
        ax.set_title(f"{STAMPS[column % 3]},\nalert {column // 3 + 1}", fontsize=8)
    above.colorbar(mesh, ax=axes, shrink=0.8, aspect=20, pad=0.01).set_label("share of the largest", fontsize=7)
    ax = below.subplots()
    colours = ["#882255"] + ["#888888"] * (len(agreement) - 1)
    draw_intervals(ax, agreement, "correlation", colours, size=18)
    label_rows(ax, agreement["what"], fontsize=8)
    ax.axvline(0, color=INK, linewidth=0.6)
    ax.grid(axis="x", alpha=0.3)
    ax.set_xlabel("Spearman's correlation with occlusion, mean over objects (95 %)")
    return figure
