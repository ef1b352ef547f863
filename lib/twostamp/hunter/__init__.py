"""Hunt for supernovae in a scored night: candidates, stamps and light curves, verdicts, and what leaves."""

from twostamp.utils.extras import attach_room

__getattr__, __dir__, __all__ = attach_room(__name__, __file__)
