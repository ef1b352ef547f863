"""What a set of specifications says together: effects with intervals, shares, and a test of the joint null.

The curve of Simonsohn et al. (2020). All specifications are judged on the same objects, so that one draw of objects,
and one exchange of labels, is applied to all of them at once; that keeps how alike they are.

Resamples draw objects within their class, the same for all specifications and both models, and repetitions anew for
each model. With one repetition the interval holds nothing of how trainings vary, and with few it holds too little. To
exchange labels a coin is thrown for each object, and exchanges its two answers in all specifications. The trainings are
taken as they are: another training of the same model is not part of the null.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from twostamp.analysis.specification_curve.specifications import SWITCHES, Specification
from twostamp.evaluation.bootstrap import LEVEL, Bootstrap, Estimate
from twostamp.utils.typing import Bools, Floats

Right = Mapping[int, Mapping[str, Bools]]
"""By specification and side (``one``, ``two``), whether each repetition is right, shape (repetitions, n)."""


def _bootstrap_effects(right: Right, labels: ArrayLike, bootstrap: Bootstrap) -> Floats:
    """Two alerts minus one on resamples of the test objects and of the repetitions, shape (len(right), resamples)."""
    rng = bootstrap.generator(15)
    weights = bootstrap.weights(labels, rng) / np.asarray(labels).size
    drawn = []
    for sides in right.values():
        means = {side: _draw_mean(weights @ np.asarray(values, float).T, rng) for side, values in sides.items()}
        drawn.append(means["two"] - means["one"])
    return np.array(drawn)


def _draw_mean(scores: Floats, rng: np.random.Generator) -> Floats:
    """Mean over repetitions drawn with replacement in each row, shape (resamples, repetitions)."""
    chosen = rng.integers(0, scores.shape[1], scores.shape)
    return np.asarray(np.take_along_axis(scores, chosen, axis=1).mean(axis=1))


def _object_differences(right: Right) -> Floats:
    """Mean over the repetitions of being right, two alerts minus one, shape (len(right), n)."""
    sides = ((np.asarray(each[side], float).mean(axis=0) for side in ("two", "one")) for each in right.values())
    return np.stack([two - one for two, one in sides])


def _exchange_labels(differences: Floats, bootstrap: Bootstrap) -> Floats:
    """Effects when it does not matter which model is called the two-alert one, shape (resamples, specifications)."""
    signs = bootstrap.generator(16).choice([-1.0, 1.0], (bootstrap.resamples, differences.shape[1]))
    return np.asarray(signs @ differences.T / differences.shape[1])


def tabulate_effects(
    specifications: Sequence[Specification], right: Right, labels: ArrayLike, bootstrap: Bootstrap
) -> pd.DataFrame:
    """Effect of every specification with its interval, smallest effect first.

    Parameters
    ----------
    specifications : sequence of Specification
    right : mapping
        Of `twostamp.analysis.specification_curve.specifications.stack_right`.
    labels : array_like of int, shape (n,)
    bootstrap : Bootstrap

    Returns
    -------
    DataFrame
        specification (its place; 0 is the run's own), the switches, repetitions, one and two (accuracy), difference,
        low and high (95 %), p (of exchanged labels, two-sided).
    """
    drawn, differences = _bootstrap_effects(right, labels, bootstrap), _object_differences(right)
    effects, null = differences.mean(axis=1), _exchange_labels(differences, bootstrap)
    extreme = np.abs(null) >= np.abs(effects) - 1e-12
    p_values = (1 + extreme.sum(axis=0)) / (1 + bootstrap.resamples)
    rows = []
    for row, (place, sides) in enumerate(right.items()):
        means = {side: float(np.mean(sides[side])) for side in ("one", "two")}
        found = Estimate.from_resamples(effects[row], drawn[row]).to_row("difference") | {"p": p_values[row]}
        levels = asdict(specifications[place])
        rows.append({"specification": place, **levels, "repetitions": len(sides["two"]), **means, **found})
    return pd.DataFrame(rows).sort_values(["difference", "specification"], ignore_index=True)


def _share_better(effects: Floats) -> Floats:
    """Share of effects above 0 on the last axis; one of exactly 0 counts half."""
    return np.asarray((np.sign(np.round(effects, 12)) + 1).mean(axis=-1) / 2)


def check_joint_null(right: Right, labels: ArrayLike, bootstrap: Bootstrap) -> pd.DataFrame:
    """Median effect, share of specifications in which two alerts beat one, and share in which that is significant.

    Parameters
    ----------
    right, labels, bootstrap
        As for `tabulate_effects`.

    Returns
    -------
    DataFrame
        statistic, observed, low and high (95 %, over objects and repetitions), expected (mean when labels are
        exchanged), p (one-sided: how often exchanged labels give as much). Significant means beyond the 97.5 % quantile
        of the specification's own exchanged effects; the last row counts intervals of the bootstrap above 0 instead.
    """
    drawn, differences = _bootstrap_effects(right, labels, bootstrap), _object_differences(right)
    effects, null = differences.mean(axis=1), _exchange_labels(differences, bootstrap)
    needed = np.quantile(null, 1 - LEVEL / 2, axis=0) + 1e-12
    statistics = {
        "median difference": lambda values: np.median(values, axis=-1),
        "share in which two beat one": _share_better,
        "share in which two beat one significantly": lambda values: (values > needed).mean(axis=-1),
    }
    rows: list[tuple[Any, ...]] = []
    for name, statistic in statistics.items():
        observed, expected = float(statistic(effects)), statistic(null)
        p_value = float((1 + (expected >= observed - 1e-12).sum()) / (1 + bootstrap.resamples))
        estimate = Estimate.from_resamples(observed, statistic(drawn.T))
        rows.append((name, *estimate, float(expected.mean()), p_value))
    above = float((np.quantile(drawn, LEVEL / 2, axis=1) > 0).mean())
    rows.append(("share whose interval lies above 0", above, *[np.nan] * 4))
    below = float((np.quantile(drawn, 1 - LEVEL / 2, axis=1) < 0).mean())
    rows.append(("share whose interval lies below 0", below, *[np.nan] * 4))
    return pd.DataFrame(rows, columns=["statistic", "observed", "low", "high", "expected", "p"])


def compare_levels(effects: pd.DataFrame) -> pd.DataFrame:
    """What each level of a switch goes with: mean accuracies and effect of the specifications that have it.

    Parameters
    ----------
    effects : DataFrame
        Of `tabulate_effects`.

    Returns
    -------
    DataFrame
        switch, level, specifications, one, two, difference, of switches that vary.
    """
    rows = []
    for switch in SWITCHES:
        groups = list(effects.groupby(switch, sort=True))
        for level, group in groups if len(groups) > 1 else ():
            means = group[["one", "two", "difference"]].mean()
            rows.append({"switch": switch, "level": f"{level!s}", "specifications": len(group), **means})
    return pd.DataFrame(rows, columns=["switch", "level", "specifications", "one", "two", "difference"])


def summarise_curve(effects: pd.DataFrame, together: pd.DataFrame) -> list[str]:
    """Say in sentences what was found."""
    rows = together.set_index("statistic").to_dict("index")
    names = ("share in which two beat one", "median difference")
    share, median = (Estimate.from_row(rows[name], "observed") for name in names)
    p_values = [rows[name]["p"] for name in names]
    above, below = (rows[f"share whose interval lies {side} 0"]["observed"] for side in ("above", "below"))
    own = effects[effects["specification"] == 0].to_dict("records")
    return [
        f"two alerts beat one in {share.value:.0%} of {len(effects)} specifications "
        f"(95 %: {share.bounds('.0%')}; joint p {p_values[0]:.3g})",
        f"the interval lies above 0 in {above:.0%} of them, below 0 in {below:.0%}",
        f"median difference {median.points:+.1f points}, joint p {p_values[1]:.3g}",
        *(f"the run's own specification: {Estimate.from_row(row, 'difference').points:+.1f points}" for row in own),
    ]
