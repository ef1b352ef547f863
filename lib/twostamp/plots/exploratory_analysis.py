"""Figures 3.1 to 3.7 and C.1 to C.4: the data set by class, and its features (thesis section 3.3, annex C)."""

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import SubplotSpec
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator
from numpy.typing import ArrayLike, NDArray

from twostamp.analysis.exploratory_analysis import FILTER_PAIRS, name_filter_pairs
from twostamp.plots.style import PAGE_WIDTH, SEQUENTIAL, class_colour, group_digits
from twostamp.taxonomy import order_classes
from twostamp.utils.typing import Floats, Floats32

LINES: tuple[Any, ...] = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))
"""Line styles, which distinguish classes without colour too."""

MISSING = "#9ecae1"
"""Colour of a masked pixel, neither dark nor bright."""

PARTS: dict[str, tuple[str, ...]] = {
    "C.1": ("sgscore1", "distpsnr1", "sgscore2", "distpsnr2", "sgscore3", "distpsnr3"),
    "C.2": ("isdiffpos", "fwhm", "elong", "magpsf", "sigmapsf", "diffmaglim"),
    "C.3": ("classtar", "chinr", "sharpnr", "ndethist", "ncovhist", "non_detections"),
    "C.4": ("ra", "dec", "ecl_long", "ecl_lat", "gal_long", "gal_lat"),
}
"""Metadata of each figure; together the 24 of `twostamp.analysis.exploratory_analysis.EXPLORED`."""

UNITS = {
    **dict.fromkeys(PARTS["C.4"], "deg"),
    **dict.fromkeys(("distpsnr1", "distpsnr2", "distpsnr3"), "arcsec"),
    **dict.fromkeys(("magpsf", "sigmapsf", "diffmaglim"), "mag"),
    "fwhm": "pixel",
}
BINARY = ("isdiffpos",)
LOGARITHMIC = ("ndethist", "ncovhist", "non_detections")
BINS = 20


def plot_class_counts(counts: pd.Series, ax: Axes) -> Axes:
    """Plot objects per class, index the classes (figure 3.1)."""
    bars = ax.bar(counts.index, counts, color=counts.index.map(class_colour), width=0.7)
    ax.bar_label(bars, counts.map(group_digits), padding=2, fontsize=8)
    ax.set(ylabel="objects", ylim=(0, max(1.15 * counts.max(), 1)))
    return ax


def plot_histograms(values: pd.Series, classes: pd.Series, bins: ArrayLike, ax: Axes, *, xlabel: str) -> Axes:
    """Plot one outline per class, as a share of the class's objects.

    NaN values are left out; values beyond the edges `bins` are counted in the outermost bins.
    """
    edges = np.asarray(bins, dtype=float)
    for name, line in zip(order_classes(classes), cycle(LINES)):
        inside = values[(classes == name).to_numpy()].dropna().clip(edges[0], edges[-1])
        if len(inside):
            share = np.histogram(inside, edges)[0] / len(inside)
            ax.stairs(share, edges, label=name, color=class_colour(name), linestyle=line, linewidth=1.4)
    ax.set(xlabel=xlabel, ylabel="share of the class's objects", xlim=(edges[0], edges[-1]), ylim=(0, None))
    return ax


def plot_deltajd(pairs: pd.DataFrame, ax: Axes, deltajd_max: float = 100.0) -> Axes:
    """Plot days between the two alerts, by class, on a logarithmic axis (figure 3.3).

    `pairs` has columns classALeRCE and deltajd (days); section 3.4 cuts at `deltajd_max` days.
    """
    days = pairs["deltajd"].astype(float)
    shortest, longest = min([deltajd_max, *days]), max([10 * deltajd_max, *days])
    low, high = np.floor(np.log10(max(shortest, 1e-4))), np.ceil(np.log10(longest))
    bins = np.logspace(low, high, 4 * int(high - low) + 1)
    plot_histograms(days, pairs["classALeRCE"], bins, ax, xlabel="deltajd, days")
    ax.set_xscale("log")
    top = ax.get_ylim()[1] * 1.12
    for days_at, text in ((1.0, "1 day"), (deltajd_max, f"cut at {deltajd_max:g} days")):
        ax.axvline(days_at, color="black", linewidth=0.8, linestyle=(0, (1, 2)))
        ax.annotate(text, (days_at, top), (3, -2), va="top", textcoords="offset points", fontsize=7)
    ax.set_ylim(0, top)
    ax.legend(loc="upper left", title="class")
    return ax


