"""One style for every figure: colours that hold for a class everywhere, and sizes of a printed page."""

import zlib

import matplotlib as mpl

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
FILTER_COLOURS: dict[str, str] = {"g": "#117733", "r": "#CC3311", "i": "#AA4499"}
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


def use_style() -> None:
    """Set matplotlib's defaults for the figures of this package."""
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
