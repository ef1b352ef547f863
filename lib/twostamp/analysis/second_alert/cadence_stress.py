"""Cadence stress: performance of a classifier when ``deltajd`` differs from its training (thesis section 6.11).

A perturbation changes the days between the two alerts and nothing else. The second alert keeps its own stamps and
metadata: the packets that the survey would have sent after a gap are not available. A source that rose or faded
meanwhile therefore looks as it did. The test measures how much a prediction relies on the number itself.

Asteroids are excluded from the accuracy under stress, which is that of the classes that stay in place. A detection at
the same position a month later is another asteroid, so a gap does not delay an asteroid's second alert.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from twostamp.data.arrays import Arrays, scale_deltajd
from twostamp.data.features import DELTAJD_FLOOR, Scaler
from twostamp.evaluation.bootstrap import LEVEL, Bootstrap, Estimate, balance
from twostamp.evaluation.predictions import Predictions
from twostamp.evaluation.verdicts import judge_within, make_claim, tabulate_claims
from twostamp.taxonomy import MOVING

Days = NDArray[np.float64]

UNDISTURBED = "none"
SHIFTS = (-1.0, 1.0)  # days
LIMITS = (1.0, 10.0)  # days
FACTORS = (0.5, 2.0, 5.0)
LOSS_ALLOWED = 0.02
"""Largest accepted loss of accuracy under the longest gap, for a classifier trained with gaps."""
STAYING = "all but asteroids"


PERTURBATIONS: dict[str, Callable[[Days, float], Days]] = {
    # the second visit falls into a weather gap; the next one follows the gap
    "gap": lambda days, nights: days + nights,
    # the second alert stays later than the first, at least by the floor of decision M7
    "shift": lambda days, by: np.maximum(days + by, DELTAJD_FLOOR),
    # longer separations are set to the limit; none is dropped
    "censor": np.minimum,
    # every field is visited less often by this factor (more often if below 1)
    "stretch": lambda days, factor: np.maximum(days * factor, DELTAJD_FLOOR),
}


@dataclass(frozen=True)
class Stress:
    """Perturbation of the days between two alerts.

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
        """Return the name, for example ``gap 30``."""
        return f"{self.kind} {self.amount:g}"

    def __call__(self, days: ArrayLike) -> Days:
        """Apply the perturbation to days, of any shape."""
        return PERTURBATIONS[self.kind](np.asarray(days, np.float64), self.amount)


def list_stresses(gap_nights: Sequence[float]) -> list[Stress]:
    """List the perturbations of notebook 12: the gaps of a run, and a few shifts, limits and factors.

    Examples
    --------
    >>> [stress.name for stress in list_stresses([30])][:3]
    ['gap 30', 'shift -1', 'shift 1']
    """
    amounts = {"gap": sorted(gap_nights), "shift": SHIFTS, "censor": LIMITS, "stretch": FACTORS}
    return [Stress(kind, amount) for kind, values in amounts.items() for amount in values]


def unscale_deltajd(deltajd: ArrayLike, scaler: Scaler) -> Days:
    """Convert standardised ln deltajd of any shape to days: the inverse of `twostamp.data.arrays.scale_deltajd`."""
    mean, std = scaler.deltajd
    return np.exp(np.asarray(deltajd, np.float64) * std + mean)


def perturb(arrays: Arrays, scaler: Scaler, change: Callable[[Days], Days]) -> Arrays:
    """Change the days between the alerts of prepared objects, and nothing else.

    Parameters
    ----------
    arrays : Arrays
        Objects with second alerts.
    scaler : Scaler
        Scaler that they were prepared with.
    change : callable
        Function from days, shape (n,), to days.
    """
    if arrays.deltajd is None:
        raise ValueError("these objects have no second alert, so there are no days between two to change")
    return replace(arrays, deltajd=scale_deltajd(change(unscale_deltajd(arrays.deltajd[:, 0], scaler)), scaler))


