"""The tests of notebook 10 as tables, Holm's correction over them all, and what they leave of the thesis's claims."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from twostamp.evaluation.bootstrap import LEVEL, Bootstrap
from twostamp.evaluation.hypothesis_tests import (
    cochran_test,
    correct_p_values,
    corrected_t_test,
    delong_test,
    equivalence_p,
    mcnemar_test,
    probability_better,
)
from twostamp.evaluation.metrics import bootstrap_scores
from twostamp.evaluation.power import largest_discordance
from twostamp.evaluation.predictions import Predictions
from twostamp.thesis import OBJECTS, PAIRS, SEPARATED, STACKED, STAMP, parse_accuracy

CLAIMS = (
    ("stacked beats one stamp (6.4)", f"{STAMP} < {STACKED}", "better"),
    ("separated beats one stamp (6.4)", f"{STAMP} < {SEPARATED}", "better"),
    ("stacked is better than separated (6.4)", f"{SEPARATED} < {STACKED}", "better"),
    ("stacked and separated do not differ (7.1)", f"{SEPARATED} < {STACKED}", "same"),
)
"""What the thesis says, the comparison that tests it, and what that should find."""


def compare_on_splits(scores: pd.DataFrame, test_share: float, bootstrap: Bootstrap) -> pd.DataFrame:
    """Compare models over repeated splits.

    Parameters
    ----------
    scores : DataFrame
        One row a split, one column a model, as of `twostamp.analysis.significance.repeated_splits.pivot_scores`.
    test_share : float
        Test objects over training objects.
    bootstrap : Bootstrap
        Of the interval of P(A > B), over splits.

    Returns
    -------
    DataFrame
        comparison, splits, difference (second minus first), low, high and p of the corrected t, the p of the
        uncorrected one, P(second > first) with its interval, reason.
    """
    rows = []
    for a, b in _present(scores):
        differences = scores[b] - scores[a]
        row = {"comparison": f"{a} < {b}", "splits": len(scores)}
        row |= corrected_t_test(differences, test_share).to_row()
        row["uncorrected p"] = corrected_t_test(differences, 0).p_value
        rows.append(row | probability_better(differences, bootstrap).to_row("P(better)", "P "))
    return pd.DataFrame(rows)


def check_equivalence(scores: pd.DataFrame, test_share: float, margin: float) -> pd.DataFrame:
    """Two one-sided tests for stacked against separated over repeated splits, corrected and not.

    Returns
    -------
    DataFrame
        comparison, margin, difference, p (corrected), uncorrected p, verdict; empty if one of them was not trained.
    """
    if not {STACKED, SEPARATED} <= set(scores.columns):
        return pd.DataFrame()
    differences = scores[STACKED] - scores[SEPARATED]
    p_value, plain = (equivalence_p(differences, margin, share) for share in (test_share, 0.0))
    verdict = "equivalent" if p_value < LEVEL else "not shown to be equivalent"
    row = (f"{SEPARATED} < {STACKED}", margin, differences.mean(), p_value, plain, verdict)
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
    labels, right, column = predictions.labels, predictions.right, predictions.classes.index(wanted)
    scores = {model: values[0, :, column] for model, values in predictions.probabilities.items()}
    found = []
    for a, b in _present(right):
        found.append(("McNemar", f"{a} < {b}", mcnemar_test(right[b], right[a])))
        areas = delong_test(labels == column, scores[b], scores[a])
        found.append((f"DeLong, {wanted} against rest", f"{a} < {b}", areas))
    if len(right) > 2:
        found.append(("Cochran's Q", " = ".join(right), cochran_test(np.stack(list(right.values()), axis=1))))
    rows = [{"test": test, "comparison": name, "n": len(labels), **result.to_row()} for test, name, result in found]
    return pd.DataFrame(rows)


def compare_by_bootstrap(predictions: Predictions, bootstrap: Bootstrap) -> pd.DataFrame:
    """Paired stratified bootstrap of accuracy, macro-F1 and the recall of each class, mean over the repetitions.

    Returns
    -------
    DataFrame
        comparison, score, first, second (of the two models), difference (second minus first), low, high (95 %), p.
    """
    classes = predictions.classes
    scores = bootstrap_scores(predictions.labels, predictions.predicted, len(classes), bootstrap)
    rows = []
    for a, b in _present(scores):
        for i, name in enumerate(["accuracy", "macro-F1", *(f"recall {name}" for name in classes)]):
            first, second = scores[a][i], scores[b][i]
            gain = second - first
            rows.append((f"{a} < {b}", name, first.value, second.value, *gain.estimate(), gain.p_value))
    return pd.DataFrame(rows, columns=["comparison", "score", "first", "second", "difference", "low", "high", "p"])


def correct_all(splits: pd.DataFrame, objects: pd.DataFrame, resampled: pd.DataFrame) -> pd.DataFrame:
    """Put the tests of a run together and correct them for their number (Holm 1979).

    Parameters
    ----------
    splits, objects, resampled : DataFrame
        Of the three functions above. Accuracy by the bootstrap stays out: McNemar's test has it.

    Returns
    -------
    DataFrame
        test, comparison, difference, low, high, p, p (Holm), reason; smallest p first, undefined ones last.
    """
    columns = ["test", "comparison", "difference", "low", "high", "p", "reason"]
    others = resampled[resampled["score"] != "accuracy"]
    others = others.assign(test="bootstrap, " + others["score"], reason="")
    tables = [splits.assign(test="corrected t, accuracy"), objects, others]
    filled = [table.reindex(columns=columns) for table in tables if len(table)]
    everything = pd.concat(filled or [pd.DataFrame(columns=columns)], ignore_index=True)
    everything.insert(6, "p (Holm)", correct_p_values(everything["p"]))
    return everything.sort_values("p", kind="stable", na_position="last", ignore_index=True)


def check_claims(everything: pd.DataFrame, equivalence: pd.DataFrame) -> pd.DataFrame:
    """Check whether each claim of the thesis stands on this run's repeated splits.

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


