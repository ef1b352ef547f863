"""Figures 3.8 and 3.9: subclasses before and after the cap."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from twostamp.analysis.exploratory_analysis import order_classes
from twostamp.plots.exploratory_analysis import _POINTS, _grouped
from twostamp.plots.style import class_colour


def plot_subclass_counts(counts: pd.DataFrame, ax: Axes, cap: int | None = None) -> Axes:
    """Objects per subclass, most numerous first, in the colour of their class (figures 3.2, 3.8, 3.9).

    Parameters
    ----------
    counts : DataFrame
        Columns classALeRCE, subclassALeRCE, objects, as `twostamp.data.splits.count_subclasses` returns them.
    ax : Axes
    cap : int, optional
        Limit per class, drawn as a line.
    """
    ordered = counts.sort_values(["objects", "subclassALeRCE"], ascending=[False, True])
    names = ordered["subclassALeRCE"].tolist()
    bars = ax.bar(names, ordered["objects"], color=[class_colour(name) for name in ordered["classALeRCE"]], width=0.75)
    rotation = 90 if len(names) > 12 else 0
    ax.bar_label(bars, [_grouped(n) for n in ordered["objects"]], padding=3, fontsize=7, rotation=rotation)
    ax.set_xticks(range(len(names)), names, rotation=60 if rotation else 30, ha="right", rotation_mode="anchor")
    ax.set(ylabel="objects", ylim=(0, 1.2 * max(*ordered["objects"], cap or 0, 1)), xlim=(-0.6, len(names) - 0.4))
    if cap is not None:
        ax.axhline(cap, color="black", linewidth=0.8, linestyle="--")
        ax.annotate(f"limit per class: {_grouped(cap)}", (len(names) - 0.5, cap), (0, 2), ha="right", **_POINTS)
    handles = [Patch(color=class_colour(name), label=name) for name in order_classes(ordered["classALeRCE"])]
    ax.legend(handles=handles, title="class", loc="upper right", ncols=2, bbox_to_anchor=(1, 0.93))
    return ax
