"""Notebook 06: latency of single predictions, the stages before them, and the queue of a night."""

from twostamp.analysis.inference_time import latency, queueing, stages
from twostamp.analysis.inference_time.latency import time_models

__all__ = ["latency", "queueing", "stages", "time_models"]
