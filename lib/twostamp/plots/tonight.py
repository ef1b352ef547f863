"""Figures of notebook 16: where and when a night's answers are."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from twostamp.plots.style import INK, class_colour, draw_legend, make_panels

_BINS = 60


def plot_sky(answers: pd.DataFrame, classes: tuple[str, ...]) -> Figure:
    """Place of each object on the sky (equatorial, degrees), in the colour of its most probable class.

    Parameters
    ----------
    answers : DataFrame
        Of `twostamp.stream.Night.latest`.
    classes : tuple of str
    """
    figure, axes = make_panels(1, 3.2, subplot_kw={"projection": "mollweide"})
    ax = axes[0, 0]
    for name in classes:
        chosen = answers[answers["class"] == name]
        longitude = -np.radians((chosen["ra"] + 180) % 360 - 180)
        colour, label = class_colour(name), f"{name} ({len(chosen)})"
        ax.scatter(longitude, np.radians(chosen["dec"]), s=8, color=colour, label=label, linewidths=0)
    ax.set_xticks(np.radians([-120, -60, 0, 60, 120]), ["120°", "60°", "0°", "300°", "240°"], fontsize=6)
    ax.set_yticks(np.radians([-60, -30, 0, 30, 60]), ["−60°", "−30°", "0°", "30°", "60°"], fontsize=6)
    ax.grid(color="0.6", lw=0.3)
    draw_legend(figure, ax)
    return figure


def plot_times(answers: pd.DataFrame, exposures: pd.DataFrame, classes: tuple[str, ...]) -> Figure:
    """Plot predictions by the time of their alert, and mark crowded exposures.

    Parameters
    ----------
    answers : DataFrame
        Of `twostamp.stream.Night.answers`; those of one night count.
    exposures : DataFrame
        Of `twostamp.analysis.tonight.count_exposures`.
    classes : tuple of str
    """
    figure, axes = make_panels(1, 2.6)
    ax, start = axes[0, 0], np.floor(exposures["jd"].min() - 0.5) + 0.5
    hours = [24 * (answers.loc[answers["class"] == name, "jd"] - start) for name in classes]
    ax.hist(hours, bins=_BINS, stacked=True, color=[class_colour(name) for name in classes], label=classes)
    for jd in exposures.loc[exposures["crowded"], "jd"]:
        ax.axvline(24 * (jd - start), color=INK, lw=0.8, ls="--")
    ax.set(xlabel="UTC (hours)", ylabel="answers")
    draw_legend(figure, ax)
    return figure
