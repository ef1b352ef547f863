"""Figure 6.8: importance of metadata."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from twostamp.plots.style import INK, label_rows, make_panels

MEASURES = {"impurity": "mean decrease in impurity", "permutation": "test accuracy lost when shuffled"}


def plot_importance(importance: pd.DataFrame) -> Figure:
    """Plot the importance of each metadatum, by impurity and by permutation (figure 6.8).

    `importance` is of `twostamp.inspection.forest.Forests`: feature, and mean and std of either measure.
    """
    figure, ((left, right),) = make_panels(2, 0.155 * len(importance) + 0.6, sharey=True)
    colours = [_alert_colour(name) for name in importance["feature"]]
    for ax, (measure, label) in zip((left, right), MEASURES.items(), strict=True):
        draw_measure(ax, importance, measure, colours)
        ax.set_xlabel(label)
    label_rows(left, importance["feature"], margin=0.7, fontsize=6.5)
    for suffix, name in (("_1", "first alert"), ("_2", "second alert"), ("", "both")):
        right.barh([0], [0], color=_alert_colour(suffix), label=name)
    right.legend(loc="lower right", title="measured on")
    return figure


def draw_measure(ax: Axes, table: pd.DataFrame, measure: str, colours: Sequence[str] | str) -> None:
    """Draw ``<measure>_mean`` of each row of a table as a bar, ``<measure>_std`` on it; first row on top."""
    places, mean = range(len(table))[::-1], table[f"{measure}_mean"]
    ax.barh(places, mean, color=colours, height=0.75)
    ax.errorbar(mean, places, xerr=table[f"{measure}_std"], linestyle="", color=INK, elinewidth=0.7)
    ax.axvline(0, color=INK, linewidth=0.6)
    ax.grid(axis="x", alpha=0.3)
    ax.set_axisbelow(True)


def _alert_colour(feature: str) -> str:
    return {"_1": "#332288", "_2": "#88CCEE"}.get(feature[-2:], "#CC3311")
