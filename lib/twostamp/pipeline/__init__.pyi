from .claims import write_claims
from .notebooks import EXTENDED, STANDS_ON, NotebookError, find_notebooks, run_notebooks, summarise_run
from .plan import compare_machines, count_training_objects, describe_run, plan_trials, read_rates
from .pretrained import make_pretrained
from .report import write_report
from .run import Run, open_run, record_numbers
from .study import copy_reference, copy_study

__all__ = [
    "EXTENDED",
    "STANDS_ON",
    "NotebookError",
    "Run",
    "compare_machines",
    "copy_reference",
    "copy_study",
    "count_training_objects",
    "describe_run",
    "find_notebooks",
    "make_pretrained",
    "open_run",
    "plan_trials",
    "read_rates",
    "record_numbers",
    "run_notebooks",
    "summarise_run",
    "write_claims",
    "write_report",
]
