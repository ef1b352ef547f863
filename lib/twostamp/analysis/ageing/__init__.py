"""Notebook 13: how long a classifier lasts as the survey ages, and whether an alarm warns in time."""

from twostamp.analysis.ageing import lead_time, real_packets, simulated_survey, yearly

__all__ = ["lead_time", "real_packets", "simulated_survey", "yearly"]
