"""Tests of notebook 10 as tables, Holm's correction of each family, and verdicts on the thesis's claims."""

import itertools
import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from sklearn.metrics import average_precision_score, roc_auc_score

from twostamp.evaluation.bootstrap import LEVEL, Bootstrap, Estimate
from twostamp.evaluation.hypothesis_tests import (
    cochran_test,
    correct_p_values,
    corrected_t_test,
    delong_test,
    mcnemar_test,
    probability_better,
)
from twostamp.evaluation.metrics import bootstrap_scores, exchange_scores
from twostamp.evaluation.power import largest_discordance
from twostamp.evaluation.predictions import Predictions
from twostamp.evaluation.verdicts import UNDECIDED, judge, judge_within, make_claim, tabulate_claims
from twostamp.thesis import OBJECTS, PAIRS, SEPARATED, STACKED, STAMP, parse_accuracy

PRIMARY = "corrected t, accuracy"
_AREAS = (roc_auc_score, average_precision_score)
_CURVES = 200  # resamples of a curve, at most

CLAIMS = (
    ("stacked beats one stamp (6.4)", f"{STAMP} < {STACKED}", "better"),
    ("separated beats one stamp (6.4)", f"{STAMP} < {SEPARATED}", "better"),
    ("stacked is better than separated (6.4)", f"{SEPARATED} < {STACKED}", "better"),
    ("stacked and separated do not differ (7.1)", f"{SEPARATED} < {STACKED}", "same"),
)
"""Claims of the thesis, the comparison that tests each, and its expected result."""


def compare_on_splits(scores: pd.DataFrame, test_share: float, margin: float) -> pd.DataFrame:
    """Compare models over repeated splits.

    Parameters
    ----------
    scores : DataFrame
        One row per split, one column per model, from `twostamp.analysis.significance.repeated_splits.train_splits`.
    test_share : float
        Test objects over training objects.
    margin : float
        Largest difference of accuracy that counts as equal.

    Returns
    -------
    DataFrame
        comparison, splits, difference (second minus first), low, high and p of the corrected t test, p of the
        uncorrected one. Then P(second > first) with its exact interval; low 90 and high 90 of the corrected t test;
        within the margin; reason. By these, within the margin is "equivalent", "different" or "undecided".
    """
    rows = []
    for a, b in _present(scores):
        differences = scores[b] - scores[a]
        row = {"comparison": f"{a} < {b}", "splits": len(scores)}
        row |= corrected_t_test(differences, test_share).to_row()
        row["uncorrected p"] = corrected_t_test(differences, 0).p_value
        inner = corrected_t_test(differences, test_share, 2 * LEVEL).difference
        row |= {"low 90": inner.low, "high 90": inner.high, "within": judge_within(inner, len(scores), margin)}
        rows.append(row | probability_better(differences).to_row("P(better)", "P "))
    return pd.DataFrame(rows)


