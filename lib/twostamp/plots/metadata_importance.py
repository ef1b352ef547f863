"""Figure 6.8: importance of metadata."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from twostamp.plots.style import PAGE_WIDTH

MEASURES = {"impurity": "mean decrease in impurity", "permutation": "test accuracy lost when shuffled"}


def plot_importance(importance: pd.DataFrame) -> Figure:
    """Importance of each of the metadata, by impurity and by permutation (Figure 6.8).

    Parameters
    ----------
    importance : DataFrame
        Of `twostamp.inspection.forest.Forests.importance`: feature, and mean and std of either measure.
    """
    figure, axes = plt.subplots(1, 2, sharey=True, figsize=(PAGE_WIDTH, 0.155 * len(importance) + 0.6))
    place = np.arange(len(importance))[::-1]
    for ax, (measure, label) in zip(axes, MEASURES.items(), strict=True):
        colours = [_alert_colour(name) for name in importance["feature"]]
        ax.barh(place, importance[f"{measure}_mean"], color=colours, height=0.75)
        ax.errorbar(
            importance[f"{measure}_mean"], place, xerr=importance[f"{measure}_std"], linestyle="", color="#333333",
            elinewidth=0.7,
        )  # fmt: skip
        ax.axvline(0, color="#333333", linewidth=0.6)
        ax.set_xlabel(label)
        ax.grid(axis="x", alpha=0.3)
    axes[0].set_yticks(place, importance["feature"], fontsize=6.5)
    axes[0].set_ylim(-0.7, len(importance) - 0.3)
    for suffix, name in (("_1", "first alert"), ("_2", "second alert"), ("", "both")):
        axes[1].barh([0], [0], color=_alert_colour(suffix), label=name)
    axes[1].legend(loc="lower right", title="measured on")
    return figure


def _alert_colour(feature: str) -> str:
    return {"_1": "#332288", "_2": "#88CCEE"}.get(feature[-2:], "#CC3311")
