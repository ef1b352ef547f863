"""Cadence stress: what becomes of a classifier when ``deltajd`` is not what it was in training (thesis section 6.11).

A perturbation changes the days between the two alerts and nothing else. In particular the second alert keeps its own
stamps and metadata: the packets that the survey would have sent after a gap are not among the pairs, so a source that
rose, faded or moved meanwhile is seen as it was. What is measured is how far an answer leans on the number itself.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from twostamp.data.arrays import Arrays, scale_deltajd
from twostamp.data.features import DELTAJD_FLOOR, Scaler
from twostamp.evaluation.bootstrap import LEVEL, Bootstrap, Estimate
from twostamp.evaluation.hypothesis_tests import equivalence_p
from twostamp.evaluation.predictions import Predictions

Days = NDArray[np.float64]

UNDISTURBED = "none"
SHIFTS = (-1.0, 1.0)  # days
LIMITS = (1.0, 10.0)  # days
FACTORS = (0.5, 2.0, 5.0)
LOSS_ALLOWED = 0.02
"""What the accuracy of a classifier that knows of gaps may fall by under the longest one."""
ENOUGH = 5
"""Repetitions without which nothing is decided: resamples of fewer do not show how much trainings differ."""


PERTURBATIONS: dict[str, Callable[[Days, float], Days]] = {
    # the second visit falls into a weather gap, and the next chance comes when the gap is over
    "gap": lambda days, nights: days + nights,
    # the second alert stays later than the first, by the floor of decision M7 at least
    "shift": lambda days, by: np.maximum(days + by, DELTAJD_FLOOR),
    # of longer separations no more is known than that they reach the limit; none is dropped
    "censor": np.minimum,
    # every field is visited less often by a factor (more often, below 1)
    "stretch": lambda days, factor: np.maximum(days * factor, DELTAJD_FLOOR),
}


@dataclass(frozen=True)
class Stress:
    """One perturbation of the days between two alerts.

    Attributes
    ----------
    kind : str
        ``gap`` (nights), ``shift`` (days), ``censor`` (limit, days), ``stretch`` (factor).
    amount : float

    Raises
    ------
    ValueError
        If a gap is negative.

    Examples
    --------
    >>> [Stress(kind, 2.0)([0.5, 3.0]).tolist() for kind in PERTURBATIONS]
    [[2.5, 5.0], [2.5, 5.0], [0.5, 2.0], [1.0, 6.0]]
    """

    kind: str
    amount: float

    def __post_init__(self) -> None:
        if self.kind == "gap" and self.amount < 0:
            raise ValueError(f"a gap of {self.amount:g} nights: it cannot be negative")

    @property
    def name(self) -> str:
        """Such as ``gap 30``."""
        return f"{self.kind} {self.amount:g}"

    def __call__(self, days: ArrayLike) -> Days:
        """Apply it to days, of any shape."""
        return PERTURBATIONS[self.kind](np.asarray(days, np.float64), self.amount)


def list_stresses(gap_nights: Sequence[float]) -> list[Stress]:
    """List what notebook 12 tests under: the gaps of a run, and a few shifts, limits and factors.

    Examples
    --------
    >>> [stress.name for stress in list_stresses([30])][:3]
    ['gap 30', 'shift -1', 'shift 1']
    """
    amounts = {"gap": sorted(gap_nights), "shift": SHIFTS, "censor": LIMITS, "stretch": FACTORS}
    return [Stress(kind, amount) for kind, values in amounts.items() for amount in values]


def unscale_deltajd(deltajd: ArrayLike, scaler: Scaler) -> Days:
    """Days of standardised ln deltajd, the inverse of `twostamp.data.arrays.scale_deltajd`, any shape."""
    mean, std = scaler.deltajd
    return np.exp(np.asarray(deltajd, np.float64) * std + mean)


def perturb(arrays: Arrays, scaler: Scaler, change: Callable[[Days], Days]) -> Arrays:
    """Change the days between the alerts of prepared objects, and nothing else of them.

    Parameters
    ----------
    arrays : Arrays
        With second alerts.
    scaler : Scaler
        That they were prepared with.
    change : callable
        From days, shape (n,), to days.
    """
    if arrays.deltajd is None:
        raise ValueError("these objects have no second alert, so there are no days between two to change")
    return replace(arrays, deltajd=scale_deltajd(change(unscale_deltajd(arrays.deltajd[:, 0], scaler)), scaler))


def tabulate_stress(seen: Mapping[str, Predictions], stresses: Sequence[Stress], bootstrap: Bootstrap) -> pd.DataFrame:
    """Accuracy of every model under every perturbation, and what it loses to it.

    Parameters
    ----------
    seen : mapping of str to Predictions
        By the name of a stress, and `UNDISTURBED`; the same models in each that has them.
    stresses : sequence of Stress
    bootstrap : Bootstrap

    Returns
    -------
    DataFrame
        model, kind, amount, n, repetitions, accuracy, low, high, loss (of accuracy against none), loss low, loss high;
        intervals of 95 % over objects and repetitions. A gap of 0 stands for none.
    """
    rows = []
    for model in seen[UNDISTURBED].probabilities if seen else ():
        right = {name: view.correct[model] for name, view in seen.items() if model in view.probabilities}
        means = bootstrap.means(right, seen[UNDISTURBED].labels)
        for stress in (Stress("gap", 0), *stresses):
            name = stress.name if stress.amount or stress.kind != "gap" else UNDISTURBED
            if name in means:
                loss = means[UNDISTURBED] - means[name]
                shown = *right[UNDISTURBED].shape[::-1], *means[name].estimate(), *loss.estimate()
                rows.append((model, stress.kind, stress.amount, *shown))
    columns = ["model", "kind", "amount", "n", "repetitions", "accuracy", "low", "high"]
    return pd.DataFrame(rows, columns=[*columns, "loss", "loss low", "loss high"])


def check_gap_equivalence(
    view: Predictions, pairs: Sequence[tuple[str, str]], margin: float, bootstrap: Bootstrap
) -> pd.DataFrame:
    """Two one-sided tests, undisturbed: does a model that learned gaps answer as well as the one that did not?

    Parameters
    ----------
    view : Predictions
    pairs : sequence of (str, str)
        The model that learned gaps first.
    margin : float
        Difference of accuracy that counts as none.
    bootstrap : Bootstrap

    Returns
    -------
    DataFrame
        comparison, margin, difference (first minus second), low, high (90 %, over objects and repetitions), p (of the
        two tests on the repetitions' differences, for these objects), verdict. "equivalent" takes both: p below 5 %,
        and the interval within the margin. "different" if the interval lies outside of it. Fewer than `ENOUGH`
        repetitions leave it "undecided".
    """
    rows = []
    for a, b in pairs:
        first, second = view.correct[a].astype(float), view.correct[b].astype(float)
        difference = bootstrap.means({"difference": first - second}, view.labels)["difference"].estimate(2 * LEVEL)
        p_value = equivalence_p(first.mean(axis=1) - second.mean(axis=1), margin)
        verdict = "undecided"
        if len(first) < ENOUGH:
            pass
        elif -margin < difference.low and difference.high < margin and p_value < LEVEL:
            verdict = "equivalent"
        elif difference.low > margin or difference.high < -margin:
            verdict = "different"
        rows.append((f"{a} = {b}", margin, *difference, p_value, verdict))
    columns = ["comparison", "margin", "difference", "low", "high", "p", "verdict"]
    return pd.DataFrame(rows, columns=columns)


def check_goals(stress: pd.DataFrame, equivalence: pd.DataFrame, models: Sequence[str]) -> pd.DataFrame:
    """Check whether this run shows that learned gaps make a classifier safe against them at no cost.

    Parameters
    ----------
    stress : DataFrame
        Of `tabulate_stress`.
    equivalence : DataFrame
        Of `check_gap_equivalence`.
    models : sequence of str
        Those that learned gaps.

    Returns
    -------
    DataFrame
        goal, value, low, high, met ("yes", "no", "undecided"): accuracy under the longest gap falls by less than
        `LOSS_ALLOWED` (95 %), and undisturbed it is equivalent within the margin (90 %). Fewer than `ENOUGH`
        repetitions leave both "undecided".
    """
    gaps = stress[stress["kind"] == "gap"]
    longest = gaps[gaps["amount"] == gaps["amount"].max()].set_index("model")
    rows: list[tuple[Any, ...]] = []
    for model in models:
        loss = Estimate.from_row(longest.loc[model], "loss", "loss ")
        met = "yes" if loss.high < LOSS_ALLOWED else "no" if loss.low >= LOSS_ALLOWED else "undecided"
        met = met if longest.loc[model, "repetitions"] >= ENOUGH else "undecided"
        goal = f"{model}: a gap of {gaps['amount'].max():g} nights costs less than {100 * LOSS_ALLOWED:g} points"
        rows.append((goal, *loss, met))
    words = {"equivalent": "yes", "different": "no"}
    for row in equivalence.to_dict("records"):
        goal = f"{row['comparison']} without a gap, within {100 * row['margin']:g} points"
        rows.append((goal, *Estimate.from_row(row, "difference"), words.get(row["verdict"], "undecided")))
    return pd.DataFrame(rows, columns=["goal", "value", "low", "high", "met"])
