"""Figures 3.1 to 3.9: the data set by class, and the features that the thesis discusses (section 3.3)."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import SubplotSpec
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator
from numpy.typing import ArrayLike, NDArray

from twostamp.analysis.exploratory_analysis import FILTER_PAIRS, filter_pairs_of, order_classes
from twostamp.plots.style import PAGE_WIDTH, SEQUENTIAL, class_colour

LINES: tuple[Any, ...] = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))
"""Line styles, so that classes are told apart without colour too."""

_MISSING = "#9ecae1"  # a masked pixel is neither dark nor bright


def plot_class_counts(counts: pd.Series, ax: Axes) -> Axes:
    """Objects per class (figure 3.1).

    Parameters
    ----------
    counts : Series
        Objects, by class; drawn in the order given.
    ax : Axes
    """
    bars = ax.bar(counts.index, counts, color=[class_colour(name) for name in counts.index], width=0.7)
    ax.bar_label(bars, [_grouped(count) for count in counts], padding=2, fontsize=8)
    ax.set(ylabel="objects", ylim=(0, max(1.15 * counts.max(), 1)))
    return ax


def plot_histograms(values: pd.Series, classes: pd.Series, bins: ArrayLike, ax: Axes, *, xlabel: str) -> Axes:
    """One outline per class, as a share of the class's objects, on a grid of bins (figures 3.4 and 3.5).

    Parameters
    ----------
    values, classes : Series, n rows
        NaN are left out; what lies beyond the bins is counted in the outermost ones.
    bins : array_like
        Edges.
    ax : Axes
    xlabel : str
    """
    edges = np.asarray(bins, dtype=float)
    for place, name in enumerate(order_classes(classes)):
        inside = values[(classes == name).to_numpy()].dropna().clip(edges[0], edges[-1])
        if len(inside):
            share = np.histogram(inside, edges)[0] / len(inside)
            style = {"color": class_colour(name), "linestyle": LINES[place % len(LINES)], "linewidth": 1.4}
            ax.stairs(share, edges, label=name, **style)
    ax.set(xlabel=xlabel, ylabel="share of the class's objects", xlim=(edges[0], edges[-1]), ylim=(0, None))
    return ax


def plot_deltajd(pairs: pd.DataFrame, ax: Axes, deltajd_max: float = 100.0) -> Axes:
    """Days between the two alerts, by class, on a logarithmic axis (figure 3.3).

    Parameters
    ----------
    pairs : DataFrame
        Columns classALeRCE and deltajd, days.
    ax : Axes
    deltajd_max : float
        Where section 3.4 cuts, days.
    """
    days = pairs["deltajd"].astype(float)
    low, high = np.floor(np.log10(max(days.min(), 1e-4))), np.ceil(np.log10(max(days.max(), 10 * deltajd_max)))
    plot_histograms(days, pairs["classALeRCE"], np.logspace(low, high, 8 * int(high - low) // 2 + 1), ax, xlabel="")
    ax.set(xscale="log", xlabel="deltajd, days")
    top = ax.get_ylim()[1] * 1.12
    for days_at, text in ((1.0, "1 day"), (deltajd_max, f"cut at {deltajd_max:g} days")):
        ax.axvline(days_at, color="black", linewidth=0.8, linestyle=(0, (1, 2)))
        ax.annotate(text, (days_at, top), (3, -2), va="top", **_POINTS)
    ax.set_ylim(0, top)
    ax.legend(loc="upper left", title="class")
    return ax


def plot_both_alerts(pairs: pd.DataFrame, field: str, bins: ArrayLike, axes: Sequence[Axes], *, xlabel: str) -> None:
    """Histogram of one field for the first and the second alert, side by side (figures 3.4 and 3.5).

    Parameters
    ----------
    pairs : DataFrame
        Columns classALeRCE, ``<field>_1`` and ``<field>_2``.
    field : str
    bins : array_like
        Edges.
    axes : two Axes
    xlabel : str
    """
    for alert, (ax, title) in enumerate(zip(axes, ("first alert", "second alert"), strict=True), start=1):
        plot_histograms(pairs[f"{field}_{alert}"].astype(float), pairs["classALeRCE"], bins, ax, xlabel=xlabel)
        ax.set_title(title)
    top = max(ax.get_ylim()[1] for ax in axes)
    for ax in axes:
        ax.set_ylim(0, top)
    axes[1].set_ylabel("")
    axes[0].legend(title="class")


def plot_filter_pairs(pairs: pd.DataFrame, ax: Axes) -> Axes:
    """Filters of the two alerts by class; gr is g first, then r (figure 3.6).

    Parameters
    ----------
    pairs : DataFrame
        Columns classALeRCE, fid_1, fid_2. Pairs with the i band are ``other``.
    ax : Axes
    """
    shares = pd.crosstab(filter_pairs_of(pairs["fid_1"], pairs["fid_2"]), pairs["classALeRCE"], normalize="columns")
    classes = order_classes(pairs["classALeRCE"])
    shares = shares.reindex(index=list(FILTER_PAIRS), columns=classes, fill_value=0.0)
    width = 0.84 / max(len(classes), 1)
    for place, name in enumerate(classes):
        offset = (place - (len(classes) - 1) / 2) * width
        ax.bar(np.arange(len(shares)) + offset, shares[name], 0.94 * width, color=class_colour(name), label=name)
    ax.set_xticks(range(len(shares)), [*FILTER_PAIRS[:-1], "other\n(i band)"])
    ax.set(xlabel="filters of the first and second alert", ylabel="share of the class's pairs")
    ax.legend(title="class", loc="upper left", bbox_to_anchor=(1, 1))
    return ax


def plot_gallery(stamps: Mapping[str, NDArray[np.float32]], figure: Figure) -> Figure:
    """Stamps of a few objects a class: science, template and difference below each other (figure 3.7).

    Parameters
    ----------
    stamps : mapping of ndarray, shape (k, 63, 63, 3)
        By class, in DN; a pixel without value is drawn light blue.
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


