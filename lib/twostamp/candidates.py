"""The astronomer's question: how many candidates are looked at for each true supernova, in which mix of classes?"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from twostamp.bootstrap import draw_weights, percentile_interval
from twostamp.calibration import apply_temperature, estimate_shares, shift_priors
from twostamp.params import Parameters

Floats = NDArray[np.float64]
COMPLETENESS = (0.5, 0.8, 0.9, 0.95)
SHARE_RESAMPLES = 200
SHARE_OBJECTS = 20_000  # among which an estimate of shares is resampled


def count_candidates(
    scores: ArrayLike, wanted: ArrayLike, weights: ArrayLike, completeness: ArrayLike = COMPLETENESS
) -> Floats:
    """Candidates per true object of the wanted class, when as many are taken from the top as a completeness needs.

    Parameters
    ----------
    scores : array_like, shape (n,)
        Higher for the wanted class; equal ones are taken together.
    wanted : array_like of bool, shape (n,)
    weights : array_like, shape (n,)
        How many objects each stands for, so that the classes have the shares of a night.
    completeness : array_like, shape (m,)

    Returns
    -------
    ndarray, shape (m,)
        1 is the best there can be.

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
    *,
    resamples: int,
    seed: int,
    completeness: Sequence[float] = COMPLETENESS,
    reference: str = "M0",
) -> pd.DataFrame:
    """Candidates per true object of a class for several models, in one mix of classes, and against a reference model.

    Parameters
    ----------
    probabilities : mapping of str to ndarray, shape (n, k)
        Of each model, calibrated for equal shares; they are corrected to the mix before objects are ranked.
    labels : array_like of int, shape (n,)
    shares : array_like, shape (k,)
        Of the classes in the mix.
    wanted : int
        Index of the class looked for.
    resamples, seed : int
        Of the bootstrap over objects within their classes, the same for all models.
    completeness : sequence of float
    reference : str
        Model whose candidates the others' are subtracted from.

    Returns
    -------
    DataFrame
        model, completeness, candidates, low, high, and fewer: those saved against the reference, with its interval.
    """
    labels, shares = np.asarray(labels), np.asarray(shares, float)
    drawn = draw_weights(labels, resamples, seed)
    per_object = (shares / np.maximum(np.bincount(labels, minlength=shares.size), 1))[labels]
    values, resampled = {}, {}
    for model, given in probabilities.items():
        scores, true = shift_priors(given, shares)[:, wanted], labels == wanted
        values[model] = count_candidates(scores, true, per_object, completeness)
        resampled[model] = np.stack(
            [count_candidates(scores, true, per_object * weights, completeness) for weights in drawn]
        )
    rows = []
    for model in probabilities:
        for i, share in enumerate(completeness):
            row = {"model": model, "completeness": share, "candidates": values[model][i]}
            row |= dict(zip(("low", "high"), percentile_interval(resampled[model][:, i])))
            if reference in probabilities and model != reference:
                row["fewer"] = values[reference][i] - values[model][i]
                saved = resampled[reference][:, i] - resampled[model][:, i]
                row |= dict(zip(("fewer low", "fewer high"), percentile_interval(saved)))
            rows.append(row)
    return pd.DataFrame(rows)


def make_rare(shares: ArrayLike, wanted: int, share: float) -> Floats:
    """Give a class a share of its own, the others keeping their proportions.

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


def describe_candidates(curves: Mapping[str, pd.DataFrame], completeness: float = 0.9) -> list[str]:
    """Say how many candidates each model needs at one completeness, one sentence a table of `tabulate_candidates`."""
    sentences = []
    for title, table in curves.items():
        rows = table[table["completeness"] == completeness].to_dict("records")
        values = [f"{r['model']} {r['candidates']:.1f} ({r['low']:.1f} to {r['high']:.1f})" for r in rows]
        sentences.append(f"{title}: candidates per true one at {completeness:.0%}: {', '.join(values)}")
    return sentences


def choose_mix(
    predictions: Path, temperature: float, classes: Sequence[str], params: Parameters, truth: Path | None = None
) -> tuple[pd.DataFrame, str]:
    """Shares of the classes among a night's new objects, and where they come from.

    Parameters
    ----------
    predictions : Path
        ``predictions.parquet`` of notebook 07; need not exist.
    temperature : float
        Of the model that made them.
    classes : sequence of str
    params : Parameters
        night_mix, seed.
    truth : Path, optional
        A simulated survey's ``truth.csv``: the mix that the estimate should find.

    Returns
    -------
    mix : DataFrame
        class, share, low, high (95 %, bootstrap over the objects), called (share of the objects that the model calls
        so) and true, as far as they are known.
    source : str
        One sentence.
    """
    if params.night_mix:
        given = np.array([params.night_mix.get(name, 0.0) for name in classes])
        return pd.DataFrame({"class": list(classes), "share": given / given.sum()}), "given by the parameter night_mix"
    if not predictions.exists():
        equal = np.full(len(classes), 1 / len(classes))
        return pd.DataFrame({"class": list(classes), "share": equal}), "equal, for this run has no unlabelled objects"
    table = pd.read_parquet(predictions, columns=["objectId", *classes])
    probabilities = apply_temperature(table[list(classes)].to_numpy(), temperature)
    rng = np.random.default_rng([params.seed, 12])
    sample = probabilities[rng.permutation(len(table))[:SHARE_OBJECTS]]
    drawn = rng.multinomial(len(sample), np.full(len(sample), 1 / len(sample)), size=SHARE_RESAMPLES)
    estimates = np.stack([estimate_shares(sample, weights) for weights in drawn])
    low, high = np.quantile(estimates, [0.025, 0.975], axis=0)
    called = np.bincount(probabilities.argmax(axis=1), minlength=len(classes)) / len(table)
    shares = estimate_shares(probabilities)
    mix = pd.DataFrame({"class": list(classes), "share": shares, "low": low, "high": high, "called": called})
    if truth is not None and truth.exists():
        known = pd.read_csv(truth).set_index("objectId")["classALeRCE"].reindex(table["objectId"])
        mix["true"] = mix["class"].map(known.value_counts(normalize=True)).fillna(0.0)
    return mix, f"estimated from the {len(table)} unlabelled objects of notebook 07 (expectation and maximisation)"
