"""Sky maps of the objects without a label, by predicted class (thesis figure 6.6)."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure

from twostamp.plots.style import SEQUENTIAL
from twostamp.sky import ecliptic_line, sample_density

UNSEEN, ECLIPTIC = "#EEEEEE", "#E69F00"


def plot_sky_map(density: npt.NDArray[np.float64], ax: Axes, title: str) -> Axes:
    """A density on the Galactic sky, Mollweide projection, longitude growing to the left, ecliptic drawn.

    Parameters
    ----------
    density : ndarray, shape (rows, columns)
        Objects per square degree, of `twostamp.sky.sample_density`; cells without objects stay grey.
    ax : Axes
        With ``projection="mollweide"``.
    title : str
    """
    rows, columns = density.shape
    longitude, latitude = np.linspace(np.pi, -np.pi, columns + 1), np.linspace(-np.pi / 2, np.pi / 2, rows + 1)
    seen = np.ma.masked_equal(density, 0)
    ax.set_facecolor(UNSEEN)
    if seen.count():
        low, high = float(seen.min()), float(seen.max())
        norm = LogNorm(low, high) if high > 20 * low else Normalize(0, high)
        mesh = ax.pcolormesh(longitude, latitude, seen, cmap=SEQUENTIAL, norm=norm, shading="flat", rasterized=True)
        bar = ax.figure.colorbar(mesh, ax=ax, orientation="horizontal", shrink=0.7, pad=0.06, aspect=30)
        bar.set_label("Objects per square degree")
    line_longitude, line_latitude = (np.radians(values) for values in ecliptic_line())
    order = np.argsort(line_longitude)
    ax.plot(-line_longitude[order], line_latitude[order], color="white", lw=2.4)
    ax.plot(-line_longitude[order], line_latitude[order], color=ECLIPTIC, lw=1.3, label="Ecliptic")
    ax.set_xticks(np.radians([-120, -60, 60, 120]), ["120°", "60°", "300°", "240°"], fontsize=6)
    ax.set_yticks(np.radians([-60, -30, 0, 30, 60]), ["−60°", "−30°", "0°", "30°", "60°"], fontsize=6)
    ax.grid(color="0.6", lw=0.3)
    ax.set_title(title)
    return ax


def plot_sky_maps(counts: Mapping[str, npt.NDArray[np.int64]], figure: Figure) -> Figure:
    """One sky map a predicted class, and one of all objects together (figure 6.6).

    Parameters
    ----------
    counts : mapping of str to ndarray
        Of `twostamp.sky.healpix_counts`.
    figure : Figure
    """
    panels = {**counts, "all": sum(counts.values(), start=np.zeros_like(next(iter(counts.values()))))}
    n_rows = -(-len(panels) // 2)
    axes = figure.subplots(n_rows, 2, subplot_kw={"projection": "mollweide"}, squeeze=False).ravel()
    for ax, (name, values) in zip(axes, panels.items(), strict=False):
        title = "All" if name == "all" else f"Predicted {name}"
        plot_sky_map(sample_density(values), ax, f"{title} ({values.sum():,} objects)")
    for ax in axes[len(panels) :]:
        ax.set_axis_off()
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower left", fontsize=8)
    figure.supxlabel("Galactic longitude and latitude", fontsize=9)
    return figure