def limit_discordance() -> pd.DataFrame:
    """How often two of the thesis's models may differ in being right before McNemar's test no longer sees its gains.

    Returns
    -------
    DataFrame
        set, comparison, n, difference, objects (difference times n), discordant objects at most, as a share.
    """
    rows = []
    for name, n in OBJECTS.items():
        for a, b in PAIRS:
            gain = round((parse_accuracy(b, name)[0] - parse_accuracy(a, name)[0]) * n)
            most = largest_discordance(gain, n)
            rows.append((name, f"{a} < {b}", n, gain / n, gain, most, most / n))
    columns = ["set", "comparison", "n", "difference", "objects", "discordant objects at most", "share at most"]
    return pd.DataFrame(rows, columns=columns)


def measure_spreads(scores: pd.DataFrame, predictions: Predictions) -> dict[str, float]:
    """Measure what the power of the tests depends on, as `twostamp.evaluation.power.make_power_table` takes it.

    Parameters
    ----------
    scores : DataFrame
        As for `compare_on_splits`.
    predictions : Predictions

    Returns
    -------
    dict of float
        discordant: share of objects that only one of two models gets right; seed_std and split_std: standard deviations
        (ddof 1) of a model's accuracy over repetitions, and of the paired difference of two models over splits. The
        largest of the models and pairs; NaN without two of them.
    """
    right, pairs = predictions.right, _present(predictions.right)
    spreads = {
        "discordant": [np.mean(right[a] != right[b]) for a, b in pairs],
        "seed_std": [hits.mean(axis=1).std(ddof=1) for hits in predictions.correct.values() if len(hits) > 1],
        "split_std": [(scores[b] - scores[a]).std(ddof=1) for a, b in _present(scores)],
    }
    return {name: float(max(values, default=np.nan)) for name, values in spreads.items()}


def _present(models: Iterable[Any]) -> list[tuple[str, str]]:
    return [pair for pair in PAIRS if set(pair) <= set(models)]
