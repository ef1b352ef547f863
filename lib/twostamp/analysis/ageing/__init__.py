"""Notebook 13: how long a classifier lasts as the survey ages, and whether an alarm warns in time."""

from twostamp.analysis.ageing.drift_alarm import (
    MONITORED,
    check_whole_surveys,
    measure_lead,
    monitor_survey,
    summarise_leads,
    tabulate_false_alarms,
)
from twostamp.analysis.ageing.real_packets import (
    CAPTION,
    NO_PACKETS,
    compare_features,
    count_real,
    read_real,
    summarise_goal,
    test_against_goal,
    train_and_test_real,
)
from twostamp.analysis.ageing.simulated_survey import FORWARD, make_survey, read_years, train_on_first_year
from twostamp.analysis.ageing.yearly import summarise_falls, tabulate_falls, tabulate_years

__all__ = [
    "CAPTION",
    "FORWARD",
    "MONITORED",
    "NO_PACKETS",
    "check_whole_surveys",
    "compare_features",
    "count_real",
    "make_survey",
    "measure_lead",
    "monitor_survey",
    "read_real",
    "read_years",
    "summarise_falls",
    "summarise_goal",
    "summarise_leads",
    "tabulate_falls",
    "tabulate_false_alarms",
    "tabulate_years",
    "test_against_goal",
    "train_and_test_real",
    "train_on_first_year",
]
