from .data import open_dataset
from .models import load_model

__version__: str

__all__ = ["__version__", "load_model", "open_dataset"]
