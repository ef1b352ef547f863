"""Figure 6.12 of the extraction: alerts per night."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

DAYS = 366


def plot_bytes_per_night(bytes_per_night: Mapping[str, int], figure: Figure) -> Figure:
    """Plot the size of each night's alerts, one panel per year; a night without alerts stays empty.

    `bytes_per_night` maps UTC nights (YYYY-MM-DD) to bytes; `figure` is empty.

    Examples
    --------
    >>> len(plot_bytes_per_night({"2018-06-01": 10, "2020-01-01": 20}, Figure()).axes)
    3
    """
    sizes = pd.Series(bytes_per_night, dtype=float)
    sizes.index = pd.DatetimeIndex(sizes.index)
    scale, unit = (1e9, "GB") if sizes.max() >= 1e8 else (1e6, "MB")
    years = range(sizes.index.year.min(), sizes.index.year.max() + 1)
    panels = figure.subplots(len(years), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
    for year, ax in zip(years, panels, strict=True):
        _plot_year(sizes[sizes.index.year == year] / scale, year, ax)
    panels[-1].set(xlabel="day of the year (UTC)", xlim=(0, DAYS + 1))
    figure.supylabel(f"alerts of a night [{unit}]", fontsize="medium")
    return figure


def _plot_year(sizes: pd.Series, year: int, ax: Axes) -> None:
    ax.bar(pd.DatetimeIndex(sizes.index).dayofyear, sizes, width=1.0, color="#0072B2")
    ax.text(0.005, 0.95, f"{year}", transform=ax.transAxes, ha="left", va="top", fontweight="bold")
    ax.text(0.995, 0.95, f"nights: {len(sizes)}", transform=ax.transAxes, ha="right", va="top", fontsize="small")
    ax.margins(y=0.3)
