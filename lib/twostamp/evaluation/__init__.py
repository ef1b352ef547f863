"""Scores, bootstrap, tests, power, calibration, conformal sets and drift: NumPy in, tables out."""

from twostamp.utils.extras import attach_room

__getattr__, __dir__, __all__ = attach_room(__name__, __file__)
