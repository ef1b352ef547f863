"""Notebook 10: whether differences between the thesis's classifiers hold, and what its test finds where none are."""

from twostamp.analysis.significance.comparisons import (
    check_claims,
    check_equivalence,
    compare_by_bootstrap,
    compare_on_objects,
    compare_on_splits,
    correct_all,
    discordant_share,
    limit_discordance,
    spread_of_seeds,
    spread_of_splits,
)
from twostamp.analysis.significance.false_positive_rates import measure_rates, summarise_rates
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
    "discordant_share",
    "limit_discordance",
    "measure_rates",
    "pivot_scores",
    "share_of_test",
    "spread_of_seeds",
    "spread_of_splits",
    "summarise_rates",
    "train_splits",
    "write_split_records",
]
