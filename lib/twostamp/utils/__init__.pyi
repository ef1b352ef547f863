from .dates import longest_gap
from .extras import MissingExtraError, naming_extras
from .files import write_table
from .healpix import write_healpix_counts
from .http import explain
from .java import require_java
from .logs import show_log
from .paths import find_parameters, outputs_root
from .spark import make_spark, open_spark

__all__ = [
    "MissingExtraError",
    "explain",
    "find_parameters",
    "longest_gap",
    "make_spark",
    "naming_extras",
    "open_spark",
    "outputs_root",
    "require_java",
    "show_log",
    "write_healpix_counts",
    "write_table",
]
