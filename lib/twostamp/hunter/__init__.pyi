from .agreement import cohen_kappa, list_disagreements, make_final_list, measure_agreement
from .candidates import HunterError
from .exports import describe_dry_run
from .hunter import Hunter
from .verdicts import VerdictError, VerdictStore

__all__ = [
    "Hunter",
    "HunterError",
    "VerdictError",
    "VerdictStore",
    "cohen_kappa",
    "describe_dry_run",
    "list_disagreements",
    "make_final_list",
    "measure_agreement",
]
