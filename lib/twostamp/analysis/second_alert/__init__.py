"""Notebook 12: gain of the second alert, revisions of the first prediction, and cost of gaps in the cadence."""

from twostamp.analysis.second_alert.cadence_stress import (
    STAYING,
    UNDISTURBED,
    check_goals,
    list_stresses,
    tabulate_stress,
)
from twostamp.analysis.second_alert.classifiers import (
    FIRST_ALONE,
    LEARNED,
    REVISING,
    choose_combinations,
    predict_views,
    train_classifiers,
    training_parameters,
)
from twostamp.analysis.second_alert.gains import (
    collect_claims,
    compare_designs,
    count_seconds,
    list_designs,
    tabulate_gains,
    tabulate_waiting,
    train_designs,
)
from twostamp.analysis.second_alert.revisions import (
    compare_with_dedicated,
    follow_revisions,
    group_objects,
    tabulate_revisions,
)

__all__ = [
    "FIRST_ALONE",
    "LEARNED",
    "REVISING",
    "STAYING",
    "UNDISTURBED",
    "check_goals",
    "choose_combinations",
    "collect_claims",
    "compare_designs",
    "compare_with_dedicated",
    "count_seconds",
    "follow_revisions",
    "group_objects",
    "list_designs",
    "list_stresses",
    "predict_views",
    "tabulate_gains",
    "tabulate_revisions",
    "tabulate_stress",
    "tabulate_waiting",
    "train_classifiers",
    "train_designs",
    "training_parameters",
]