def plot_both_alerts(pairs: pd.DataFrame, field: str, bins: ArrayLike, axes: Sequence[Axes], *, xlabel: str) -> None:
    """Plot histograms of one field for the first and the second alert, side by side (figures 3.4 and 3.5).

    `pairs` has columns classALeRCE, ``<field>_1`` and ``<field>_2``; `bins` are the edges.
    """
    for alert, (ax, title) in enumerate(zip(axes, ("first alert", "second alert"), strict=True), start=1):
        plot_histograms(pairs[f"{field}_{alert}"].astype(float), pairs["classALeRCE"], bins, ax, xlabel=xlabel)
        ax.set_title(title)
    top = max(ax.get_ylim()[1] for ax in axes)
    for ax in axes:
        ax.set_ylim(0, top)
    axes[1].set_ylabel("")
    axes[1].legend(title="class", loc="upper left", bbox_to_anchor=(1, 1))


def plot_filter_pairs(pairs: pd.DataFrame, ax: Axes) -> Axes:
    """Plot filters of the two alerts by class, as a share of the class's pairs; gr is g first, then r (figure 3.6).

    `pairs` has columns classALeRCE, fid_1 and fid_2; a pair with the i band is ``other``.
    """
    _plot_shares(name_filter_pairs(pairs["fid_1"], pairs["fid_2"]), FILTER_PAIRS, pairs["classALeRCE"], ax)
    ax.set_xticks(range(len(FILTER_PAIRS)), [*FILTER_PAIRS[:-1], "other\n(i band)"])
    ax.set(xlabel="filters of the first and second alert", ylabel="share of the class's pairs")
    if ax.get_legend():
        sns.move_legend(ax, "upper left", bbox_to_anchor=(1, 1))
    return ax


def _plot_shares(values: pd.Series, categories: Sequence[str], classes: pd.Series, ax: Axes) -> None:
    """Draw the share of each category in a class, one bar per class; nothing without values."""
    table = pd.DataFrame({"value": pd.Categorical(values, list(categories)), "class": classes.to_numpy()})
    if len(table):
        bars = {"multiple": "dodge", "shrink": 0.84, "alpha": 1, "linewidth": 0}
        sns.histplot(table, x="value", **_shares_by_class(table["class"]), **bars, ax=ax)
    ax.set_xticks(range(len(categories)), categories)


def _shares_by_class(classes: pd.Series) -> dict[str, Any]:
    """Return options of `seaborn.histplot`: shares of each class, in its colour."""
    names = order_classes(classes)
    colours = {"hue": "class", "hue_order": names, "palette": [class_colour(name) for name in names]}
    return {"stat": "proportion", "common_norm": False, **colours}


