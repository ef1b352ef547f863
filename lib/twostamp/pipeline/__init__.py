"""A run: its folders, ledger and report, and the notebooks executed in order."""

from twostamp.utils.extras import attach_room

__getattr__, __dir__, __all__ = attach_room(__name__, __file__)
