"""ZTF alert packets, their sources, and the first two alerts of every object."""

from twostamp.utils.extras import attach_room

__getattr__, __dir__, __all__ = attach_room(__name__, __file__)
