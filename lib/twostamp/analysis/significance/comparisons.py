"""The tests of notebook 10 as tables, Holm's correction over them all, and what they leave of the thesis's claims."""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from statsmodels.stats.multitest import multipletests

from twostamp.evaluation.bootstrap import LEVEL, bootstrap_scores, compare_scores
from twostamp.evaluation.hypothesis_tests import (
    cochran_test,
    compare_splits,
    corrected_t_test,
    delong_test,
    describe_comparison,
    equivalence_p,
    mcnemar_test,
    probability_better,
)
from twostamp.evaluation.power import largest_discordance
from twostamp.evaluation.predictions import Predictions
from twostamp.params import Parameters
from twostamp.thesis import MODELS, THESIS_ACCURACY

PAIRS = (("M0", "M1"), ("M0", "M2"), ("M2", "M1"))
"""The model that the thesis finds worse first."""

THESIS_OBJECTS = {"validation": 1000, "test": 500}

CLAIMS = (
    ("stacked beats one stamp (6.4)", "M0 < M1", "better"),
    ("separated beats one stamp (6.4)", "M0 < M2", "better"),
    ("stacked is better than separated (6.4)", "M2 < M1", "better"),
    ("stacked and separated do not differ (7.1)", "M2 < M1", "same"),
)
"""What the thesis says, the comparison that tests it, and what that should find."""


def compare_on_splits(scores: pd.DataFrame, test_share: float, *, resamples: int, seed: int) -> pd.DataFrame:
    """Compare models over repeated splits.

    Parameters
    ----------
    scores : DataFrame
        One row a split, one column a variant, as of `twostamp.analysis.significance.repeated_splits.pivot_scores`.
    test_share : float
        Test objects over training objects.
    resamples, seed : int
        Of the interval of P(A > B).

    Returns
    -------
    DataFrame
        comparison, splits, difference (second minus first), low, high and p of the corrected t, the p of the
        uncorrected one, P(second > first) with its interval, reason.
    """
    rows = []
    for a, b in _present([model for model, variant in MODELS.items() if variant in scores]):
        first, second = scores[MODELS[a]], scores[MODELS[b]]
        row = {"comparison": f"{a} < {b}", "splits": len(scores)}
        row |= describe_comparison(compare_splits(second, first, test_share))
        row["uncorrected p"] = corrected_t_test(second - first, 0).p_value
        better = probability_better(second, first, resamples=resamples, seed=seed)
        rows.append(row | dict(zip(("P(better)", "P low", "P high"), better)))
    return pd.DataFrame(rows)


def check_equivalence(scores: pd.DataFrame, test_share: float, margin: float) -> pd.DataFrame:
    """Two one-sided tests for stacked against separated over repeated splits, corrected and not.

    Returns
    -------
    DataFrame
        comparison, margin, difference, p (corrected), uncorrected p, verdict; empty if one of them was not trained.
    """
    if not {MODELS["M1"], MODELS["M2"]} <= set(scores.columns):
        return pd.DataFrame()
    differences = scores[MODELS["M1"]] - scores[MODELS["M2"]]
    p_value, plain = (equivalence_p(differences, margin, share) for share in (test_share, 0.0))
    verdict = "equivalent" if p_value < LEVEL else "not shown to be equivalent"
    row = ("M2 < M1", margin, differences.mean(), p_value, plain, verdict)
    return pd.DataFrame([row], columns=["comparison", "margin", "difference", "p", "uncorrected p", "verdict"])


def compare_on_objects(predictions: Predictions, wanted: str = "SN") -> pd.DataFrame:
    """McNemar's and DeLong's tests of the best repetitions, and Cochran's Q of all models, on one set of objects.

    Parameters
    ----------
    predictions : Predictions
    wanted : str
        Class set against all others by DeLong's test.

    Returns
    -------
    DataFrame
        test, comparison, n, difference (second minus first; of accuracies or of areas), low, high, p, reason.
    """
    labels, rows = predictions.labels, []
    column = predictions.classes.index(wanted)
    for a, b in _present(predictions.probabilities):
        right = [predictions.right[model] for model in (b, a)]
        scores = [predictions.probabilities[model][0, :, column] for model in (b, a)]
        common = {"comparison": f"{a} < {b}", "n": len(labels)}
        rows.append({"test": "McNemar", **common, **describe_comparison(mcnemar_test(*right))})
        found = delong_test(labels == column, *scores)
        rows.append({"test": f"DeLong, {wanted} against rest", **common, **describe_comparison(found)})
    if len(predictions.right) > 2:
        p_value = cochran_test(np.stack(list(predictions.right.values()), axis=1))[1]
        reason = "" if p_value == p_value else "all are right on the same objects"
        name = " = ".join(predictions.right)
        rows.append({"test": "Cochran's Q", "comparison": name, "n": len(labels), "p": p_value, "reason": reason})
    return pd.DataFrame(rows)


