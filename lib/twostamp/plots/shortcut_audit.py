"""Figures of notebook 14: sky maps with and without coordinates, importance, attributions and occlusion."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from twostamp.analysis.shortcut_audit import SWAPPED, WITH, WITHOUT, Sight, map_shares, profile_latitudes
from twostamp.data.arrays import STAMPS
from twostamp.plots.sky_maps import draw_sky
from twostamp.plots.style import PAGE_WIDTH, SEQUENTIAL, class_colour

DIVERGING = "PuOr_r"
"""Orange against purple: told apart by colour-blind readers too."""

OVERLAY = LinearSegmentedColormap.from_list(
    "overlay", [(0, "#4B2A8CFF"), (0.5, "#4B2A8C00"), (0.5, "#E6610100"), (1, "#E66101FF")]
)
"""The same two colours, the weaker the more transparent, to be laid over a grey image."""

STRONG = 0.99
"""Attributions beyond this quantile of an object have the full colour."""

LINES = {WITH: "-", WITHOUT: "--", SWAPPED: ":"}
MEASURES = (
    ("impurity", "forest: mean decrease\nin impurity (both alerts)", "#999933"),
    ("permutation", "forest: test accuracy\nlost when shuffled", "#332288"),
    ("accuracy", "network: test accuracy\nlost when shuffled", "#882255"),
    ("nll", "network: nats of log loss\ngained when shuffled", "#882255"),
)


def plot_share_maps(seen: Mapping[str, Sight], classes: Sequence[str], nside: int) -> Figure:
    """Share of every predicted class on the Galactic sky, with coordinates and without, and the difference.

    Parameters
    ----------
    seen : mapping of str to Sight
        Of `twostamp.analysis.shortcut_audit.look`.
    classes : sequence of str
    nside : int
        Of the HEALPix pixels.
    """
    shares = {way: map_shares(seen[way], classes, nside) for way in (WITH, WITHOUT)}
    figure, axes = plt.subplots(
        len(classes), 3, figsize=(PAGE_WIDTH, 0.8 + 1.25 * len(classes)), subplot_kw={"projection": "mollweide"}
    )
    for row, name in enumerate(classes):
        maps = [shares[WITH][name], shares[WITHOUT][name], shares[WITHOUT][name] - shares[WITH][name]]
        for column, values in enumerate(maps):
            change = column == 2
            norm = Normalize(-1, 1) if change else Normalize(0, 1)
            mesh = draw_sky(values, axes[row, column], norm, DIVERGING if change else SEQUENTIAL)
            if row == len(classes) - 1:
                bar = figure.colorbar(
                    mesh, ax=axes[:, column], orientation="horizontal", shrink=0.8, aspect=30, pad=0.02
                )
                bar.set_label("change of the share" if change else "share predicted")
        axes[row, 0].text(-0.06, 0.5, name, transform=axes[row, 0].transAxes, rotation=90, va="center", ha="right")
    for ax, title in zip(axes[0], (WITH, WITHOUT, "without minus with"), strict=True):
        ax.set_title(title, fontsize=9)
    return figure


def plot_profiles(seen: Mapping[str, Sight], classes: Sequence[str]) -> Figure:
    """Mean probability of every class against distance from the Galactic plane, way by way.

    For objects that were moved, the latitude is the one that the classifier was told.
    """
    figure, axes = plt.subplots(1, len(classes), sharey=True, figsize=(PAGE_WIDTH, 2.3), squeeze=False)
    for column, name in enumerate(classes):
        ax = axes[0, column]
        for way, sight in seen.items():
            latitude, mean = profile_latitudes(sight)
            ax.plot(latitude, mean[:, column], LINES[way], color=class_colour(name), marker="o", markersize=2.5)
        ax.set_title(name)
        ax.grid(alpha=0.3)
    axes[0, 0].set_ylim(0, None)
    axes[0, 0].set_ylabel("mean probability")
    figure.supxlabel("distance from the Galactic plane |b| (degrees)", fontsize=9)
    for way in seen:
        axes[0, 0].plot([], [], LINES[way], color="#333333", label=way)
    figure.legend(*_handles(axes[0, 0], len(seen)), loc="outside upper center", ncols=len(seen))
    return figure


def _handles(ax: Axes, count: int) -> tuple[list[Any], list[str]]:
    handles, labels = ax.get_legend_handles_labels()
    return handles[-count:], labels[-count:]


def plot_importances(table: pd.DataFrame) -> Figure:
    """Impurity and permutation importance of the forest beside permutation importance of the network.

    Parameters
    ----------
    table : DataFrame
        Of `twostamp.inspection.permutation.compare_importance`.
    """
    figure, axes = plt.subplots(
        1, len(MEASURES), sharey=True, figsize=(PAGE_WIDTH, 0.9 + 0.16 * len(table)), squeeze=False
    )
    place = np.arange(len(table))[::-1]
    for ax, (measure, label, colour) in zip(axes[0], MEASURES, strict=True):
        ax.barh(place, table[f"{measure}_mean"], color=colour, height=0.75)
        ax.errorbar(
            table[f"{measure}_mean"], place, xerr=table[f"{measure}_std"], linestyle="", color="#333333", elinewidth=0.7
        )
        ax.axvline(0, color="#333333", linewidth=0.6)
        ax.set_xlabel(label, fontsize=7.5)
        ax.tick_params(axis="x", labelsize=7)
        ax.locator_params(axis="x", nbins=4)
        ax.grid(axis="x", alpha=0.3)
    axes[0, 0].set_yticks(place, table["feature"], fontsize=6.5)
    axes[0, 0].set_ylim(-0.7, len(table) - 0.3)
    return figure


def plot_attributions(
    stamps: Mapping[str, NDArray[Any]], attributions: Mapping[str, NDArray[Any]], titles: Mapping[int, str]
) -> Figure:
    """Stamps of a few objects with their attributions laid over them.

    Parameters
    ----------
    stamps, attributions : mapping of ndarray, shape (n, crop, crop, 3)
        By alert: ``stamps_1`` and, if there is one, ``stamps_2``; other inputs are left out.
    titles : mapping of int to str
        What to say of each object shown, by its place; a row of the figure each.
    """
    names = sorted(name for name in stamps if name.startswith("stamps"))
    columns = [(name, channel) for name in names for channel in range(3)]
    figure, axes = plt.subplots(
        len(titles), len(columns), figsize=(PAGE_WIDTH, 0.7 + 1.12 * len(titles)), squeeze=False
    )
    for row, (place, title) in enumerate(titles.items()):
        limit = np.quantile(np.abs([attributions[name][place] for name in names]), STRONG) or 1.0
        for ax, (name, channel) in zip(axes[row], columns, strict=True):
            ax.imshow(stamps[name][place, ..., channel], cmap="gray", vmin=-1, vmax=1)
            mesh = ax.imshow(attributions[name][place, ..., channel] / limit, cmap=OVERLAY, vmin=-1, vmax=1)
            ax.set_xticks([])
            ax.set_yticks([])
        axes[row, 0].set_ylabel(title, fontsize=7)
    for ax, (name, channel) in zip(axes[0], columns, strict=True):
        ax.set_title(f"{STAMPS[channel]},\nalert {name[-1]}", fontsize=8)
    bar = figure.colorbar(mesh, ax=axes, orientation="horizontal", shrink=0.5, aspect=40, pad=0.02)
    bar.set_label("attribution, of the object's largest per cent: orange for the class, purple against it", fontsize=8)
    return figure


def plot_agreement(pooled: NDArray[Any], occlusion: NDArray[Any], agreement: pd.DataFrame) -> Figure:
    """Mean strength of attributions and of occlusion patch by patch, and how well their ranks agree.

    Parameters
    ----------
    pooled, occlusion : ndarray, shape (n, alerts, 3, g, g)
        Absolute values.
    agreement : DataFrame
        Of `twostamp.inspection.agreement.check_agreement`.
    """
    alerts = pooled.shape[1]
    figure = plt.figure(figsize=(PAGE_WIDTH, 3.8))
    above, below = figure.subfigures(2, 1, height_ratios=[2.2, 1.1])
    axes = above.subplots(2, 3 * alerts, squeeze=False)
    for row, (label, values) in enumerate((("|attribution|", pooled), ("|occlusion|", occlusion))):
        mean = values.mean(axis=0).reshape(3 * alerts, *values.shape[-2:])
        for column, image in enumerate(mean):
            mesh = axes[row, column].imshow(image / mean.max(), cmap=SEQUENTIAL, vmin=0, vmax=1)
            axes[row, column].set_xticks([])
            axes[row, column].set_yticks([])
            if row == 0:
                axes[0, column].set_title(f"{STAMPS[column % 3]},\nalert {column // 3 + 1}", fontsize=8)
        axes[row, 0].set_ylabel(label, fontsize=8)
    above.colorbar(mesh, ax=axes, shrink=0.8, aspect=20, pad=0.01).set_label("share of the largest", fontsize=7)
    ax = below.subplots()
    for place, found in zip(range(len(agreement))[::-1], agreement.to_dict("records")):
        colour = "#882255" if place == len(agreement) - 1 else "#888888"
        ax.hlines(place, found["low"], found["high"], color=colour)
        ax.scatter(found["correlation"], place, color=colour, s=18, zorder=3)
    ax.set_yticks(range(len(agreement))[::-1], agreement["what"], fontsize=8)
    ax.set_ylim(-0.6, len(agreement) - 0.4)
    ax.axvline(0, color="#333333", linewidth=0.6)
    ax.grid(axis="x", alpha=0.3)
    ax.set_xlabel("Spearman's correlation with occlusion, mean over objects (95 %)")
    return figure
