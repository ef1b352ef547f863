from . import hypothesis_tests
from .bootstrap import LEVEL, Bootstrap, Estimate
from .calibration import (
    apply_temperature,
    calibrate,
    compare_shifted,
    fit_temperature,
    shift_priors,
    tabulate_calibration,
)
from .candidates import make_rare, tabulate_candidates
from .conformal import check_conformal_sets, fit_thresholds, make_sets
from .metrics import confusion_shares, format_mean_std, format_repeats, report_mean_std
from .power import make_power_table
from .predictions import Predictions
from .verdicts import summarise_claims, tabulate_claims

__all__ = [
    "LEVEL",
    "Bootstrap",
    "Estimate",
    "Predictions",
    "apply_temperature",
    "calibrate",
    "check_conformal_sets",
    "compare_shifted",
    "confusion_shares",
    "fit_temperature",
    "fit_thresholds",
    "format_mean_std",
    "format_repeats",
    "hypothesis_tests",
    "make_power_table",
    "make_rare",
    "make_sets",
    "report_mean_std",
    "shift_priors",
    "summarise_claims",
    "tabulate_calibration",
    "tabulate_candidates",
    "tabulate_claims",
]
