"""Notebook 06: latency of predictions, the stages before them, and the queue of a night."""

from twostamp.analysis.inference_time.latency import compare_times, describe_repeats, time_batches, time_models
from twostamp.analysis.inference_time.queueing import (
    RUBIN,
    ZTF,
    compare_batches,
    fit_service_time,
    rate_grid,
    summarise_recommendation,
)
from twostamp.analysis.inference_time.stages import time_archive

__all__ = [
    "RUBIN",
    "ZTF",
    "compare_batches",
    "compare_times",
    "describe_repeats",
    "fit_service_time",
    "rate_grid",
    "summarise_recommendation",
    "time_archive",
    "time_batches",
    "time_models",
]
