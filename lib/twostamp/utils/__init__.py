"""Tools for all rooms: files, dates, coordinates, HEALPix, HTTP, Spark, paths."""

from twostamp.utils.extras import attach_room

__getattr__, __dir__, __all__ = attach_room(__name__, __file__)
