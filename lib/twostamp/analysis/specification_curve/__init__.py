"""Notebook 15: the same comparison under every defensible choice of data, features and training."""

from twostamp.analysis.specification_curve import curve, specifications

__all__ = ["curve", "specifications"]
