"""The figure of chapter 6 that the extraction makes: how many alerts a night brings (figure 6.12)."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

DAYS = 366


def plot_bytes_per_night(bytes_per_night: dict[str, int], figure: Figure) -> Figure:
    """Plot the size of each night's alerts, one panel a year; a night without alerts stays empty (figure 6.12).

    Parameters
    ----------
    bytes_per_night : dict
        UTC night (YYYY-MM-DD) -> bytes.
    figure : Figure
        Empty; gets one panel for each year from the first to the last.

    Returns
    -------
    Figure

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
    for year, axes in zip(years, panels, strict=True):
        _plot_year(sizes[sizes.index.year == year] / scale, year, axes)
    panels[-1].set_xlabel("day of the year (UTC)")
    panels[-1].set_xlim(0, DAYS + 1)
    figure.supylabel(f"alerts of a night [{unit}]", fontsize="medium")
    return figure


def _plot_year(sizes: pd.Series, year: int, axes: Axes) -> Axes:
    axes.bar(pd.DatetimeIndex(sizes.index).dayofyear, sizes, width=1.0, color="#0072B2")
    axes.text(0.005, 0.95, f"{year}", transform=axes.transAxes, ha="left", va="top", fontweight="bold")
    axes.text(0.995, 0.95, f"nights: {len(sizes)}", transform=axes.transAxes, ha="right", va="top", fontsize="small")
    axes.margins(y=0.3)
    return axes
