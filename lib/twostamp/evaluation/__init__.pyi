from . import hypothesis_tests
from .bootstrap import LEVEL, Bootstrap, Estimate
from .calibration import calibrate, compare_shifted, fit_temperature, tabulate_calibration
from .candidates import make_rare, tabulate_candidates
from .conformal import check_conformal_sets
from .metrics import confusion_shares, format_mean_std, format_repeats, report_mean_std
from .power import make_power_table
from .predictions import Predictions

__all__ = [
    "LEVEL",
    "Bootstrap",
    "Estimate",
    "Predictions",
    "calibrate",
    "check_conformal_sets",
    "compare_shifted",
    "confusion_shares",
    "fit_temperature",
    "format_mean_std",
    "format_repeats",
    "hypothesis_tests",
    "make_power_table",
    "make_rare",
    "report_mean_std",
    "tabulate_calibration",
    "tabulate_candidates",
]
