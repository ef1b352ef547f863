"""Sky maps of the objects without a label, by predicted class (thesis figure 6.6)."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure

from twostamp.plots.style import INK, SEQUENTIAL, class_colour
from twostamp.utils.coordinates import add_coordinates, ecliptic_line
from twostamp.utils.healpix import sample_density
from twostamp.utils.typing import Floats, Ints

UNSEEN, ECLIPTIC = "#EEEEEE", "#E69F00"
FEW = 2000
"""Objects below which a density would show single ones."""


def plot_sky_maps(predictions: pd.DataFrame, counts: Mapping[str, Ints], figure: Figure) -> Figure:
    """Plot one sky map per predicted class, and one of all objects together (figure 6.6).

    Parameters
    ----------
    predictions : DataFrame
        ra, dec (degrees) and predicted; drawn as points if there are fewer than `FEW`.
    counts : mapping of ndarray
        Of `twostamp.utils.healpix.healpix_counts`, drawn as densities on one scale else.
    figure : Figure
    """
    panels = {**counts, "all": sum(counts.values(), start=np.zeros_like(next(iter(counts.values()))))}
    n_rows = -(-len(panels) // 2)
    axes = figure.subplots(n_rows, 2, subplot_kw={"projection": "mollweide"}, squeeze=False).ravel()
    for ax, (name, values) in zip(axes, panels.items(), strict=False):
        title = "All" if name == "all" else f"Predicted {name}"
        ax.set_title(f"{title} ({values.sum():,} objects)")
    if len(predictions) < FEW:
        _draw_points(add_coordinates(predictions), dict(zip(panels, axes)))
    else:
        _draw_densities([sample_density(values) for values in panels.values()], list(axes))
    for ax in axes[: len(panels)]:
        _draw_frame(ax)
    for ax in axes[len(panels) :]:
        ax.set_axis_off()
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower left", fontsize=8)
    figure.supxlabel(
        "Galactic latitude, and longitude: 0° in the centre, growing to the left, a line every 60°", fontsize=9
    )
    return figure


def _draw_points(located: pd.DataFrame, axes: Mapping[str, Axes]) -> None:
    """Draw each object in the colour of its predicted class."""
    longitude = -np.radians((located["gal_long"] + 180) % 360 - 180)
    for name, ax in axes.items():
        mine = located["predicted"].isin(list(axes)) if name == "all" else located["predicted"] == name
        colours = located.loc[mine, "predicted"].map(class_colour)
        latitude = np.radians(located.loc[mine, "gal_lat"])
        ax.scatter(longitude[mine], latitude, s=5, c=colours, linewidths=0, zorder=3, rasterized=True)


def _draw_densities(densities: Sequence[Floats], axes: Sequence[Axes]) -> None:
    """Draw objects per square degree on one scale; cells without objects stay grey."""
    seen = np.ma.masked_equal(densities, 0)
    low, high = float(seen.min()), float(seen.max())
    norm = LogNorm(low, high) if high > 20 * low else Normalize(0, high)
    for values, ax in zip(seen, axes):
        mesh = _draw_grid(values, ax, norm, SEQUENTIAL)
    bar = axes[0].figure.colorbar(mesh, ax=axes, orientation="horizontal", shrink=0.5, pad=0.04, aspect=40)
    bar.set_label("objects per square degree")


def _draw_frame(ax: Axes) -> None:
    ax.set_facecolor(UNSEEN)
    _draw_ecliptic(ax, colour=INK)
    ax.set_xticks(np.radians([-120, -60, 0, 60, 120]), [""] * 5)
    ax.set_yticks(np.radians([-60, -30, 0, 30, 60]), ["−60°", "−30°", "0°", "30°", "60°"], fontsize=6)
    ax.grid(color="0.6", lw=0.3)


def _draw_grid(values: Any, ax: Axes, norm: Normalize, colours: str) -> QuadMesh:
    rows, columns = values.shape
    longitude, latitude = np.linspace(np.pi, -np.pi, columns + 1), np.linspace(-np.pi / 2, np.pi / 2, rows + 1)
    return ax.pcolormesh(longitude, latitude, values, cmap=colours, norm=norm, shading="flat", rasterized=True)


def _draw_ecliptic(ax: Axes, colour: str = ECLIPTIC) -> None:
    longitude, latitude = (np.radians(values) for values in ecliptic_line())
    order = np.argsort(longitude)
    ax.plot(-longitude[order], latitude[order], color="white", lw=2.1)
    ax.plot(-longitude[order], latitude[order], color=colour, lw=1.0, label="Ecliptic")
