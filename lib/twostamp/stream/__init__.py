"""Tonight: score alerts as they arrive, predict from the first, revise at the second."""

from twostamp.utils.extras import attach_room

__getattr__, __dir__, __all__ = attach_room(__name__, __file__)
