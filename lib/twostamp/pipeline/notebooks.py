"""Execute the notebooks of a run in sequence, each only if its inputs have changed.

papermill writes them to ``outputs/<run>/notebooks``. A finished notebook is not run again while source, library,
parameters, inputs and predecessors are the same, and its outputs exist.
"""

import contextlib
import logging
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import papermill
import psutil
import yaml
from papermill.exceptions import PapermillExecutionError

from twostamp.params import Parameters
from twostamp.pipeline.ledger import STATUSES, Ledger
from twostamp.pipeline.manifest import Manifest, fingerprints
from twostamp.pipeline.run import PARAMETERS
from twostamp.utils.files import write_file
from twostamp.utils.paths import notebooks_folder, outputs_root

STANDS_ON: dict[str, tuple[str, ...]] = {
    "00_background": (),
    "01_data_extraction": (),
    "02_exploratory_analysis": ("01_data_extraction",),
    "03_dataset_preparation": ("01_data_extraction",),
    "04_model_search": ("03_dataset_preparation",),
    "05_model_comparison": ("04_model_search",),
    "06_inference_time": ("04_model_search",),
    "07_unlabelled_sky": ("04_model_search",),
    "08_metadata_importance": ("04_model_search",),
    "09_additional_classes": ("04_model_search",),
}
"""Notebooks of the thesis in order, and the earlier ones that each needs."""

EXTENDED: dict[str, tuple[str, ...]] = {
    "10_significance": ("04_model_search",),
    "11_calibration": ("04_model_search", "07_unlabelled_sky"),
    "12_second_alert": ("04_model_search",),
    "13_ageing": ("04_model_search",),
    "14_shortcut_audit": ("04_model_search", "07_unlabelled_sky"),
    "15_specification_curve": ("04_model_search",),
    "16_tonight": ("04_model_search",),
    "17_supernova_hunter": ("16_tonight",),
    "18_real_sky": ("04_model_search",),
}
"""Notebooks beyond the thesis, which ``twostamp extend`` runs on the others' outputs."""

_KERNEL = {"KERAS_BACKEND": "tensorflow", "MPLBACKEND": "module://matplotlib_inline.backend_inline"}
"""Environment of the notebooks' kernels, which overrides the user's; trainings by JAX set that of their workers."""

_PATIENCE = 600
"""Seconds that a kernel may take to start, and the outputs of a finished cell to arrive: a machine may be busy."""

logger = logging.getLogger(__name__)


def find_notebooks(names: list[str]) -> list[str]:
    """Find notebooks by name or number (``"05"``).

    Raises
    ------
    ValueError
        A name is that of no notebook.
    """
    numbers = {name.partition("_")[0]: name for name in STANDS_ON | EXTENDED}
    names = [numbers.get(name, name) for name in names]
    if unknown := set(names) - set(STANDS_ON | EXTENDED):
        raise ValueError(f"no notebook is called {min(unknown)}; there are {', '.join(STANDS_ON | EXTENDED)}")
    return names


def run_notebooks(params: Parameters, names: list[str] | None = None, *, force: bool = False) -> dict[str, Any]:
    """Execute the notebooks of a run and return its manifest.

    Parameters
    ----------
    params : Parameters
    names : list of str, optional
        Notebooks to run, by name or number (``"05"``); by default all of `STANDS_ON`, none of `EXTENDED`.
    force : bool
        Execute finished notebooks too. They keep finished trainings and extractions.

    Returns
    -------
    dict
        Notebook -> fingerprint, seconds, peak_mb, skipped, outputs, stale; also written to ``manifest.json``.

    Raises
    ------
    NotebookError
        A notebook stopped.
    ValueError
        A name is that of no notebook.
    """
    names = find_notebooks(names or list(STANDS_ON))
    root = outputs_root() / params.run_name
    (root / "notebooks").mkdir(parents=True, exist_ok=True)
    write_file(root / PARAMETERS, yaml.safe_dump(params.model_dump(), sort_keys=False))
    manifest, marks = Manifest(root), fingerprints(params, STANDS_ON | EXTENDED)
    manifest.save(marks)  # record what is stale even if no notebook runs
    for name in names:
        if not force and manifest.is_done(name, marks[name]):
            manifest.entries[name]["skipped"] = True
            logger.info("%s: done, nothing has changed", name)
            continue
        before = manifest.list_files()
        seconds, peak = _execute(name, root / "notebooks" / f"{name}.ipynb", params)
        manifest.record(name, marks[name], before, seconds=round(seconds, 1), peak_mb=peak)
        manifest.save(marks)
    return manifest.entries