def compare_by_bootstrap(predictions: Predictions, params: Parameters) -> pd.DataFrame:
    """Paired stratified bootstrap of macro-F1 and of the recall of each class, mean over the repetitions.

    Returns
    -------
    DataFrame
        Of `twostamp.evaluation.bootstrap.compare_scores`.
    """
    size = {"resamples": params.bootstrap_resamples, "seed": params.seed}
    scores = bootstrap_scores(predictions.labels, predictions.predicted, len(predictions.classes), **size)
    return compare_scores(scores, PAIRS, predictions.classes)


def correct_all(splits: pd.DataFrame, objects: pd.DataFrame, bootstrap: pd.DataFrame) -> pd.DataFrame:
    """Put the tests of a run together and correct them for their number (Holm 1979).

    Parameters
    ----------
    splits, objects, bootstrap : DataFrame
        Of the three functions above. Accuracy by the bootstrap stays out: McNemar's test has it.

    Returns
    -------
    DataFrame
        test, comparison, difference, low, high, p, p (Holm), reason; smallest p first, undefined ones last.
    """
    resampled = bootstrap[bootstrap["score"] != "accuracy"] if len(bootstrap) else bootstrap
    columns = ["test", "comparison", "difference", "low", "high", "p", "reason"]
    tables = [pd.DataFrame(columns=columns), splits.assign(test="corrected t, accuracy"), objects]
    if len(resampled):
        tables.append(resampled.assign(test="bootstrap, " + resampled["score"], reason=""))
    filled = [table.reindex(columns=columns) for table in tables if len(table)]
    everything = pd.concat(filled or tables[:1], ignore_index=True)
    corrected, defined = pd.Series(np.nan, index=everything.index), everything["p"].notna()
    if defined.any():
        corrected[defined] = multipletests(everything.loc[defined, "p"], method="holm")[1]
    everything.insert(6, "p (Holm)", corrected)
    return everything.sort_values("p", kind="stable", na_position="last", ignore_index=True)


def judge_claims(everything: pd.DataFrame, equivalence: pd.DataFrame) -> pd.DataFrame:
    """Say of each claim of the thesis whether this run's repeated splits bear it out.

    Parameters
    ----------
    everything : DataFrame
        Of `correct_all`.
    equivalence : DataFrame
        Of `check_equivalence`.

    Returns
    -------
    DataFrame
        claim, difference, low, high, p (Holm; for the last claim that of the equivalence test), stands: "yes", "no"
        (the opposite is shown), "undecided" or "not tested".
    """
    on_splits = everything[everything["test"] == "corrected t, accuracy"].set_index("comparison")
    rows: list[dict[str, Any]] = []
    interval = ["difference", "low", "high"]
    for claim, comparison, expected in CLAIMS:
        if comparison not in on_splits.index:
            rows.append({"claim": claim, "stands": "not tested"})
            continue
        row = on_splits.loc[comparison]
        differs, better = row["p (Holm)"] < LEVEL, row["difference"] > 0
        p_value = row["p (Holm)"] if expected == "better" else equivalence["p"].iloc[0]
        yes, no = (differs and better, differs and not better) if expected == "better" else (p_value < LEVEL, differs)
        stands = "yes" if yes else "no" if no else "undecided"
        rows.append({"claim": claim, "p": p_value, "stands": stands} | {name: row[name] for name in interval})
    return pd.DataFrame(rows, columns=["claim", *interval, "p", "stands"])


def limit_thesis() -> pd.DataFrame:
    """How often two of the thesis's models may differ in being right before McNemar's test no longer sees its gains.

    Returns
    -------
    DataFrame
        set, comparison, n, difference, objects (difference times n), discordant objects at most, as a share.
    """
    rows = []
    for name, n in THESIS_OBJECTS.items():
        for a, b in PAIRS:
            gain = round((THESIS_ACCURACY[b][name][0] - THESIS_ACCURACY[a][name][0]) * n)
            most = largest_discordance(gain, n)
            rows.append((name, f"{a} < {b}", n, gain / n, gain, most, most / n))
    columns = ["set", "comparison", "n", "difference", "objects", "discordant objects at most", "share at most"]
    return pd.DataFrame(rows, columns=columns)


def spread_of_splits(scores: pd.DataFrame) -> float:
    """Largest standard deviation (ddof 1) of the paired difference of two models over splits; NaN with one model."""
    present = _present([model for model, variant in MODELS.items() if variant in scores])
    spreads = [float((scores[MODELS[b]] - scores[MODELS[a]]).std(ddof=1)) for a, b in present]
    return max(spreads, default=float("nan"))


def spread_of_seeds(predictions: Predictions) -> float:
    """Largest standard deviation (ddof 1) of a model's accuracy over its repetitions; NaN with one repetition."""
    spreads = [
        float((answers == predictions.labels).mean(axis=1).std(ddof=1))
        for answers in predictions.predicted.values()
        if len(answers) > 1
    ]
    return max(spreads, default=float("nan"))


def discordant_share(right: Mapping[str, ArrayLike]) -> float:
    """Largest share of objects that only one of two models gets right, over the pairs of models; NaN with one model."""
    shares = [float(np.mean(np.asarray(right[a]) != np.asarray(right[b]))) for a, b in _present(right)]
    return max(shares, default=float("nan"))


def _present(models: Collection[str]) -> list[tuple[str, str]]:
    return [(a, b) for a, b in PAIRS if a in models and b in models]
