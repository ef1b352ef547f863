"""Revisions from the first prediction to the second: changes by group of objects, and harm."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from twostamp.alerts.cutouts import SIZE, expected_shape
from twostamp.data.arrays import read_metadata
from twostamp.evaluation.bootstrap import Bootstrap
from twostamp.evaluation.predictions import Predictions
from twostamp.evaluation.verdicts import judge
from twostamp.utils.typing import Floats

FLIPS = ("wrong to right", "right to wrong", "wrong to other wrong")
DAYS = {"same night": 0.5, "0.5-3 d": 3, "3-10 d": 10, "10-30 d": 30, "over 30 d": np.inf}
MAGNITUDES = {"brighter than 18": 18, "18-19": 19, "19-20": 20, "fainter than 20": np.inf}
"""Groups of objects by their upper limits."""


def follow_revisions(before: ArrayLike, after: ArrayLike, labels: ArrayLike) -> dict[str, Floats]:
    """Measure the revision of the first prediction of each object.

    Parameters
    ----------
    before, after : array_like, shape (r, n, k)
        Probabilities of r repetitions of one model (or two), from one alert and from two.
    labels : array_like of int, shape (n,)

    Returns
    -------
    dict of ndarray, shape (r, n)
        accuracy with one, accuracy with two (0 or 1); probability with one, probability with two (of the true class);
        the three `FLIPS` (0 or 1).

    Examples
    --------
    >>> revisions = follow_revisions([[[0.6, 0.4, 0.0]]], [[[0.1, 0.2, 0.7]]], labels=[1])
    >>> {name: float(values[0, 0]) for name, values in revisions.items() if values.any()}
    {'probability with one': 0.4, 'probability with two': 0.2, 'wrong to other wrong': 1.0}
    """
    first, second, truth = np.asarray(before, float), np.asarray(after, float), np.asarray(labels)
    was, now = first.argmax(axis=2), second.argmax(axis=2)
    place = np.broadcast_to(truth[:, None], (*was.shape, 1))
    measured = {
        "accuracy with one": was == truth,
        "accuracy with two": now == truth,
        "probability with one": np.take_along_axis(first, place, axis=2)[..., 0],
        "probability with two": np.take_along_axis(second, place, axis=2)[..., 0],
        "wrong to right": (was != truth) & (now == truth),
        "right to wrong": (was == truth) & (now != truth),
        "wrong to other wrong": (was != truth) & (now != truth) & (was != now),
    }
    return {name: values.astype(float) for name, values in measured.items()}


def group_objects(pairs_path: Path, object_ids: ArrayLike, classes: Sequence[str]) -> pd.DataFrame:
    """Assign each object to its groups.

    Parameters
    ----------
    pairs_path : Path
        ``pairs.parquet``.
    object_ids : array_like of str, shape (n,)
    classes : sequence of str
        Classes, in the order of their groups.

    Returns
    -------
    DataFrame, n rows
        Categories: class, deltajd (`DAYS`), class and night ("SN, same night"), magnitude of the first alert
        (`MAGNITUDES`), stamps, filters. Stamps are "cut by an edge" if any is; filters are "same" or "different".
    """
    table = read_metadata(pairs_path).set_index("objectId").loc[list(np.asarray(object_ids, str))]
    days = _cut(table["deltajd"], DAYS)
    night = np.where(days == "same night", "same night", "later")
    named = [f"{name}, {when}" for name in classes for when in ("same night", "later")]
    edge = np.any([_is_cut(table, alert) for alert in (1, 2)], axis=0)
    groups = {
        "class": pd.Categorical(table["classALeRCE"], list(classes)),
        "deltajd": days,
        "class and night": pd.Categorical(table["classALeRCE"] + ", " + night, named),
        "magnitude": _cut(table["magpsf_1"], MAGNITUDES),
        "stamps": pd.Categorical(np.where(edge, "cut by an edge", "whole"), ["whole", "cut by an edge"]),
        "filters": pd.Categorical(
            np.where(table["fid_1"] == table["fid_2"], "same", "different"), ["same", "different"]
        ),
    }
    return pd.DataFrame(groups)


def _cut(values: pd.Series, limits: Mapping[str, float]) -> pd.Categorical:
    return pd.cut(values.astype(float), [-np.inf, *limits.values()], right=False, labels=list(limits)).array


def _is_cut(table: pd.DataFrame, alert: int) -> list[bool]:
    positions = zip(table[f"xpos_{alert}"].astype(float), table[f"ypos_{alert}"].astype(float), strict=True)
    return [expected_shape(x, y) != (SIZE, SIZE) for x, y in positions]


def tabulate_revisions(
    revisions: Mapping[str, Floats], labels: ArrayLike, groups: pd.DataFrame, bootstrap: Bootstrap
) -> pd.DataFrame:
    """Average revisions over all objects and over every group of them.

    Parameters
    ----------
    revisions : mapping
        Measures from `follow_revisions`.
    labels : array_like of int, shape (n,)
    groups : DataFrame, n rows
        Groups from `group_objects`.
    bootstrap : Bootstrap

    Returns
    -------
    DataFrame
        grouping, group, n, trainings, the measures of `follow_revisions`; gain (of accuracy) and change (of the true
        class's probability) with 95 % intervals over objects and repetitions. The verdict is "helps", "hurts" or
        "undecided"; it needs at least five trainings and six changed objects. Intervals are not corrected for the
        number of groups.
    """
    labels = np.asarray(labels)
    members = {("all", "all"): np.ones(labels.size, bool)}
    for grouping, column in groups.items():
        members |= {(str(grouping), str(name)): np.asarray(column == name) for name in column.cat.categories}
    rows = []
    for (grouping, group), chosen in members.items():
        if not chosen.any():
            continue
        part = {name: values[:, chosen] for name, values in revisions.items()}
        means = bootstrap.means(part, labels[chosen])
        gain, change = (
            (means[f"{measure} with two"] - means[f"{measure} with one"]).estimate()
            for measure in ("accuracy", "probability")
        )
        trainings, changed = len(part[FLIPS[0]]), sum(int(part[flip].any(axis=0).sum()) for flip in FLIPS[:2])
        row = {"grouping": grouping, "group": group, "n": int(chosen.sum()), "trainings": trainings}
        row |= {name: mean.value for name, mean in means.items()}
        row |= gain.to_row("gain", "gain ") | change.to_row("change", "change ")
        rows.append(row | {"verdict": judge(gain, trainings, ("helps", "hurts"), changed=changed)})
    return pd.DataFrame(rows)


def compare_with_dedicated(
    first: Predictions, second: Predictions, pairs: Sequence[tuple[str, str, str]], bootstrap: Bootstrap
) -> pd.DataFrame:
    """Compare the model for one or two alerts with the classifiers trained for either case alone.

    Parameters
    ----------
    first, second : Predictions
        Predictions from the first alert alone, and from both.
    pairs : sequence of (str, str, str)
        Alerts ("one", "two"), the model, the dedicated classifier.
    bootstrap : Bootstrap

    Returns
    -------
    DataFrame
        alerts, model, dedicated, n, repetitions, accuracy, dedicated accuracy, difference, low, high (95 %), verdict.
    """
    rows = []
    for alerts, model, dedicated in pairs:
        view = first if alerts == "one" else second
        means = bootstrap.means({name: view.correct[name] for name in (model, dedicated)}, view.labels)
        ours, theirs = means[model], means[dedicated]
        n, r, found = len(view.labels), len(view.correct[model]), (ours - theirs).estimate()
        rows.append(
            (alerts, model, dedicated, n, r, ours.value, theirs.value, *found, judge(found, r, ("better", "worse")))
        )
    columns = ["alerts", "model", "dedicated", "n", "repetitions", "accuracy", "dedicated accuracy"]
    return pd.DataFrame(rows, columns=[*columns, "difference", "low", "high", "verdict"])
