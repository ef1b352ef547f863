"""Notebook 12: what the second alert adds, how its answers revise the first's, and what gaps in the cadence cost."""

from twostamp.analysis.second_alert.cadence_stress import (
    UNDISTURBED,
    check_gap_equivalence,
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
from twostamp.analysis.second_alert.revisions import (
    compare_with_dedicated,
    follow_revisions,
    group_objects,
    summarise_revisions,
    tabulate_revisions,
)

__all__ = [
    "FIRST_ALONE",
    "LEARNED",
    "REVISING",
    "UNDISTURBED",
    "check_gap_equivalence",
    "check_goals",
    "choose_combinations",
    "compare_with_dedicated",
    "follow_revisions",
    "group_objects",
    "list_stresses",
    "predict_views",
    "summarise_revisions",
    "tabulate_revisions",
    "tabulate_stress",
    "train_classifiers",
    "training_parameters",
]
