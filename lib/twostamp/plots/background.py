"""Figures of chapters 1 and 2 and of annex A from data or computations."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from twostamp.analysis.background import max_pool, slide_kernel
from twostamp.plots.style import CLASS_COLOURS, FILTER_COLOURS
from twostamp.taxonomy import CLASSES, SUBCLASSES
from twostamp.utils.typing import Floats, Floats32

FILTERS = {1: ("g", "o"), 2: ("r", "s"), 3: ("i", "D")}
"""Name and marker by fid."""
TITLES = ("Science", "Reference", "Difference")


def plot_yearly_counts(counts: pd.Series, ax: Axes) -> Axes:
    """Plot bars of supernovae by year, index the years (figure 1.1)."""
    bars = ax.bar(counts.index.astype(str), counts, color=CLASS_COLOURS["SN"], width=0.75)
    ax.bar_label(bars, fontsize=7, padding=2)
    ax.set(xlabel="Year of discovery", ylabel="Confirmed supernovae")
    ax.margins(y=0.1)
    return ax


def plot_type_counts(counts: pd.Series, ax: Axes) -> Axes:
    """Plot horizontal bars of supernovae by type on a logarithmic axis, largest on top (figure 1.2)."""
    ordered = counts.iloc[::-1]
    bars = ax.barh(ordered.index, ordered, color=CLASS_COLOURS["SN"], height=0.7)
    ax.bar_label(bars, fontsize=7, padding=3)
    ax.set(xlabel="Supernovae reported by ALeRCE and confirmed", ylabel="Type", xscale="log")
    ax.set_xlim(0.5, 2 * max([1, *counts]))
    return ax


def plot_light_curve(curve: pd.DataFrame, ax: Axes, title: str = "") -> Axes:
    """Plot detections with error bars and upper limits of one object, by filter (figure 2.2).

    `curve` is of `twostamp.analysis.background.make_light_curve`.
    """
    for fid, (name, marker) in FILTERS.items():
        rows, colour = curve[curve["fid"] == fid], FILTER_COLOURS[name]
        found, limits = rows[rows["magpsf"].notna()], rows[rows["magpsf"].isna() & (rows["diffmaglim"] > 0)]
        if len(found):
            values = (found["mjd"], found["magpsf"], found["sigmapsf"])
            ax.errorbar(*values, fmt=marker, ms=4, lw=1, color=colour, label=name)
        if len(limits):
            ax.plot(limits["mjd"], limits["diffmaglim"], "v", ms=4, mfc="none", color=colour, label=f"{name}, limit")
    ax.invert_yaxis()
    ax.set(xlabel="Modified Julian Date (days)", ylabel="Magnitude of the difference", title=title)
    ax.ticklabel_format(axis="x", useOffset=False, style="plain")
    ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), title="Filter")
    return ax


def plot_triplet(stamps: Floats32, figure: Figure, title: str = "") -> Figure:
    """Plot science, reference and difference stamps, shape (3, 63, 63), each with its own scale in DN (figure 2.11)."""
    for ax, stamp, name in zip(figure.subplots(1, 3), stamps, TITLES, strict=True):
        image = ax.imshow(stamp, origin="lower", vmin=np.quantile(stamp, 0.01), vmax=np.quantile(stamp, 0.995))
        ax.set(title=name, xlabel="Column (pixels)", xticks=[0, 31, 62], yticks=[0, 31, 62])
        figure.colorbar(image, ax=ax, orientation="horizontal", shrink=0.8, label="DN", ticks=MaxNLocator(4))
    figure.axes[0].set_ylabel("Row (pixels)")
    if title:
        figure.suptitle(title)
    return figure


def plot_convolution(image: Floats, kernel: Floats, figure: Figure) -> Figure:
    """Plot an image, a kernel of two values and the resulting feature map (figures 2.17, 2.18)."""
    axes = figure.subplots(1, 3, width_ratios=[1, 0.45, 1])
    low, high = np.quantile(image, (0.01, 0.995))
    for ax, array, name, (bottom, top), ticks in zip(
        axes,
        (image, kernel, slide_kernel(image, kernel)),
        ("Image $I$", "Kernel $K$", "Feature map $I * K$"),
        ((low, high), (-1, 1), (None, None)),
        (4, 2, 4),
    ):
        drawn = ax.imshow(array, origin="lower", vmin=bottom, vmax=top)
        ax.set(title=f"{name}\n{len(array)} × {len(array[0])}", xticks=[], yticks=[])
        ax.spines[:].set_visible(True)
        figure.colorbar(drawn, ax=ax, orientation="horizontal", shrink=0.85, pad=0.03, ticks=MaxNLocator(ticks))
    return figure


def _draw_matrix(matrix: Floats, ax: Axes, title: str, colours: Mapping[tuple[int, int], str]) -> None:
    """Draw the numbers of a small matrix in their cells, some of them coloured."""
    rows, columns = matrix.shape
    for (row, column), value in np.ndenumerate(matrix):
        colour = colours.get((row, column), "white")
        ax.add_patch(Rectangle((column, row), 1, 1, facecolor=colour, edgecolor="0.35", lw=0.8))
        ax.text(column + 0.5, row + 0.5, f"{value:g}".replace("-", "−"), ha="center", va="center")
    ax.set(xlim=(-0.05, columns + 0.05), ylim=(rows + 0.05, -0.05), aspect="equal", title=title)
    ax.axis("off")


def plot_matrix_convolution(image: Floats, kernel: Floats, figure: Figure, at: tuple[int, int]) -> Figure:
    """Plot the convolution of a small matrix, with the window of output cell `at` (row, column) marked (fig. 2.15)."""
    result, size = slide_kernel(image, kernel), len(kernel)
    left, middle, right = figure.subplots(1, 3, width_ratios=[len(image), size, len(result)])
    window = {(at[0] + i, at[1] + j): "#BBDDF0" for i in range(size) for j in range(size)}
    _draw_matrix(image, left, "Input $I$", window)
    _draw_matrix(kernel, middle, "Kernel $K$", dict.fromkeys(np.ndindex(kernel.shape), "#F6DDA8"))
    _draw_matrix(result, right, "Feature map $I * K$", {at: "#B7E0D2"})
    for ax, sign in ((middle, "∗"), (right, "=")):
        ax.annotate(sign, (-0.02, 0.5), xycoords="axes fraction", ha="right", va="center", fontsize=14)
    return figure


def plot_max_pool(matrix: Floats, figure: Figure) -> Figure:
    """Plot max pooling of a small matrix, each block and its maximum in one colour (figure 2.19)."""
    colours = ["#BBDDF0", "#F6DDA8", "#B7E0D2", "#EBCBDD"]
    pooled = max_pool(matrix, 2)
    of_block = {cell: colours[i % 4] for i, cell in enumerate(np.ndindex(pooled.shape))}
    left, right = figure.subplots(1, 2, width_ratios=[len(matrix), len(pooled)])
    _draw_matrix(matrix, left, "Input", {c: of_block[c[0] // 2, c[1] // 2] for c in np.ndindex(matrix.shape)})
    _draw_matrix(pooled, right, "Max pooling 2 × 2, stride 2", of_block)
    left.annotate("→", (1.12, 0.5), xycoords="axes fraction", ha="center", va="center", fontsize=16)
    return figure


def plot_taxonomy(ax: Axes) -> Axes:
    """Plot ALeRCE's taxonomy as a tree, subclasses in the colour of their class (figure A.1)."""
    top, tops = 0.0, []
    for level1 in ("Transient", "Stochastic", "Periodic", ""):
        leaves = [sub for sub in SUBCLASSES if sub.level1 == level1 and sub.class_name != "bogus"]
        ys = [top - row for row in range(len(leaves))]
        tops.append(float(np.mean(ys)))
        for leaf, y in zip(sorted(leaves, key=lambda sub: sub.class_name), ys, strict=True):
            _node(ax, (1.75, tops[-1]), (3.0, y), leaf.name, CLASS_COLOURS.get(leaf.class_name, "black"))
        top = ys[-1] - 1.6
    real = float(np.mean(tops))
    for y, kind in zip(tops, ("Transient", "Stochastic", "Periodic", "Solar System"), strict=True):
        _node(ax, (0.85, real), (1.75, y), kind)
    for y, kind, colour in ((real, "Real", "black"), (top, "Bogus", CLASS_COLOURS["bogus"])):
        _node(ax, (0.0, (real + top) / 2), (0.85, y), kind, colour)
    _node(ax, None, (0.0, (real + top) / 2), "Alert")
    names = [*CLASSES, "none"]
    handles = [ax.plot([], [], "s", color=CLASS_COLOURS.get(name, "black"), mfc="none", mew=1.8)[0] for name in names]
    ax.legend(handles, names, title="Class of the stamp classifier", loc="upper left")
    ax.set(xlim=(-0.1, 3.9), ylim=(top - 0.8, 1))
    ax.axis("off")
    return ax


def _node(
    ax: Axes, parent: tuple[float, float] | None, at: tuple[float, float], text: str, colour: str = "black"
) -> None:
    if parent:
        middle = at[0] - 0.25
        ax.plot([parent[0] + 0.1, middle, middle, at[0]], [parent[1], parent[1], at[1], at[1]], "0.6", lw=0.8, zorder=0)
    box = {"boxstyle": "round,pad=0.25", "facecolor": "white", "edgecolor": colour, "lw": 1.6}
    ax.text(*at, text, va="center", ha="left", fontsize=8, bbox=box)
