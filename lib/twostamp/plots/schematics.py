"""Schematic figures of chapter 2: magnitudes, how a survey works, neurons and networks."""

import itertools

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyBboxPatch, Rectangle

from twostamp.analysis.background import apparent_magnitude
from twostamp.plots.style import INK
from twostamp.utils.typing import Floats

INPUT, HIDDEN, OUTPUT = "#BBDDF0", "#F6DDA8", "#B7E0D2"


def _arrow(ax: Axes, start: tuple[float, float], end: tuple[float, float], **style: object) -> None:
    ax.annotate("", end, start, arrowprops={"arrowstyle": "-|>", "color": INK, "lw": 1.0, **style})


def _disc(ax: Axes, x: float, y: float, text: str, colour: str, radius: float = 0.26) -> None:
    ax.add_patch(Circle((x, y), radius, facecolor=colour, edgecolor=INK, lw=1.0, zorder=3))
    ax.text(x, y, text, ha="center", va="center", zorder=4)


def _box(ax: Axes, x: float, y: float, width: float, height: float, text: str, colour: str = "white") -> None:
    shape = FancyBboxPatch((x, y), width, height, boxstyle="round,pad=0.02", facecolor=colour, edgecolor=INK, lw=1.0)
    ax.add_patch(shape)
    ax.text(x + width / 2, y + height / 2, text, ha="center", va="center", fontsize=8)


def _bare(ax: Axes, x: tuple[float, float], y: tuple[float, float], equal: bool = True) -> Axes:
    ax.set(xlim=x, ylim=y, aspect="equal" if equal else "auto")
    ax.axis("off")
    return ax


def plot_magnitudes(ax: Axes) -> Axes:
    """Draw a luminous far star A and a faint near star B that appear alike from Earth (figure 2.1)."""
    for name, absolute, parsecs, y, size in (("A", -0.2, 100.0, 1.0, 0.34), ("B", 4.8, 10.0, 0.0, 0.15)):
        x = 1.5 + 4.2 * np.log10(parsecs) / 2
        ax.plot([0.35, x], [0.5, y], color="#E0B84C", lw=1.2, zorder=0)
        ax.add_patch(Circle((x, y), size, facecolor="#F5C84C", edgecolor="#B8860B"))
        ax.text(x, y, name, ha="center", va="center", weight="bold", fontsize=8)
        apparent = apparent_magnitude(absolute, parsecs)
        label = f"distance {parsecs:g} pc\nabsolute magnitude {absolute:g}\napparent magnitude {apparent:g}"
        ax.text(x + 0.5, y, label.replace("-", "−"), va="center", fontsize=8)
    ax.add_patch(Circle((0.15, 0.5), 0.2, facecolor="#5DA5D9", edgecolor=INK))
    ax.text(0.15, 0.16, "Earth", ha="center", va="top")
    return _bare(ax, (-0.2, 8.3), (-0.4, 1.45))


def _field(positions: Floats, fluxes: Floats, seed: int) -> Floats:
    grid = np.arange(60)
    rows = np.exp(-0.5 * ((grid[:, None] - positions[:, 1]) / 1.6) ** 2)
    columns = np.exp(-0.5 * ((grid[:, None] - positions[:, 0]) / 1.6) ** 2)
    return np.einsum("yi,xi,i->yx", rows, columns, fluxes) + np.random.default_rng(seed).normal(0, 0.05, (60, 60))


def plot_survey(figure: Figure, seed: int = 5) -> Figure:
    """Draw the four steps from an exposure to an alert, on a made-up field of stars (figure 2.3)."""
    rng = np.random.default_rng(seed)
    positions, fluxes = rng.uniform(4, 56, (22, 2)), rng.uniform(0.3, 2.0, 22)
    new = np.array([[41.0, 34.0]])
    reference = _field(positions, fluxes, seed + 1)
    science = _field(np.vstack([positions, new]), np.append(fluxes, 1.5), seed + 2)
    steps = (
        ("1  New image (science)", science),
        ("2  Reference image", reference),
        ("3  Difference", science - reference),
        ("4  Alert", None),
    )
    axes = figure.subplots(1, 4)
    for ax, (title, image) in zip(axes, steps, strict=True):
        ax.set_title(title, fontsize=9)
        ax.set(xticks=[], yticks=[])
        if image is not None:
            ax.imshow(image, vmin=-0.2, vmax=1.5, origin="lower")
            ax.add_patch(Rectangle((32, 25), 18, 18, fill=False, edgecolor="#E69F00", lw=1.5))
    _draw_packet(axes[3], [science, reference, science - reference])
    for right, sign in zip(axes[1:], ("−", "=", "→"), strict=True):
        right.annotate(sign, (-0.08, 0.5), xycoords="axes fraction", ha="center", va="center", fontsize=14)
    return figure


def _draw_packet(ax: Axes, images: list[Floats]) -> None:
    _bare(ax, (0, 60), (0, 60))
    ax.add_patch(Rectangle((1, 1), 58, 58, facecolor="#F7F7F7", edgecolor=INK, lw=1.2))
    for i, image in enumerate(images):
        place = (4 + 18 * i, 20 + 18 * i, 39, 55)
        ax.imshow(image[25:43, 32:50], extent=place, vmin=-0.2, vmax=1.5, origin="lower", zorder=2)
    text = "objectId, candid\njd, ra, dec, fid\nmagpsf, sigmapsf\nprevious candidates"
    ax.text(30, 19, text, ha="center", va="center", fontsize=7.5, linespacing=1.5)
    ax.set(xlim=(0, 60), ylim=(0, 60))


