from . import bootstrap, calibration, candidates, conformal, drift, hypothesis_tests
from .bootstrap import LEVEL, Bootstrap, Estimate
from .metrics import confusion_mean_std, format_mean_std, format_repeats, report_mean_std
from .power import make_power_table
from .predictions import Predictions

__all__ = [
    "LEVEL",
    "Bootstrap",
    "Estimate",
    "Predictions",
    "bootstrap",
    "calibration",
    "candidates",
    "conformal",
    "confusion_mean_std",
    "drift",
    "format_mean_std",
    "format_repeats",
    "hypothesis_tests",
    "make_power_table",
    "report_mean_std",
]
