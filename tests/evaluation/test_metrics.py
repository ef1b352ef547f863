"""Scores against the slow obvious counts and scikit-learn's own."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, precision_recall_fscore_support

from twostamp.analysis.model_search import format_search
from twostamp.evaluation.metrics import (
    accuracy,
    class_report,
    confusion_counts,
    confusion_mean_std,
    format_mean_std,
    report_mean_std,
)

predictions = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=60)


@given(predictions)
def test_counts_and_scores_are_those_of_the_predictions(pairs: list[tuple[int, int]]) -> None:
    true, predicted = np.array(pairs).T
    counts = confusion_counts(true, predicted, 4)
    slow = np.zeros((4, 4), int)
    for row, column in pairs:
        slow[row, column] += 1
    np.testing.assert_array_equal(counts, slow)
    assert accuracy(counts) == pytest.approx(accuracy_score(true, predicted))
    expected = precision_recall_fscore_support(true, predicted, labels=range(4), zero_division=0.0)
    report = class_report(counts, list("abcd"))
    for name, values in zip(("precision", "recall", "f1", "support"), expected, strict=True):
        np.testing.assert_allclose(report[name][:4], values)
    assert report["f1"].iloc[4] == pytest.approx(np.mean(expected[2]))


def test_rows_are_true_classes() -> None:
    assert confusion_counts([1, 1, 1], [0, 0, 1], 2).tolist() == [[0, 0], [2, 1]]


def test_mean_and_std_over_repetitions_use_ddof_0() -> None:
    mean, std = confusion_mean_std(pd.Series([[[9, 1], [0, 10]], [[7, 3], [10, 10]]], index=[4, 9]))
    np.testing.assert_allclose(mean, [[0.8, 0.2], [0.25, 0.75]])
    np.testing.assert_allclose(std, [[0.1, 0.1], [0.25, 0.25]])


def test_a_class_without_objects_is_not_a_number_and_nothing_breaks() -> None:
    mean, _ = confusion_mean_std([[[4, 0], [0, 0]]])
    assert np.isnan(mean[1]).all()
    assert np.isnan(accuracy(np.zeros((2, 2))))
    assert confusion_counts([], [], 2).sum() == 0
    assert class_report([[4, 0], [0, 0]], ["a", "b"])["recall"].tolist() == [1, 0, 0.5]


def test_report_over_repetitions_keeps_the_order_of_classes() -> None:
    report = report_mean_std([[[4, 0], [1, 3]], [[2, 2], [1, 3]]], ["VS", "AGN"])
    assert report["class"].tolist() == ["VS", "AGN", "macro"]
    assert report["recall"].tolist() == ["0.750 ± 0.250", "0.750 ± 0.000", "0.750 ± 0.125"]
    assert report["n"].tolist() == [2, 2, 2]


def test_search_table_has_the_thesis_columns_and_the_numbers() -> None:
    row = {"dropout_rate": 0.3, "kernel_size": 3, "learning_rate": 1e-3, "crop_size": 21, "batch_size": 256}
    row |= {"variant": "stacked", "features": 26, "n": 2}
    for split, values in (("validation", [0.95, 0.94]), ("test", [0.93, 0.93])):
        row |= {f"{split}_mean": np.mean(values), f"{split}_std": np.std(values), f"{split}_values": values}
    table = format_search(pd.DataFrame([row] * 12))
    assert len(table) == 10
    assert list(table)[:9] == ["dr", "ks", "lr", "cs", "bs", "features", "accuracy validation", "accuracy test", "n"]
    assert table["accuracy validation"][0] == "0.945 ± 0.005"
    assert table["test_values"][0] == [0.93, 0.93]


def test_formatting_rounds_and_a_single_value_has_no_deviation() -> None:
    assert format_mean_std(0.88, 0.0249, n=2, digits=2) == "0.88 ± 0.02"
    assert report_mean_std([[[4, 0], [1, 3]]], ["VS", "AGN"])["recall"].tolist() == ["1.000", "0.750", "0.875"]
