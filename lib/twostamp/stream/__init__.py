"""Tonight: score alerts as they come, answer at the first, revise at the second."""

from twostamp.utils.extras import attach_room

__getattr__, __dir__, __all__ = attach_room(__name__, __file__)
