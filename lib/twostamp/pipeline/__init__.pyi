from .ledger import read_catalogue
from .run import Run, open_run, record_numbers

__all__ = ["Run", "open_run", "read_catalogue", "record_numbers"]
