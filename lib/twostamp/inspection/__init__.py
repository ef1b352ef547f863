"""Why a model answers as it does: attribution, permutation importance, forests."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
