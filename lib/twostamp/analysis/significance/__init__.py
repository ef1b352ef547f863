"""Notebook 10: whether differences between the thesis's classifiers hold, and what its test finds where none are."""

from twostamp.analysis.significance import comparisons, repeated_splits
from twostamp.analysis.significance.false_positive_rates import describe_rates, judge_tests

__all__ = ["comparisons", "describe_rates", "judge_tests", "repeated_splits"]
