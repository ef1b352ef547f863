from .dates import longest_gap
from .healpix import write_healpix_counts
from .paths import outputs_root
from .spark import make_spark, open_spark

__all__ = ["longest_gap", "make_spark", "open_spark", "outputs_root", "write_healpix_counts"]