def tabulate_stress(seen: Mapping[str, Predictions], stresses: Sequence[Stress], bootstrap: Bootstrap) -> pd.DataFrame:
    """Tabulate the accuracy and loss of every model under every perturbation, by class.

    Parameters
    ----------
    seen : mapping of str to Predictions
        Predictions by name of a stress, and for `UNDISTURBED`; the same models in each that applies to them.
    stresses : sequence of Stress
    bootstrap : Bootstrap

    Returns
    -------
    DataFrame
        model, objects, kind, amount, n, repetitions, accuracy, low, high, loss (against no perturbation), loss low,
        loss high; 95 % intervals over objects and repetitions. ``objects`` is a class or `STAYING`, the mean recall of
        the classes that stay in place. A gap of 0 means no perturbation.
    """
    rows = []
    for model in seen[UNDISTURBED].probabilities if seen else ():
        undisturbed = seen[UNDISTURBED]
        labels, classes = undisturbed.labels, undisturbed.classes
        right = {name: view.correct[model] for name, view in seen.items() if model in view.probabilities}
        groups = {name: labels == label for label, name in enumerate(classes)}
        groups = {STAYING: np.logical_not(groups.get(MOVING, np.zeros(labels.shape, bool)))} | groups
        for group, members in groups.items():
            means = bootstrap.means(right, labels, balance(labels, members))
            for stress in (Stress("gap", 0), *stresses):
                name = stress.name if stress.amount or stress.kind != "gap" else UNDISTURBED
                if name in means:
                    loss = (means[UNDISTURBED] - means[name]).estimate()
                    size = int(members.sum()), len(right[UNDISTURBED])
                    rows.append((model, group, stress.kind, stress.amount, *size, *means[name].estimate(), *loss))
    columns = ["model", "objects", "kind", "amount", "n", "repetitions", "accuracy", "low", "high"]
    return pd.DataFrame(rows, columns=[*columns, "loss", "loss low", "loss high"])


def check_goals(
    stress: pd.DataFrame, view: Predictions, learned: Mapping[str, str], margin: float, bootstrap: Bootstrap
) -> pd.DataFrame:
    """Check whether training with gaps makes a classifier robust against them at no cost.

    Parameters
    ----------
    stress : DataFrame
        Table from `tabulate_stress`.
    view : Predictions
        Undisturbed predictions.
    learned : mapping of str to str
        Models trained with gaps, and their twins trained without.
    margin : float
        Largest difference of accuracy that counts as equal.
    bootstrap : Bootstrap

    Returns
    -------
    DataFrame
        Claims as from `twostamp.evaluation.tabulate_claims`, with 95 % intervals. The longest gap costs less than
        `LOSS_ALLOWED`: "yes", "no", "undecided". Undisturbed, the model is as good as its twin: "equivalent" with the
        90 % interval, which is not shown, within the margin (two one-sided tests), "different" with it outside.
    """
    gaps = stress[(stress["kind"] == "gap") & (stress["objects"] == STAYING)]
    longest = gaps[gaps["amount"] == gaps["amount"].max()].set_index("model")
    rows = []
    for model in (name for name in view.probabilities if name in longest.index):
        row = longest.loc[model]
        loss = Estimate.from_row(row, "loss", "loss ")
        claim = f"{model}: a gap of {row['amount']:g} nights costs {STAYING} less than {100 * LOSS_ALLOWED:g} points"
        rows.append(make_claim(claim, loss, row["n"], int(row["repetitions"]), ("no", "yes"), at=LOSS_ALLOWED))
    for model, twin in learned.items():
        difference = view.correct[model].astype(float) - view.correct[twin]
        found, r = bootstrap.means({"": difference}, view.labels)[""], len(difference)
        claim = f"{model} as good as {twin} without a gap, within {100 * margin:g} points"
        row = make_claim(claim, found.estimate(), len(view.labels), r)
        rows.append(row | {"verdict": judge_within(found.estimate(2 * LEVEL), r, margin)})
    return tabulate_claims(rows)
