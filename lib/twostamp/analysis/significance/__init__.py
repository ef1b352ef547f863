"""Notebook 10: differences between the thesis's classifiers, and false positives of its tests."""

from twostamp.analysis.significance.comparisons import (
    check_claims,
    compare_on_objects,
    compare_on_splits,
    compare_scores,
    correct_all,
    limit_discordance,
    measure_likeness,
    measure_spreads,
    tabulate_curves,
)
from twostamp.analysis.significance.false_positive_rates import claim_rates, measure_false_positives
from twostamp.analysis.significance.repeated_splits import train_splits

__all__ = [
    "check_claims",
    "claim_rates",
    "compare_on_objects",
    "compare_on_splits",
    "compare_scores",
    "correct_all",
    "limit_discordance",
    "measure_false_positives",
    "measure_likeness",
    "measure_spreads",
    "tabulate_curves",
    "train_splits",
]