def _execute(name: str, executed: Path, params: Parameters) -> tuple[float, int]:
    source, partial = notebooks_folder() / f"{name}.ipynb", executed.with_suffix(".partial.ipynb")
    declared = papermill.inspect_notebook(source)  # open_run reads all others from the run's PARAMETERS
    logger.info("%s: running", name)
    start = time.perf_counter()
    with (
        _PeakMemory() as memory,
        _naming(name, partial),
        _log_of_children(executed.with_suffix(".log")),
        _kernel_settings(),
    ):
        papermill.execute_notebook(
            source,
            partial,
            parameters=params.model_dump(include=set(declared)),
            kernel_name="python3",
            cwd=Path.cwd(),
            progress_bar=sys.stderr.isatty(),
            start_timeout=_PATIENCE,
            iopub_timeout=_PATIENCE,
            extra_arguments=["--IPKernelApp.capture_fd_output=False"],  # logs of frameworks go to _log_of_children
        )
    partial.replace(executed)
    return time.perf_counter() - start, memory.peak_mb


@contextlib.contextmanager
def _kernel_settings() -> Iterator[None]:
    """Start kernels with `_KERNEL`, and without what IPython runs at its start for this user."""
    theirs = dict(os.environ)
    with tempfile.TemporaryDirectory() as empty:
        os.environ.update(_KERNEL | {"IPYTHONDIR": empty})
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(theirs)


@contextlib.contextmanager
def _naming(name: str, partial: Path) -> Iterator[None]:
    try:
        yield
    except PapermillExecutionError as error:
        raise NotebookError(
            f"{name} stopped with {error.ename}: {error.evalue}\n"
            f"executed part: {partial}; log of its processes: {partial.name.removesuffix('.partial.ipynb')}.log"
        ) from None


@contextlib.contextmanager
def _log_of_children(path: Path) -> Iterator[None]:
    """Redirect the standard error of kernels, workers and Spark to a file; our own still shows."""
    terminal, python = os.dup(2), sys.stderr
    with path.open("wb") as log, os.fdopen(os.dup(2), "w", buffering=1) as ours:
        os.dup2(log.fileno(), 2)
        sys.stderr = ours
        try:
            yield
        finally:
            sys.stderr = python
            os.dup2(terminal, 2)
            os.close(terminal)


class NotebookError(RuntimeError):
    """A notebook stopped; the message names it, the reason, and the executed notebook."""


class _PeakMemory:
    """Sample the resident memory of this process's descendants (kernel, Spark, workers), in MB."""

    def __enter__(self) -> "_PeakMemory":
        self.peak_mb = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _sample(self) -> None:
        me = psutil.Process()
        while not self._stop.wait(0.5):
            total = 0
            for process in me.children(recursive=True):
                try:
                    total += process.memory_info().rss
                except psutil.Error:
                    continue
            self.peak_mb = max(self.peak_mb, total // 2**20)


def summarise_run(params: Parameters, manifest: dict[str, Any]) -> str:
    """Tabulate seconds and peak memory of each notebook, and count the ledger's rows by status."""
    lines = [f"\n{'notebook':28}{'seconds':>9}{'peak MB':>9}"]
    for name in STANDS_ON | EXTENDED:
        if name in manifest:
            entry = manifest[name]
            note = "  (done before)" if entry["skipped"] else ""
            lines.append(f"{name:28}{entry['seconds']:9.1f}{entry['peak_mb']:9d}{note}")
    root = outputs_root() / params.run_name
    rows = Ledger(root / "ledger.csv").read()
    items = rows[rows["kind"] != "number"]
    counts = {status: int((items["status"] == status).sum()) for status in STATUSES}
    lines.append("\nfigures, tables, algorithm: " + ", ".join(f"{n} {status}" for status, n in counts.items() if n))
    return "\n".join([*lines, f"everything is in {root}"])
