"""Notebook 15: gain of the second alert under every choice that the thesis leaves open."""

from twostamp.analysis.specification_curve.curve import check_joint_null, compare_levels, tabulate_effects
from twostamp.analysis.specification_curve.specifications import (
    default_specification,
    draw_specifications,
    tabulate_switches,
    train_specifications,
)

__all__ = [
    "check_joint_null",
    "compare_levels",
    "default_specification",
    "draw_specifications",
    "tabulate_effects",
    "tabulate_switches",
    "train_specifications",
]
