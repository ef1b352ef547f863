"""Figures of notebook 06: inference time of models, batches and stages, and waiting times of a stream of alerts."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from twostamp.analysis.inference_time.queueing import Traffic
from twostamp.plots.style import ARCHITECTURE_COLOURS, SEQUENTIAL, make_panels

MARKERS = {"stamp": "^", "stacked": "o", "separated": "s"}
STAGES = {
    "decode": ("#4477AA", "decode Avro packets"),
    "prepare": ("#117733", "prepare stamps and metadata"),
    "predict": ("#882255", "predict"),
}
"""Colour and label of each stage."""


def plot_time_accuracy(timed: pd.DataFrame, ax: Axes) -> Axes:
    """Plot inference time against test accuracy of the best models of each architecture (figure 6.4).

    `timed` is of `twostamp.analysis.inference_time.time_models`, times in ms.
    """
    for variant, models in timed.groupby("variant", sort=False):
        architecture = str(variant).partition("_")[0]
        colour = ARCHITECTURE_COLOURS[architecture]
        ax.errorbar(
            models["mean"], models["test_mean"], xerr=models["std"], yerr=models["test_std"],
            linestyle="", capsize=2, elinewidth=0.8, markersize=6, label=f"{variant}: mean ± std",
            color=colour, marker=MARKERS[architecture],
        )  # fmt: skip
        ax.plot(models["p99"], models["test_mean"], linestyle="", marker="|", markersize=9, color=colour)
    ax.plot([], [], linestyle="", marker="|", markersize=9, color="#444444", label="99th percentile of the time")
    ax.set(xlabel="inference time of one object (ms)", ylabel="accuracy on test")
    ax.grid(alpha=0.3)
    ax.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
    return ax


def plot_time_batch(timed: pd.DataFrame, ax: Axes) -> Axes:
    """Plot inference time by batch size (figure 6.5); `timed` comes from the analysis's `time_batches`, in ms."""
    sizes, colour = timed["batch_size"], ARCHITECTURE_COLOURS["stacked"]
    ax.errorbar(sizes, timed["mean"], yerr=timed["std"], marker="o", capsize=3, color=colour, label="mean ± std")
    ax.plot(sizes, timed["median"], linestyle="", marker="_", markersize=12, color="k", label="median")
    if np.isfinite(timed["p99"]).any():  # enough repeats
        ax.plot(sizes, timed["p99"], linestyle=":", marker="^", color=colour, label="99th percentile")
    ax.set(xlabel="objects in the batch", ylabel="inference time of the batch (ms)", xscale="log", yscale="log")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter("{x:g}")
    ax.set_xticks(sizes, minor=False)
    ax.minorticks_off()
    ax.grid(alpha=0.3, which="both")
    ax.legend(loc="upper left")
    return ax


def plot_stages(stages: pd.DataFrame, ax: Axes) -> Axes:
    """Plot time per object of each stage between Avro packets and probabilities, by batch size (T9).

    `stages` is of `time_stages` of the analysis, one or more batch sizes below each other.
    """
    sizes = list(dict.fromkeys(stages["batch_size"]))
    left = np.zeros(len(sizes))
    narrow = 0.03 * (stages["median"] / stages["batch_size"]).groupby(stages["batch_size"]).sum().max()
    for stage, rows in stages.groupby("stage", sort=False):
        colour, label = STAGES[str(stage)]
        per_object = (rows["median"] / rows["batch_size"]).to_numpy()
        bars = ax.barh(range(len(sizes)), per_object, left=left, color=colour, label=label)
        texts = [f"{value:.1f}" if value > narrow else "" for value in per_object]
        ax.bar_label(bars, texts, label_type="center", color="w", fontsize=8)
        left += per_object
    ax.set_yticks(range(len(sizes)), [f"batch of {size}" for size in sizes])
    ax.set_xlabel("median time per object, two alerts (ms)")
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3)
    return ax


def plot_queue(compared: Mapping[str, pd.DataFrame], surveys: Sequence[Traffic]) -> Figure:
    """Plot median (line) and 99th percentile (dotted) of waiting and inference time, one colour per batch size.

    `compared` is of `twostamp.analysis.inference_time.queueing.compare_batches`, by the title of the panel; the rates
    of `surveys` are marked. Lines end where batches cannot keep up.
    """
    figure, (axes,) = make_panels(len(compared), 3.4, sharey=True)
    for ax, (title, table) in zip(axes, compared.items(), strict=True):
        _plot_panel(table, ax)
        ax.set_title(title, pad=16)  # the surveys' names are between it and the panel, clear of the lines
        ax.set(xlabel="alerts per second", xscale="log", yscale="log")
        for survey in surveys:
            ax.axvline(survey.rate, color="#888888", linewidth=0.7, zorder=0)
            top = ax.get_xaxis_transform()
            ax.text(survey.rate, 1.01, survey.name, transform=top, ha="center", va="bottom", fontsize=7)
    axes[0].set_ylabel("waiting + inference (s)\nmedian, and 99 % dotted")
    axes[-1].legend(title="batch up to", loc="center left", bbox_to_anchor=(1.01, 0.5))
    return figure


def _plot_panel(table: pd.DataFrame, ax: Axes) -> None:
    sizes = sorted(table["batch_size"].unique())
    for colour, size in zip(plt.colormaps[SEQUENTIAL](np.linspace(0, 0.9, len(sizes))), sizes, strict=True):
        rows = table[(table["batch_size"] == size) & np.isfinite(table["p99"])]
        ax.plot(rows["rate"], rows["p50"], color=colour, label=f"{size}")
        ax.plot(rows["rate"], rows["p99"], color=colour, linestyle=":", label="_p99")
    ax.grid(alpha=0.3)
