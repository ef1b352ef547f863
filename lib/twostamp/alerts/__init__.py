"""ZTF alert packets and where they come from, and the first two alerts of every object."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
