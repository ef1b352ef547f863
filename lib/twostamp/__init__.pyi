from .data import open_dataset
from .models import load_classifier

__version__: str

__all__ = ["__version__", "load_classifier", "open_dataset"]
