"""Number of candidates to inspect for each true supernova, in a given mix of classes."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from twostamp.evaluation.bootstrap import LEVEL, Bootstrap, Resampled
from twostamp.evaluation.calibration import shift_priors, weigh_classes
from twostamp.utils.typing import Floats

_COMPLETENESS = (0.5, 0.8, 0.9, 0.95)


def count_candidates(
    scores: ArrayLike, wanted: ArrayLike, weights: ArrayLike, completeness: ArrayLike = _COMPLETENESS
) -> Floats:
    """Count candidates per true object of a class, if enough are taken from the top to reach a completeness.

    Parameters
    ----------
    scores : array_like, shape (n,)
        Scores, higher for the wanted class; equal scores are taken together.
    wanted : array_like of bool, shape (n,)
    weights : array_like, shape (n,)
        Number of objects that each represents, so that the classes have the shares of a night.
    completeness : array_like, shape (m,)

    Returns
    -------
    ndarray, shape (m,)
        Candidates per true object; 1 is the best possible.

    Examples
    --------
    Two of three are found at the third place; the last one needs all five:

    >>> count_candidates([0.9, 0.8, 0.7, 0.6, 0.5], [True, False, True, False, True], np.ones(5), [0.6, 1.0]).tolist()
    [1.5, 1.6666666666666667]
    """
    scores, wanted, weights = np.asarray(scores, float), np.asarray(wanted, bool), np.asarray(weights, float)
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.diff(scores[order]) != 0, True)  # of equal scores
    looked_at, found = np.cumsum(weights[order])[last], np.cumsum((weights * wanted)[order])[last]
    if not found[-1] > 0:  # a mix without the wanted class
        return np.full(np.shape(completeness), np.nan)
    needed = np.asarray(completeness, float) * found[-1] * (1 - 1e-12)
    place = np.searchsorted(found, needed)
    return looked_at[place] / found[place]


def tabulate_candidates(
    probabilities: Mapping[str, Floats],
    labels: ArrayLike,
    shares: ArrayLike,
    wanted: int,
    bootstrap: Bootstrap,
    drawn_shares: ArrayLike | None = None,
    *,
    completeness: Sequence[float] = _COMPLETENESS,
    reference: str = "M0",
) -> pd.DataFrame:
    """Tabulate candidates per true object of a class by model, in one mix of classes, against a reference model.

    Parameters
    ----------
    probabilities : mapping of str to ndarray, shape (n, k)
        Probabilities of each model, calibrated for equal shares; corrected to the mix before objects are ranked.
    labels : array_like of int, shape (n,)
    shares : array_like, shape (k,)
        Shares of the classes in the mix.
    wanted : int
        Index of the wanted class.
    bootstrap : Bootstrap
        Bootstrap over objects within each class, the same for all models.
    drawn_shares : array_like, shape (b, k), optional
        Resampled shares, if the mix is an estimate: the resamples use them in turn.
    completeness : sequence of float
    reference : str
        Reference model, from whose candidates the others' are subtracted.

    Returns
    -------
    DataFrame
        model, completeness, candidates, low, high, and fewer: candidates saved against the reference, with its
        interval. If no false candidate is found, high is the upper limit of the exact 95 % interval of their share.
    """
    labels, mixes = np.asarray(labels), np.atleast_2d(shares if drawn_shares is None else drawn_shares)
    true, drawn, counted = labels == wanted, bootstrap.weights(labels), {}
    others = np.asarray(shares, float)[np.arange(mixes.shape[1]) != wanted].sum()
    for model, given in probabilities.items():
        cases = [(shares, 1), *((mixes[i % len(mixes)], weights) for i, weights in enumerate(drawn))]
        counts = [_count_in_mix(given, labels, mix, wanted, weights, completeness) for mix, weights in cases]
        counted[model] = Resampled(counts[0], np.stack(counts[1:]))
    unseen = float(1 - (LEVEL / 2) ** (1 / max(1, (~true).sum())))  # limit of the others' share
    rows = []
    for model, found in counted.items():
        for i, share in enumerate(completeness):
            row = {"model": model, "completeness": share} | found[i].estimate().to_row("candidates")
            if found[i].value == 1:
                row["high"] = max(row["high"], 1 + others * unseen / (np.asarray(shares)[wanted] * share))
            if reference in counted and model != reference:
                row |= (counted[reference] - found)[i].estimate().to_row("fewer", "fewer ")
            rows.append(row)
    return pd.DataFrame(rows)


def _count_in_mix(
    given: Floats, labels: ArrayLike, shares: ArrayLike, wanted: int, weights: ArrayLike, completeness: ArrayLike
) -> Floats:
    """Apply `count_candidates` to probabilities corrected to a mix, with objects weighted to it."""
    scores = shift_priors(given, shares)[:, wanted]
    of_object = weigh_classes(labels, shares) * np.asarray(weights, float)
    return count_candidates(scores, np.asarray(labels) == wanted, of_object, completeness)


def make_rare(shares: ArrayLike, wanted: int, share: float) -> Floats:
    """Set the share of one class; the others keep their proportions.

    Examples
    --------
    >>> make_rare([0.5, 0.25, 0.25], wanted=2, share=0.04).tolist()
    [0.64, 0.32, 0.04]
    """
    others = np.asarray(shares, float).copy()
    others[wanted] = 0
    others *= (1 - share) / others.sum()
    others[wanted] = share
    return others
