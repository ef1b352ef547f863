"""Subclasses before and after the cap (figures 3.2, 3.8, 3.9)."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from twostamp.plots.style import INK, class_colour, group_digits
from twostamp.taxonomy import order_classes


def plot_subclass_counts(counts: pd.DataFrame, ax: Axes, cap: int | None = None) -> Axes:
    """Plot objects per subclass, most numerous first, coloured by class; `counts` comes from `count_subclasses`.

    With a `cap` (most objects of a class), the axis is logarithmic and a line marks the cap.
    """
    ordered = counts.sort_values(["objects", "subclassALeRCE"], ascending=[False, True])
    names = ordered["subclassALeRCE"].tolist()
    bars = ax.bar(names, ordered["objects"], color=ordered["classALeRCE"].map(class_colour), width=0.75)
    rotation = 90 if len(names) > 12 else 0
    plain = {"facecolor": "white", "edgecolor": "none", "pad": 1.5} if cap else None  # clear of the line
    ax.bar_label(bars, ordered["objects"].map(group_digits), padding=4, fontsize=7, rotation=rotation, bbox=plain)
    ax.set_xticks(range(len(names)), names, rotation=60 if rotation else 30, ha="right", rotation_mode="anchor")
    ax.set(ylabel="objects", ylim=(0, 1.2 * max(*ordered["objects"], 1)), xlim=(-0.6, len(names) - 0.4))
    handles = [Patch(color=class_colour(name), label=name) for name in order_classes(ordered["classALeRCE"])]
    if cap:
        ax.set(yscale="log", ylim=(0.6, 3 * max(*ordered["objects"], cap)))
        ax.yaxis.set_major_formatter("{x:g}")
        line = ax.axhline(cap, color=INK, linestyle="--", linewidth=0.9, label=f"cap of a class: {group_digits(cap)}")
        ax.legend(handles=[*handles, line], loc="lower right", ncols=len(handles) + 1, bbox_to_anchor=(1, 1))
    else:
        ax.legend(handles=handles, title="class", loc="upper right", ncols=2, bbox_to_anchor=(1, 0.93))
    return ax
