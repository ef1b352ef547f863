"""Labels, stamps, features, splits, TFRecords, and the data set to release."""

from twostamp.utils.extras import attach_room

__getattr__, __dir__, __all__ = attach_room(__name__, __file__)
