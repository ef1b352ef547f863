"""One style for every figure: colours that hold for a class everywhere, sizes of a page, rows with intervals."""

import zlib
from collections.abc import Iterable
from itertools import repeat
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from twostamp.thesis import MODELS

CLASS_COLOURS: dict[str, str] = {
    "AGN": "#0072B2",
    "SN": "#D55E00",
    "VS": "#009E73",
    "asteroid": "#E69F00",
    "bogus": "#595959",
    "YSO": "#CC79A7",
}
"""Okabe and Ito's colour-blind safe palette, with a dark grey for bogus."""

ARCHITECTURE_COLOURS: dict[str, str] = {"stamp": "#56B4E9", "stacked": "#882255", "separated": "#DDAA33"}
MODEL_COLOURS = {model: ARCHITECTURE_COLOURS[variant.partition("_")[0]] for model, variant in MODELS.items()}
MODEL_LABELS = {"M0": "M0 one stamp", "M1": "M1 stacked", "M2": "M2 separated"}
FILTER_COLOURS: dict[str, str] = {"g": "#117733", "r": "#CC3311", "i": "#AA4499"}
INK = "#333333"
"""Lines of reference, and what belongs to no class or model."""

SEQUENTIAL = "viridis"
PAGE_WIDTH = 7.0
"""Width of a full-page figure, inches."""

_MORE = ("#332288", "#88CCEE", "#44AA99", "#999933", "#DDCC77", "#CC6677", "#882255", "#AA4499", "#117733", "#6699CC")


def class_colour(name: str) -> str:
    """Colour of a class; a promoted subclass keeps one colour everywhere too.

    Examples
    --------
    >>> class_colour("SN")
    '#D55E00'
    """
    return CLASS_COLOURS.get(name) or _MORE[zlib.crc32(name.encode()) % len(_MORE)]


def group_digits(count: float) -> str:
    """Write a count with a thin space between thousands.

    Examples
    --------
    >>> group_digits(12345).replace("\u2009", " ")
    '12 345'
    """
    return f"{int(count):,}".replace(",", "\u2009")


def make_panels(columns: int, height: float, rows: int = 1, **options: Any) -> tuple[Figure, NDArray[Any]]:
    """Make a page-wide figure of `height` inches and its axes, an array of shape (rows, columns)."""
    return plt.subplots(rows, columns, squeeze=False, figsize=(PAGE_WIDTH, height), **options)


def draw_legend(figure: Figure, ax: Axes, columns: int | None = None) -> None:
    """Put the legend of `ax` above the whole figure, in one row unless `columns` is given."""
    handles, labels = ax.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=columns or len(labels))


def draw_intervals(
    ax: Axes,
    rows: pd.DataFrame,
    value: str,
    colours: Iterable[str],
    *,
    low: str = "low",
    high: str = "high",
    scale: float = 1.0,
    size: float = 16.0,
    hollow: Iterable[bool] = repeat(False),
    linewidth: float | None = None,
) -> None:
    """Draw a table from top to bottom: a bar from `low` to `high` and a dot at `value` in each row.

    Parameters
    ----------
    rows : DataFrame
        Drawn at n - 1 to 0 of the vertical axis.
    value, low, high : str
        Columns of `rows`, multiplied by `scale`.
    colours : iterable of str
        One a row.
    size : float
        Area of a dot, square points.
    hollow : iterable of bool
        Whether a row's dot is not filled.
    """
    ends = scale * rows[[value, low, high]].to_numpy(float)
    places = np.arange(len(rows))[::-1]
    for place, colour, empty, (middle, start, end) in zip(places, colours, hollow, ends):
        ax.hlines(place, start, end, color=colour, linewidth=linewidth)
        ax.scatter(middle, place, s=size, color="white" if empty else colour, edgecolor=colour, zorder=3)


def label_rows(ax: Axes, labels: Iterable[str], margin: float = 0.6, **style: Any) -> None:
    """Name the rows of `draw_intervals` (or bars) and leave `margin` of a row above and below them."""
    names = list(labels)
    ax.set_yticks(range(len(names))[::-1], names, **style)
    ax.set_ylim(-margin, len(names) - 1 + margin)


def use_style() -> None:
    """Set matplotlib's defaults for the figures of this package, whatever the user's matplotlibrc says."""
    mpl.rcdefaults()
    mpl.rcParams.update(
        {
            "figure.dpi": 100,
            "savefig.dpi": 160,
            "savefig.bbox": "tight",
            "figure.constrained_layout.use": True,
            "font.size": 9,
            "axes.titlesize": 10,
            "axes.labelsize": 9,
            "legend.fontsize": 8,
            "xtick.labelsize": 8,
            "ytick.labelsize": 8,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "legend.frameon": False,
            "image.cmap": "gray",
            "image.interpolation": "nearest",
            "svg.hashsalt": "twostamp",
            "pdf.fonttype": 42,
        }
    )
