"""Figures C.1 to C.4: every metadatum of the first alert against that of the second (annex C)."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import SubplotSpec
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator
from numpy.typing import NDArray

from twostamp.exploration import order_classes
from twostamp.plots.style import PAGE_WIDTH, class_colour

PARTS: dict[str, tuple[str, ...]] = {
    "C.1": ("sgscore1", "distpsnr1", "sgscore2", "distpsnr2", "sgscore3", "distpsnr3"),
    "C.2": ("isdiffpos", "fwhm", "elong", "magpsf", "sigmapsf", "diffmaglim"),
    "C.3": ("classtar", "chinr", "sharpnr", "ndethist", "ncovhist", "non_detections"),
    "C.4": ("ra", "dec", "ecl_long", "ecl_lat", "gal_long", "gal_lat"),
}
"""Which metadata share a figure; together the 24 of `twostamp.exploration.EXPLORED`."""

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
        Keys 1 and 2, of `twostamp.exploration.explored_metadata`.
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
