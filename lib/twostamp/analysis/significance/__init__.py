"""Notebook 10: whether differences between the thesis's classifiers hold, and what its test finds where none are."""

from twostamp.analysis.significance.comparisons import (
    check_claims,
    check_equivalence,
    compare_by_bootstrap,
    compare_on_objects,
    compare_on_splits,
    correct_all,
    limit_discordance,
    measure_spreads,
)
from twostamp.analysis.significance.false_positive_rates import measure_false_positives, summarise_false_positives
from twostamp.analysis.significance.repeated_splits import (
    pivot_scores,
    share_of_test,
    train_splits,
    write_split_records,
)

__all__ = [
    "check_claims",
    "check_equivalence",
    "compare_by_bootstrap",
    "compare_on_objects",
    "compare_on_splits",
    "correct_all",
    "limit_discordance",
    "measure_false_positives",
    "measure_spreads",
    "pivot_scores",
    "share_of_test",
    "summarise_false_positives",
    "train_splits",
    "write_split_records",
]
