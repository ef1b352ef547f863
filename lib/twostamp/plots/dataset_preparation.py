"""Subclasses before and after the cap (figures 3.2, 3.8, 3.9)."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from twostamp.plots.style import class_colour, group_digits
from twostamp.taxonomy import order_classes


def plot_subclass_counts(counts: pd.DataFrame, ax: Axes) -> Axes:
    """Objects per subclass, most numerous first, in the colour of their class; `counts` is of `count_subclasses`."""
    ordered = counts.sort_values(["objects", "subclassALeRCE"], ascending=[False, True])
    names = ordered["subclassALeRCE"].tolist()
    bars = ax.bar(names, ordered["objects"], color=ordered["classALeRCE"].map(class_colour), width=0.75)
    rotation = 90 if len(names) > 12 else 0
    ax.bar_label(bars, ordered["objects"].map(group_digits), padding=3, fontsize=7, rotation=rotation)
    ax.set_xticks(range(len(names)), names, rotation=60 if rotation else 30, ha="right", rotation_mode="anchor")
    ax.set(ylabel="objects", ylim=(0, 1.2 * max(*ordered["objects"], 1)), xlim=(-0.6, len(names) - 0.4))
    handles = [Patch(color=class_colour(name), label=name) for name in order_classes(ordered["classALeRCE"])]
    ax.legend(handles=handles, title="class", loc="upper right", ncols=2, bbox_to_anchor=(1, 0.93))
    return ax
