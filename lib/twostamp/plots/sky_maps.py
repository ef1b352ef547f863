"""Sky maps of the objects without a label, by predicted class (thesis figure 6.6)."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure

from twostamp.plots.style import SEQUENTIAL
from twostamp.utils.coordinates import ecliptic_line
from twostamp.utils.healpix import sample_density, sample_sky
from twostamp.utils.typing import Floats, Ints

UNSEEN, ECLIPTIC = "#EEEEEE", "#E69F00"


def plot_sky_maps(counts: Mapping[str, Ints], figure: Figure) -> Figure:
    """One sky map a predicted class, and one of all objects together (figure 6.6).

    `counts` is of `twostamp.utils.healpix.healpix_counts`.
    """
    panels = {**counts, "all": sum(counts.values(), start=np.zeros_like(next(iter(counts.values()))))}
    n_rows = -(-len(panels) // 2)
    axes = figure.subplots(n_rows, 2, subplot_kw={"projection": "mollweide"}, squeeze=False).ravel()
    for ax, (name, values) in zip(axes, panels.items(), strict=False):
        title = "All" if name == "all" else f"Predicted {name}"
        _draw_density(sample_density(values), ax, f"{title} ({values.sum():,} objects)")
    for ax in axes[len(panels) :]:
        ax.set_axis_off()
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower left", fontsize=8)
    figure.supxlabel("Galactic longitude and latitude", fontsize=9)
    return figure


def _draw_density(density: Floats, ax: Axes, title: str) -> None:
    """Draw objects per square degree with a scale and degrees; cells without objects stay grey."""
    seen = np.ma.masked_equal(density, 0)
    ax.set_facecolor(UNSEEN)
    if seen.count():
        low, high = float(seen.min()), float(seen.max())
        norm = LogNorm(low, high) if high > 20 * low else Normalize(0, high)
        mesh = _draw_grid(seen, ax, norm, SEQUENTIAL)
        bar = ax.figure.colorbar(mesh, ax=ax, orientation="horizontal", shrink=0.7, pad=0.06, aspect=30)
        bar.set_label("Objects per square degree")
    _draw_ecliptic(ax)
    ax.set_xticks(np.radians([-120, -60, 60, 120]), ["120°", "60°", "300°", "240°"], fontsize=6)
    ax.set_yticks(np.radians([-60, -30, 0, 30, 60]), ["−60°", "−30°", "0°", "30°", "60°"], fontsize=6)
    ax.grid(color="0.6", lw=0.3)
    ax.set_title(title)


def draw_sky(values: Floats, ax: Axes, norm: Normalize, colours: str) -> QuadMesh:
    """A HEALPix map of any quantity on the Galactic sky, longitude growing to the left, with the ecliptic.

    Parameters
    ----------
    values : ndarray, shape (12 nside^2,)
        RING order; NaN stays grey.
    ax : Axes
        With ``projection="mollweide"``.
    norm : Normalize
    colours : str
        Name of a colour map.
    """
    ax.set_facecolor(UNSEEN)
    mesh = _draw_grid(np.ma.masked_invalid(sample_sky(values)), ax, norm, colours)
    _draw_ecliptic(ax, width=0.8)
    ax.set_xticks([])
    ax.set_yticks([0], [""])
    ax.grid(color="0.6", lw=0.3)
    return mesh


def _draw_grid(values: Any, ax: Axes, norm: Normalize, colours: str) -> QuadMesh:
    rows, columns = values.shape
    longitude, latitude = np.linspace(np.pi, -np.pi, columns + 1), np.linspace(-np.pi / 2, np.pi / 2, rows + 1)
    return ax.pcolormesh(longitude, latitude, values, cmap=colours, norm=norm, shading="flat", rasterized=True)


def _draw_ecliptic(ax: Axes, width: float = 1.3) -> None:
    longitude, latitude = (np.radians(values) for values in ecliptic_line())
    order = np.argsort(longitude)
    ax.plot(-longitude[order], latitude[order], color="white", lw=width + 1.1)
    ax.plot(-longitude[order], latitude[order], color=ECLIPTIC, lw=width, label="Ecliptic")