def plot_realism(comparison: pd.DataFrame, auc: pd.DataFrame, ax: Axes) -> Axes:
    """Distance between simulated and real first alerts, per class and feature (not in the thesis).

    Parameters
    ----------
    comparison, auc : DataFrame
        Of `compare_metadata` and `realism_auc` in `twostamp.analysis.exploratory_analysis`.
    ax : Axes
    """
    distances = comparison.pivot_table(index="classALeRCE", columns="feature", values="ks", dropna=False)
    distances = distances.loc[order_classes(comparison["classALeRCE"]), comparison["feature"].unique()]
    image = ax.imshow(distances, cmap=SEQUENTIAL, vmin=0, vmax=1, aspect="auto")
    n_real, scores = comparison.groupby("classALeRCE")["n_real"].first(), auc.set_index("classALeRCE")["auc_mean"]
    labels = [
        f"{name} ({n_real[name]:.0f} real)" + (f"\nAUC {scores[name]:.2f}" if name in scores else "")
        for name in distances.index
    ]
    ax.set_yticks(range(len(labels)), labels)
    ax.set_xticks(range(distances.shape[1]), distances.columns, rotation=60, ha="right", rotation_mode="anchor")
    colour_bar = ax.figure.colorbar(image, ax=ax, pad=0.02)
    colour_bar.set_label("Kolmogorov-Smirnov distance")
    return ax


def _show(image: NDArray[np.float32], ax: Axes) -> None:
    finite = image[np.isfinite(image)]
    low, high = np.quantile(finite, [0.02, 0.995]) if finite.size else (0.0, 1.0)
    ax.set_facecolor(_MISSING)
    ax.imshow(np.ma.masked_invalid(image), origin="lower", cmap="gray", vmin=low, vmax=max(high, low + 1e-6))


def _grouped(count: float) -> str:
    """12 345, with a thin space."""
    return f"{int(count):,}".replace(",", "\u2009")


_POINTS: dict[str, Any] = {"textcoords": "offset points", "fontsize": 7}

PARTS: dict[str, tuple[str, ...]] = {
    "C.1": ("sgscore1", "distpsnr1", "sgscore2", "distpsnr2", "sgscore3", "distpsnr3"),
    "C.2": ("isdiffpos", "fwhm", "elong", "magpsf", "sigmapsf", "diffmaglim"),
    "C.3": ("classtar", "chinr", "sharpnr", "ndethist", "ncovhist", "non_detections"),
    "C.4": ("ra", "dec", "ecl_long", "ecl_lat", "gal_long", "gal_lat"),
}
"""Which metadata share a figure; together the 24 of `twostamp.analysis.exploratory_analysis.EXPLORED`."""

