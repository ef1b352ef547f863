"""Supernova hunter for a scored night: candidates, stamps, light curves, verdicts and exports."""

from twostamp.utils.extras import attach_room

__getattr__, __dir__, __all__ = attach_room(__name__, __file__)
