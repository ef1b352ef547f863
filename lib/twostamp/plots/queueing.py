"""Figure of waiting and inference time against arrival rate (the open question of thesis sections 6.5 and 6.11)."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from twostamp.plots.style import PAGE_WIDTH
from twostamp.queueing import Traffic


def plot_queue(compared: Mapping[str, pd.DataFrame], surveys: Sequence[Traffic]) -> Figure:
    """Median (line) and 99th percentile (dotted) of waiting and inference time, a colour for each batch size.

    Parameters
    ----------
    compared : mapping of str to DataFrame
        Of `twostamp.queueing.compare_batches`, by the title of the panel. Lines end where batches cannot keep up.
    surveys : sequence of Traffic
        Whose rates are marked.
    """
    figure, axes = plt.subplots(1, len(compared), figsize=(PAGE_WIDTH, 3.4), sharey=True, squeeze=False)
    for ax, (title, table) in zip(axes[0], compared.items(), strict=True):
        _plot_panel(table, ax)
        ax.set_title(title, pad=16)  # the surveys' names stand between it and the panel, clear of the lines
        ax.set(xlabel="alerts per second", xscale="log", yscale="log")
        for survey in surveys:
            ax.axvline(survey.rate, color="#888888", linewidth=0.7, zorder=0)
            top = ax.get_xaxis_transform()
            ax.text(survey.rate, 1.01, survey.name, transform=top, ha="center", va="bottom", fontsize=7)
    axes[0][0].set_ylabel("waiting + inference (s)\nmedian, and 99 % dotted")
    axes[0][-1].legend(title="batch up to", loc="center left", bbox_to_anchor=(1.01, 0.5))
    return figure


def _plot_panel(table: pd.DataFrame, ax: Axes) -> None:
    sizes = sorted(table["batch_size"].unique())
    for colour, size in zip(plt.colormaps["viridis"](np.linspace(0, 0.9, len(sizes))), sizes, strict=True):
        rows = table[(table["batch_size"] == size) & np.isfinite(table["p99"])]
        ax.plot(rows["rate"], rows["p50"], color=colour, label=f"{size}")
        ax.plot(rows["rate"], rows["p99"], color=colour, linestyle=":", label="_p99")
    ax.grid(alpha=0.3)
