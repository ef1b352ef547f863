"""Labels, stamps, features, splits, TFRecords, and the data set to release."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