def plot_perceptron(ax: Axes) -> Axes:
    """Draw a perceptron: weighted inputs, a bias, a sum and an activation (figure 2.12)."""
    for i, (y, name) in enumerate(((3.0, "1"), (2.1, "2"), (0.6, "n"))):
        _disc(ax, 0, y, f"$x_{name}$", INPUT)
        start = np.array([0.26, y])
        _arrow(ax, tuple(start), (2.72, 1.8 + 0.09 * (1 - i)))
        ax.text(1.25, y + (1.8 - y) * 0.4 + 0.22, f"$w_{name}$", ha="center")
    ax.text(0, 1.4, "⋮", ha="center", va="center", fontsize=14)
    _disc(ax, 3.0, 3.35, "1", "white")
    _arrow(ax, (3.0, 3.09), (3.0, 2.1))
    ax.text(3.12, 2.6, "$w_0$ (bias)", va="center")
    _disc(ax, 3.0, 1.8, r"$\Sigma$", HIDDEN, 0.29)
    _arrow(ax, (3.29, 1.8), (4.35, 1.8))
    _box(ax, 4.38, 1.5, 0.6, 0.6, "$f$", HIDDEN)
    _arrow(ax, (5.0, 1.8), (6.04, 1.8))
    _disc(ax, 6.3, 1.8, "$y$", OUTPUT)
    ax.text(3.0, 1.2, "sum", ha="center", color=INK, fontsize=8)
    ax.text(4.68, 1.2, "activation", ha="center", color=INK, fontsize=8)
    ax.text(4.3, 0.45, r"$y = f\left(w_0 + \sum_i w_i x_i\right)$", ha="center", fontsize=10)
    return _bare(ax, (-0.4, 6.7), (-0.2, 3.75))


def plot_mlp(layers: list[list[str]], ax: Axes, title: str, names: list[str]) -> Axes:
    """Draw a fully connected network (figure 2.13).

    `layers` holds the text of each neuron, layer by layer (an ellipsis draws none); `names` are written below them.
    """
    colours = [INPUT, *[HIDDEN] * (len(layers) - 2), OUTPUT]
    placed = []
    for column, neurons in enumerate(layers):
        ys = (np.arange(len(neurons))[::-1] - (len(neurons) - 1) / 2) * 0.75
        placed.append([(1.5 * column, y) for y, text in zip(ys, neurons, strict=True) if text != "⋮"])
        for y, text in zip(ys, neurons, strict=True):
            if text == "⋮":
                ax.text(1.5 * column, y, text, ha="center", va="center", fontsize=12)
            else:
                _disc(ax, 1.5 * column, y, text, colours[column])
        ax.text(1.5 * column, -1.95, names[column], ha="center", va="top", fontsize=8)
    for left, right in itertools.pairwise(placed):
        for x0, y0 in left:
            for x1, y1 in right:
                ax.plot([x0, x1], [y0, y1], color="0.65", lw=0.6, zorder=0)
    ax.set_title(title)
    return _bare(ax, (-0.5, 1.5 * (len(layers) - 1) + 0.5), (-2.5, 1.9))


def _stack(ax: Axes, x: float, images: list[Floats], side: float, text: str) -> float:
    for i, image in reversed(list(enumerate(images))):
        shift = 0.14 * i
        extent = (x + shift, x + shift + side, -side / 2 + shift, side / 2 + shift)
        ax.imshow(image, extent=extent, origin="lower", zorder=5 - i)
        ax.add_patch(Rectangle((extent[0], extent[2]), side, side, fill=False, edgecolor="0.5", lw=0.8, zorder=5 - i))
    ax.text(x + side / 2, -1.25, text, ha="center", va="top", fontsize=8)
    return x + side + 0.14 * (len(images) - 1)


def plot_cnn(stages: list[list[Floats]], ax: Axes) -> Axes:
    """Draw an image passing through a convolution, pooling and dense layers (figure 2.14).

    `stages` holds the image, the feature maps and the pooled maps.
    """
    texts = ("Input image", "Convolution,\nfeature maps", "Pooling")
    x = 0.0
    for images, side, text in zip(stages, (2.0, 1.7, 0.95), texts, strict=True):
        end = _stack(ax, x, images, side, text)
        _arrow(ax, (end + 0.1, 0), (end + 0.7, 0))
        x = end + 0.85
    vector, classes = np.linspace(-0.95, 0.95, 9), np.linspace(-0.55, 0.55, 3)
    for y in vector:
        ax.add_patch(Rectangle((x, y - 0.09), 0.18, 0.18, facecolor=INPUT, edgecolor=INK, lw=0.6))
        for hidden in vector[::2]:
            ax.plot([x + 0.18, x + 1.2], [y, hidden], color="0.75", lw=0.4, zorder=0)
    for hidden in vector[::2]:
        _disc(ax, x + 1.3, hidden, "", HIDDEN, 0.13)
        for y in classes:
            ax.plot([x + 1.4, x + 2.4], [hidden, y], color="0.75", lw=0.4, zorder=0)
    for y in classes:
        _disc(ax, x + 2.5, y, "", OUTPUT, 0.13)
    for offset, text in ((0.09, "Flatten"), (1.3, "Fully\nconnected"), (2.5, "Classes")):
        ax.text(x + offset, -1.25, text, ha="center", va="top", fontsize=8)
    return _bare(ax, (-0.2, x + 2.9), (-1.8, 1.4))