def compare_on_objects(predictions: Predictions, wanted: str = "SN") -> pd.DataFrame:
    """Apply McNemar's and DeLong's tests to the best repetitions, and Cochran's Q to all models, on one set of objects.

    Parameters
    ----------
    predictions : Predictions
    wanted : str
        Class compared with all others by DeLong's test.

    Returns
    -------
    DataFrame
        test, comparison, n, difference (second minus first, in accuracy or area), low, high, p, reason.
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


def compare_scores(predictions: Predictions, bootstrap: Bootstrap) -> pd.DataFrame:
    """Compare accuracy, macro-F1 and class recalls, averaged over repetitions: bootstrap interval, exchange test.

    Returns
    -------
    DataFrame
        comparison, score, first, second (scores of the models), difference (second minus first), low, high (95 %,
        paired and stratified bootstrap), p. For p, predictions are exchanged object by object: a bootstrap's p is far
        too small with 25 objects per class.
    """
    classes, answers = predictions.classes, predictions.predicted
    scores = bootstrap_scores(predictions.labels, answers, len(classes), bootstrap)
    rows = []
    for a, b in _present(scores):
        p_values = exchange_scores(predictions.labels, answers[a], answers[b], len(classes), bootstrap)
        for i, name in enumerate(["accuracy", "macro-F1", *(f"recall {name}" for name in classes)]):
            first, second = scores[a][i], scores[b][i]
            gain = (second - first).estimate()
            rows.append((f"{a} < {b}", name, first.value, second.value, *gain, p_values[i]))
    return pd.DataFrame(rows, columns=["comparison", "score", "first", "second", "difference", "low", "high", "p"])


def tabulate_curves(predictions: Predictions, bootstrap: Bootstrap) -> pd.DataFrame:
    """Tabulate areas under ROC and precision-recall curves of each class against the rest, averaged over repetitions.

    Returns
    -------
    DataFrame
        class, model, trainings, area (ROC), low, high, precision (average precision), precision low, precision high;
        95 % over objects and repetitions.
    """
    rows = []
    for (column, name), (model, values) in itertools.product(
        enumerate(predictions.classes), predictions.probabilities.items()
    ):
        wanted, rng = predictions.labels == column, bootstrap.generator(2)
        drawn = bootstrap.weights(predictions.labels)[:_CURVES]
        chosen = rng.integers(0, len(values), len(drawn))
        areas = np.array(
            [
                [measure(wanted, values[i, :, column], sample_weight=w) for measure in _AREAS]
                for i, w in zip(chosen, drawn, strict=True)
            ]
        )
        found = [np.mean([measure(wanted, each[:, column]) for each in values]) for measure in _AREAS]
        ends = [Estimate.from_resamples(*pair) for pair in zip(found, areas.T, strict=True)]
        rows.append((name, model, len(values), *ends[0], *ends[1]))
    columns = ["class", "model", "trainings", "area", "low", "high", "precision", "precision low", "precision high"]
    return pd.DataFrame(rows, columns=columns)


def correct_all(splits: pd.DataFrame, objects: pd.DataFrame, scores: pd.DataFrame) -> pd.DataFrame:
    """Combine the tests of a run, and correct them for their number (Holm 1979), family by family.

    Parameters
    ----------
    splits, objects, scores : DataFrame
        Tables from `compare_on_splits`, `compare_on_objects` and `compare_scores`. Accuracy is left out of the last,
        since McNemar's test covers it.

    Returns
    -------
    DataFrame
        family, test, comparison, difference, low, high, p, p (Holm), reason. The primary family holds the thesis's
        claims on repeated splits, the secondary one all others. Sorted: primary first, then by p, undefined ones last.
    """
    columns = ["family", "test", "comparison", "difference", "low", "high", "p", "reason"]
    others = scores[scores["score"] != "accuracy"]
    others = others.assign(test="exchange, " + others["score"], reason="", family="secondary")
    tables = [splits.assign(test=PRIMARY, family="primary"), objects.assign(family="secondary"), others]
    filled = [table.reindex(columns=columns) for table in tables if len(table)]
    everything = pd.concat(filled or [pd.DataFrame(columns=columns)], ignore_index=True)
    corrected = everything.groupby("family")["p"].transform(lambda values: correct_p_values(values))
    everything.insert(7, "p (Holm)", corrected)
    return everything.sort_values(["family", "p"], kind="stable", na_position="last", ignore_index=True)


def check_claims(everything: pd.DataFrame, splits: pd.DataFrame, n: int) -> pd.DataFrame:
    """Check whether each claim of the thesis holds on this run's repeated splits.

    Parameters
    ----------
    everything : DataFrame
        Table from `correct_all`.
    splits : DataFrame
        Table from `compare_on_splits`.
    n : int
        Number of test objects per split.

    Returns
    -------
    DataFrame
        Claims as from `twostamp.evaluation.tabulate_claims`: "stands", "falls" (the opposite is shown), "undecided" or
        "not tested". A claim that one model is better needs p (Holm, primary family) below 5 %. A claim that two do not
        differ needs a 90 % interval within the margin.
    """
    primary = everything[everything["test"] == PRIMARY].set_index("comparison")["p (Holm)"]
    by_name, rows = splits.set_index("comparison") if len(splits) else splits, []
    for claim, comparison, expected in CLAIMS:
        if comparison not in primary.index:
            rows.append({"claim": claim, "n": n, "trainings": 0, "verdict": "not tested"})
            continue
        row = by_name.loc[comparison]
        found = Estimate.from_row(row, "difference")
        differs = judge(found, int(row["splits"]), ("stands", "falls")) if primary[comparison] < LEVEL else UNDECIDED
        same = {"equivalent": "stands", "different": "falls"}.get(str(row["within"]), UNDECIDED)
        line = make_claim(claim, found, n, int(row["splits"]))
        rows.append(line | {"verdict": differs if expected == "better" else same})
    return tabulate_claims(rows)


def limit_discordance() -> pd.DataFrame:
    """Find the discordance up to which McNemar's test detects the gains that the thesis prints.

    Returns
    -------
    DataFrame
        set, comparison, n, difference, objects (difference times n), largest number of discordant objects, as a share.
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
    """Measure the inputs of `twostamp.evaluation.power.make_power_table`, which determine the power of the tests.

    Parameters
    ----------
    scores : DataFrame
        Scores, as for `compare_on_splits`.
    predictions : Predictions

    Returns
    -------
    dict of float
        ``discordant`` is the share of objects that only one of two models gets right. ``seed_std`` and ``split_std``
        are standard deviations (ddof 1) of a model's accuracy over repetitions, and of two models' paired difference
        over splits. Each is the largest of the models or pairs; NaN without two of them.
    """
    right, pairs = predictions.right, _present(predictions.right)
    spreads = {
        "discordant": [np.mean(right[a] != right[b]) for a, b in pairs],
        "seed_std": [hits.mean(axis=1).std(ddof=1) for hits in predictions.correct.values() if len(hits) > 1],
        "split_std": [(scores[b] - scores[a]).std(ddof=1) for a, b in _present(scores)],
    }
    return {name: float(max(values, default=np.nan)) for name, values in spreads.items()}


def measure_likeness(predictions: Predictions) -> float:
    """Measure the correlation of being right between two models: stacked and separated, or the last pair; NaN without
    one."""
    right, pairs = predictions.right, _present(predictions.right)
    if not pairs or any(right[model].all() or not right[model].any() for model in pairs[-1]):
        return math.nan
    return float(stats.pearsonr(*(right[model].astype(float) for model in pairs[-1])).statistic)


def _present(models: Iterable[Any]) -> list[tuple[str, str]]:
    return [pair for pair in PAIRS if set(pair) <= set(models)]
