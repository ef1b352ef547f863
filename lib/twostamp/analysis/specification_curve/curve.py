"""Specification curve: effects with intervals, shares, and a test of the joint null hypothesis.

The method is that of Simonsohn et al. (2020). All specifications are evaluated on the same objects. Each draw of
objects and each exchange of labels is therefore applied to all at once, which preserves their correlation.

Resamples draw objects within each class, the same for all specifications and both models. Joint statistics also
resample specifications; each has its own trainings, so this includes the variation between trainings. To exchange
labels, a coin toss per object exchanges its two predictions in all specifications, with trainings taken as fixed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from twostamp.analysis.specification_curve.specifications import SWITCHES, Specification
from twostamp.evaluation.bootstrap import LEVEL, Bootstrap, Estimate
from twostamp.evaluation.verdicts import judge, make_claim
from twostamp.utils.typing import Bools, Floats

Right = Mapping[int, Mapping[str, Bools]]
"""Whether each repetition is right, shape (repetitions, n), by specification and side (``one``, ``two``)."""


def _bootstrap_effects(right: Right, labels: ArrayLike, bootstrap: Bootstrap) -> Floats:
    """Resample two alerts minus one over objects and repetitions, shape (len(right), resamples)."""
    differences = {place: np.subtract(each["two"], each["one"], dtype=float) for place, each in right.items()}
    return np.stack([mean.drawn for mean in bootstrap.means(differences, labels).values()])


def _object_differences(right: Right) -> Floats:
    """Compute the mean rightness over repetitions, two alerts minus one, shape (len(right), n)."""
    sides = ((np.asarray(each[side], float).mean(axis=0) for side in ("two", "one")) for each in right.values())
    return np.stack([two - one for two, one in sides])


def _exchange_labels(differences: Floats, bootstrap: Bootstrap) -> Floats:
    """Compute effects under exchanged model labels, shape (resamples, specifications)."""
    signs = bootstrap.generator(16).choice([-1.0, 1.0], (bootstrap.resamples, differences.shape[1]))
    return np.asarray(signs @ differences.T / differences.shape[1])


def tabulate_effects(
    specifications: Sequence[Specification], right: Right, labels: ArrayLike, bootstrap: Bootstrap
) -> pd.DataFrame:
    """Tabulate the effect of every specification with its interval, smallest effect first.

    Parameters
    ----------
    specifications : sequence of Specification
    right : mapping
        Predictions from `twostamp.analysis.specification_curve.specifications.train_specifications`.
    labels : array_like of int, shape (n,)
    bootstrap : Bootstrap

    Returns
    -------
    DataFrame
        specification (index; 0 is the run's own), the switches, repetitions, one and two (accuracy), difference, low,
        high (95 %), p (exchanged labels, two-sided), verdict.
    """
    drawn, differences = _bootstrap_effects(right, labels, bootstrap), _object_differences(right)
    effects, null = differences.mean(axis=1), _exchange_labels(differences, bootstrap)
    extreme = np.abs(null) >= np.abs(effects) - 1e-12
    p_values = (1 + extreme.sum(axis=0)) / (1 + bootstrap.resamples)
    rows = []
    for row, (place, sides) in enumerate(right.items()):
        means = {side: float(np.mean(sides[side])) for side in ("one", "two")}
        found, trainings = Estimate.from_resamples(effects[row], drawn[row]), len(sides["two"])
        line = {"specification": place, **asdict(specifications[place]), "repetitions": trainings, **means}
        line |= found.to_row("difference") | {"p": p_values[row]}
        rows.append(line | {"verdict": judge(found, trainings, ("two beat one", "one beats two"))})
    return pd.DataFrame(rows).sort_values(["difference", "specification"], ignore_index=True)


def _share_better(effects: Floats) -> Floats:
    """Compute the share of effects above 0 on the last axis; an effect of exactly 0 counts half."""
    return np.asarray((np.sign(np.round(effects, 12)) + 1).mean(axis=-1) / 2)


def check_joint_null(right: Right, labels: ArrayLike, bootstrap: Bootstrap) -> pd.DataFrame:
    """Test the median effect, and the shares of specifications in which two alerts beat one, also significantly.

    Parameters
    ----------
    right, labels, bootstrap
        As for `tabulate_effects`.

    Returns
    -------
    DataFrame
        claim, value, low and high (95 %, over objects and specifications), n, trainings (of each model), verdict,
        expected, p. ``expected`` is the mean under exchanged labels; p is one-sided, the share of exchanges that give
        as much. Significant means above the 97.5 % quantile of the specification's own exchanged effects.
    """
    drawn, differences = _bootstrap_effects(right, labels, bootstrap), _object_differences(right)
    effects, null = differences.mean(axis=1), _exchange_labels(differences, bootstrap)
    needed = np.quantile(null, 1 - LEVEL / 2, axis=0) + 1e-12
    trainings = sum(len(each["two"]) for each in right.values())
    chosen = bootstrap.generator(15).integers(0, len(effects), drawn.T.shape)
    resampled = np.take_along_axis(drawn.T, chosen, axis=1)
    significant = effects > needed
    kinds: dict[str, tuple[Any, Floats, Floats, float]] = {
        "median difference": (float(np.median(effects)), np.median(resampled, axis=1), np.median(null, axis=1), 0),
        "share in which two beat one": (_share_better(effects), _share_better(resampled), _share_better(null), 0.5),
        "share in which two beat one significantly": (
            float(significant.mean()),
            (resampled > needed[chosen]).mean(axis=1),
            (null > needed).mean(axis=1),
            LEVEL / 2,
        ),
    }
    rows = []
    for name, (observed, values, expected, at) in kinds.items():
        found = Estimate.from_resamples(float(observed), values)
        row = make_claim(name, found, differences.shape[1], trainings, ("two beat one", "one beats two"), at=at)
        p_value = float((1 + (expected >= observed - 1e-12).sum()) / (1 + bootstrap.resamples))
        rows.append(row | {"expected": float(np.mean(expected)), "p": p_value})
    return pd.DataFrame(rows)


def compare_levels(effects: pd.DataFrame) -> pd.DataFrame:
    """Compare the levels of each switch: mean accuracies and effect of the specifications at a level.

    Parameters
    ----------
    effects : DataFrame
        Table from `tabulate_effects`.

    Returns
    -------
    DataFrame
        switch, level, specifications, one, two, difference, for switches that vary.
    """
    rows = []
    for switch in SWITCHES:
        groups = list(effects.groupby(switch, sort=True))
        for level, group in groups if len(groups) > 1 else ():
            means = group[["one", "two", "difference"]].mean()
            rows.append({"switch": switch, "level": f"{level!s}", "specifications": len(group), **means})
    return pd.DataFrame(rows, columns=["switch", "level", "specifications", "one", "two", "difference"])
