"""Early classification of ZTF objects from their first two alerts.

The package computes; the notebooks tell. Importing it loads neither TensorFlow nor Spark.
"""

from importlib import metadata

from twostamp.utils.extras import attach_room

try:
    __version__ = metadata.version("twostamp")
except metadata.PackageNotFoundError:  # read from a folder and never installed
    __version__ = "unknown"

__getattr__, __dir__, __all__ = attach_room(__name__, __file__)
