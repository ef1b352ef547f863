"""Notebook 12: what the second alert adds, how its answers revise the first's, and what gaps in the cadence cost."""

from twostamp.analysis.second_alert import cadence_stress, classifiers, revisions

__all__ = ["cadence_stress", "classifiers", "revisions"]