def plot_gallery(stamps: Mapping[str, Floats32], figure: Figure) -> Figure:
    """Plot stamps of a few objects per class: science, template and difference below each other (figure 3.7).

    Parameters
    ----------
    stamps : mapping of ndarray, shape (k, 63, 63, 3)
        Stamps by class, in DN; a pixel without a value is light blue.
    figure : Figure
        Its size is set here.
    """
    rows, columns = -(-len(stamps) // 2), 2
    figure.set_size_inches(PAGE_WIDTH, 2.3 * rows)
    figure.set_layout_engine("none")  # a constrained layout of this many axes costs seconds
    blocks = figure.subfigures(rows, columns, squeeze=False).ravel()
    borders = {"left": 0.06, "right": 0.99, "bottom": 0.01, "top": 0.87, "wspace": 0.04, "hspace": 0.04}
    widest = max(len(triplets) for triplets in stamps.values())
    for block, (name, triplets) in zip(blocks, stamps.items(), strict=False):
        block.suptitle(name, y=0.97, color=class_colour(name), fontweight="bold", fontsize=10)
        axes = block.subplots(3, widest, squeeze=False, gridspec_kw=borders)
        for channel, kind in enumerate(("science", "template", "difference")):
            axes[channel, 0].set_ylabel(kind, fontsize=7)
            for ax in axes[channel]:
                ax.set(xticks=[], yticks=[])
                ax.spines[:].set_visible(False)
            for triplet, ax in zip(triplets, axes[channel], strict=False):
                _show(triplet[..., channel], ax)
    return figure


def _show(image: Floats32, ax: Axes) -> None:
    finite = image[np.isfinite(image)]
    low, high = np.quantile(finite, [0.02, 0.995]) if finite.size else (0.0, 1.0)
    ax.set_facecolor(MISSING)
    ax.imshow(np.ma.masked_invalid(image), origin="lower", cmap="gray", vmin=low, vmax=max(high, low + 1e-6))


def plot_realism(comparison: pd.DataFrame, auc: pd.DataFrame, ax: Axes) -> Axes:
    """Plot distances between simulated and real first alerts, per class and feature (not in the thesis).

    The tables are of `compare_metadata` and `realism_auc` in `twostamp.analysis.exploratory_analysis`.
    """
    distances = comparison.pivot_table(index="classALeRCE", columns="feature", values="ks", dropna=False)
    distances = distances.loc[order_classes(comparison["classALeRCE"]), comparison["feature"].unique()]
    n_real, scores = comparison.groupby("classALeRCE")["n_real"].first(), auc.set_index("classALeRCE")["auc_mean"]
    labels = [
        f"{name} ({n_real[name]:.0f} real)" + (f"\nAUC {scores[name]:.2f}" if name in scores else "")
        for name in distances.index
    ]
    bar = {"pad": 0.02, "label": "Kolmogorov-Smirnov distance"}
    sns.heatmap(distances, cmap=SEQUENTIAL, vmin=0, vmax=1, cbar_kws=bar, yticklabels=labels, ax=ax)
    places = np.arange(len(distances.columns)) + 0.5
    ax.set_xticks(places, distances.columns, rotation=60, ha="right", rotation_mode="anchor")
    ax.set(xlabel="", ylabel="")
    return ax


def plot_joint_metadata(
    metadata: Mapping[int, pd.DataFrame], classes: pd.Series, names: Sequence[str], figure: Figure
) -> Figure:
    """Plot a grid of joint plots, three per row, one metadatum each.

    Parameters
    ----------
    metadata : mapping of DataFrame
        Keys 1 and 2, of `twostamp.analysis.exploratory_analysis.explored_metadata`.
    classes : Series
        Class of each row.
    names : sequence of str
        Columns to draw, as in `PARTS`.
    figure : Figure
        Its size is set here.
    """
    rows = -(-len(names) // 3)
    figure.set_size_inches(PAGE_WIDTH, 2.5 * rows + 0.3)
    figure.set_layout_engine("none")  # a constrained layout of this many axes costs seconds
    grid = figure.add_gridspec(rows, 3, left=0.07, right=0.99, bottom=0.07, top=0.89, wspace=0.3, hspace=0.36)
    for cell, name in zip(grid, names, strict=False):  # type: ignore[call-overload]
        _plot_joint(metadata[1][name], metadata[2][name], classes, cell, figure)
    handles = [
        Line2D([], [], color=class_colour(name), marker="o", markersize=4, label=name)
        for name in order_classes(classes)
    ]
    figure.legend(handles=handles, loc="upper center", ncols=max(len(handles), 1))
    return figure


def _plot_joint(first: pd.Series, second: pd.Series, classes: pd.Series, cell: SubplotSpec, figure: Figure) -> None:
    name = str(first.name)
    table = pd.DataFrame({"first alert": first, "second alert": second}).astype(float)
    if name in BINARY:
        _plot_changes(table, classes, figure.add_subplot(cell), name)
        return
    edges = _edges(table.to_numpy(), name in LOGARITHMIC)
    table = table.clip(edges[0], edges[-1]).assign(**{"class": classes})  # values beyond are drawn at the border
    inner = cell.subgridspec(2, 2, width_ratios=(4, 1), height_ratios=(1, 4), wspace=0.03, hspace=0.03)
    joint = figure.add_subplot(inner[1, 0])
    top, right = figure.add_subplot(inner[0, 0], sharex=joint), figure.add_subplot(inner[1, 1], sharey=joint)
    outlines = _shares_by_class(classes) | {"legend": False, "element": "step", "fill": False, "linewidth": 0.9}
    sns.histplot(table, x="first alert", bins=edges, **outlines, ax=top)
    sns.histplot(table, y="second alert", bins=edges, **outlines, ax=right)
    top.axis("off")
    right.axis("off")
    top.set_title(f"{name}, {UNITS[name]}" if name in UNITS else name, fontsize=9)
    colours = classes.map(class_colour)
    joint.scatter(table.iloc[:, 0], table.iloc[:, 1], c=colours, s=3, alpha=0.5, linewidths=0, rasterized=True)
    joint.plot(edges[[0, -1]], edges[[0, -1]], color="black", linewidth=0.5, alpha=0.5, zorder=0)
    _set_axes(joint, name, (edges[0], edges[-1]))


def _plot_changes(table: pd.DataFrame, classes: pd.Series, ax: Axes, name: str) -> None:
    """Draw how often a field is 0 or 1 at the two alerts, one bar per class."""
    known = table.dropna().astype(int)
    both = known["first alert"].astype(str) + " → " + known["second alert"].astype(str)
    _plot_shares(both, ["0 → 0", "0 → 1", "1 → 0", "1 → 1"], classes[known.index], ax)
    if legend := ax.get_legend():
        legend.remove()  # the figure has one
    ax.set_title(name, fontsize=9)
    ax.set_xlabel("first → second alert", fontsize=7, labelpad=1)
    ax.set_ylabel("share of the class's objects", fontsize=7, labelpad=1)
    ax.tick_params(labelsize=6.5)


def _set_axes(joint: Axes, name: str, limits: tuple[float, float]) -> None:
    """Give the two alerts the same scale and limits."""
    scale = "log" if name in LOGARITHMIC else "linear"
    joint.set(xscale=scale, yscale=scale, xlim=limits, ylim=limits)
    joint.set_xlabel("first alert", fontsize=7, labelpad=1)
    joint.set_ylabel("second alert", fontsize=7, labelpad=1)
    joint.tick_params(labelsize=6.5)
    for axis in (joint.xaxis, joint.yaxis):
        axis.set_minor_locator(NullLocator())


def _edges(values: NDArray[Any], logarithmic: bool) -> Floats:
    """Make bins over all but the most extreme 1 % of values: one outlier would compress the rest into a line."""
    finite = values[np.isfinite(values) & ((values > 0) | (not logarithmic))]
    low, high = np.quantile(finite, [0.005, 0.995]) if finite.size else (0.0, 1.0)
    if logarithmic:
        return np.geomspace(max(low, 1e-3) / 1.1, max(high, 1e-2) * 1.1, BINS + 1)
    margin = 0.04 * (high - low) or 0.5
    return np.linspace(low - margin, high + margin, BINS + 1)
