"""What the predictions of a model are based on: attribution, permutation importance, forests."""

from twostamp.utils.extras import attach_room

__getattr__, __dir__, __all__ = attach_room(__name__, __file__)
