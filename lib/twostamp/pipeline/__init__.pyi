from .notebooks import EXTENDED, STANDS_ON, NotebookError, run_notebooks, summarise_run
from .plan import count_training_objects, measure_rates, plan_trials
from .report import write_report
from .run import Run, open_run, record_numbers
from .study import copy_reference, copy_study

__all__ = [
    "EXTENDED",
    "STANDS_ON",
    "NotebookError",
    "Run",
    "copy_reference",
    "copy_study",
    "count_training_objects",
    "measure_rates",
    "open_run",
    "plan_trials",
    "record_numbers",
    "run_notebooks",
    "summarise_run",
    "write_report",
]