UNITS = {
    **dict.fromkeys(("ra", "dec", "ecl_long", "ecl_lat", "gal_long", "gal_lat"), "deg"),
    **dict.fromkeys(("distpsnr1", "distpsnr2", "distpsnr3"), "arcsec"),
    **dict.fromkeys(("magpsf", "sigmapsf", "diffmaglim"), "mag"),
    "fwhm": "pixel",
}
LOGARITHMIC = ("ndethist", "ncovhist", "non_detections")
BINS = 20


def plot_joint_metadata(
    metadata: Mapping[int, pd.DataFrame], classes: pd.Series, names: Sequence[str], figure: Figure
) -> Figure:
    """Grid of joint plots, two rows of three, one metadatum each.

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
    inner = cell.subgridspec(2, 2, width_ratios=(4, 1), height_ratios=(1, 4), wspace=0.03, hspace=0.03)
    joint = figure.add_subplot(inner[1, 0])
    top, right = figure.add_subplot(inner[0, 0], sharex=joint), figure.add_subplot(inner[1, 1], sharey=joint)
    x, y = first.to_numpy(float), second.to_numpy(float)
    if name == "isdiffpos":  # 0 or 1: the points would hide each other
        joint.set(xticks=[0, 1], yticks=[0, 1])
        x, y = (values + np.random.default_rng(alert).uniform(-0.2, 0.2, len(x)) for alert, values in ((1, x), (2, y)))
    edges = _edges(np.concatenate([x, y]), name in LOGARITHMIC)
    for axis in ("x", "y"):
        getattr(joint, f"set_{axis}scale")("log" if name in LOGARITHMIC else "linear")
        getattr(joint, f"set_{axis}lim")(edges[0], edges[-1])
        getattr(joint, f"{axis}axis").set_minor_locator(NullLocator())
    _scatter(_inside(x, edges), _inside(y, edges), classes, joint)
    for ax, values, orientation in ((top, x, "vertical"), (right, y, "horizontal")):
        _plot_margin(_inside(values, edges), classes, edges, ax, orientation)
    unit = f", {UNITS[name]}" if name in UNITS else ""
    top.set_title(f"{name}{unit}", fontsize=9)
    joint.set_xlabel("first alert", fontsize=7, labelpad=1)
    joint.set_ylabel("second alert", fontsize=7, labelpad=1)
    joint.tick_params(labelsize=6.5)


def _edges(values: NDArray[Any], logarithmic: bool) -> NDArray[np.float64]:
    """Bins over all but the most extreme 1 % of the values: one outlier would squeeze the rest into a line."""
    finite = values[np.isfinite(values) & ((values > 0) | (not logarithmic))]
    low, high = np.quantile(finite, [0.005, 0.995]) if finite.size else (0.0, 1.0)
    if logarithmic:
        return np.geomspace(max(low, 1e-3) / 1.1, max(high, 1e-2) * 1.1, BINS + 1)
    margin = 0.04 * (high - low) or 0.5
    return np.linspace(low - margin, high + margin, BINS + 1)


def _inside(values: NDArray[Any], edges: NDArray[np.float64]) -> NDArray[Any]:
    """What lies beyond the axes is drawn at their border."""
    return np.clip(values, edges[0], edges[-1])


def _scatter(x: NDArray[Any], y: NDArray[Any], classes: pd.Series, ax: Axes) -> None:
    colours = classes.map(class_colour)
    ax.scatter(x, y, c=colours, s=3, alpha=0.5, linewidths=0, rasterized=True)
    ax.plot(ax.get_xlim(), ax.get_ylim(), color="black", linewidth=0.5, alpha=0.5, zorder=0)


def _plot_margin(values: NDArray[Any], classes: pd.Series, edges: NDArray[Any], ax: Axes, orientation: Any) -> None:
    for name in order_classes(classes):
        of_class = values[(classes == name).to_numpy()]
        of_class = of_class[np.isfinite(of_class)]
        if of_class.size:
            share = np.histogram(of_class, edges)[0] / of_class.size
            ax.stairs(share, edges, orientation=orientation, baseline=None, color=class_colour(name), linewidth=0.9)
    ax.axis("off")
