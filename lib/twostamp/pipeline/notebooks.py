"""Run the notebooks of a run in sequence, each only when what it stands on has changed.

``python -m twostamp.pipeline.notebooks params/quick.yaml`` validates the parameters, looks for Java, then executes the
notebooks with papermill into ``outputs/<run>/notebooks``. A notebook that is done, with the same source, library,
parameters, alerts and predecessors, is not started again.
"""

import argparse
import contextlib
import hashlib
import json
import logging
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from twostamp.data.sources import INPUT_ERRORS, describe_fetched, prepare_inputs
from twostamp.params import ParameterError, Parameters, read_parameters
from twostamp.pipeline.ledger import STATUSES, Ledger
from twostamp.utils.files import write_file
from twostamp.utils.paths import NOTEBOOKS, REPOSITORY, outputs_root
from twostamp.utils.spark import SparkUnavailableError, require_java

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
"""The notebooks of the thesis in order, and which earlier ones each needs."""

EXTENDED: dict[str, tuple[str, ...]] = {
    "10_significance": ("04_model_search",),
    "11_calibration": ("04_model_search", "07_unlabelled_sky"),
    "12_second_alert": ("04_model_search",),
    "13_ageing": ("04_model_search",),
    "14_shortcut_audit": ("04_model_search", "07_unlabelled_sky"),
    "15_specification_curve": ("04_model_search",),
}
"""The notebooks beyond the thesis, which ``--extend`` runs on what the others left."""


def run_notebooks(params: Parameters, names: list[str] | None = None) -> dict[str, Any]:
    """Execute the notebooks of a run and return its manifest.

    Parameters
    ----------
    params : Parameters
    names : list of str, optional
        Notebooks to run; by default all of `STANDS_ON`, none of `EXTENDED`.

    Returns
    -------
    dict
        Notebook -> fingerprint, seconds, peak_mb, skipped; also written to ``manifest.json``.
    """
    root = outputs_root() / params.run_name
    (root / "notebooks").mkdir(parents=True, exist_ok=True)
    manifest_path = root / "manifest.json"
    manifest: dict[str, Any] = json.loads(manifest_path.read_text()) if manifest_path.exists() else {}
    marks = fingerprints(params)
    for name in names or list(STANDS_ON):
        executed = root / "notebooks" / f"{name}.ipynb"
        done = manifest.get(name, {})
        if done.get("fingerprint") == marks[name] and executed.exists():
            manifest[name] = {**done, "skipped": True}
            print(f"{name}: done, nothing has changed", flush=True)
            continue
        seconds, peak = _execute(name, executed, params)
        manifest[name] = {"fingerprint": marks[name], "seconds": round(seconds, 1), "peak_mb": peak, "skipped": False}
        write_file(manifest_path, json.dumps(manifest, indent=1) + "\n")
    return manifest


def fingerprints(params: Parameters) -> dict[str, str]:
    """Hash, for every notebook, all that its result depends on.

    Parameters
    ----------
    params : Parameters

    Returns
    -------
    dict
        Notebook -> hexadecimal digest over its source, the library, the parameters, the names and sizes of the files
        of a local archive, the labels and alerts that were fetched for the run, and the digests of the notebooks it
        stands on.
    """
    common = hashlib.sha256(params.model_dump_json().encode())
    for path in sorted((REPOSITORY / "lib" / "twostamp").rglob("*.*")):
        if path.suffix in {".py", ".csv", ".json"}:
            common.update(path.read_bytes())
    for folder in (Path(params.archive), Path(params.real_archive or "-")):
        if folder.is_dir():
            common.update(repr([(p.name, p.stat().st_size) for p in sorted(folder.rglob("*"))]).encode())
    common.update(describe_fetched(params, outputs_root() / params.run_name / "data").encode())
    marks: dict[str, str] = {}
    for name, needs in (STANDS_ON | EXTENDED).items():
        digest = common.copy()
        digest.update((NOTEBOOKS / f"{name}.ipynb").read_bytes())
        digest.update("".join(marks[need] for need in needs).encode())
        marks[name] = digest.hexdigest()
    return marks


def _execute(name: str, executed: Path, params: Parameters) -> tuple[float, int]:
    import papermill

    logging.getLogger("papermill").setLevel(logging.ERROR)  # a notebook declares only the parameters that it uses
    partial = executed.with_suffix(".partial.ipynb")
    print(f"{name}: running", flush=True)
    start = time.perf_counter()
    with _PeakMemory() as memory, _naming(name, partial), _log_of_children(executed.with_suffix(".log")):
        papermill.execute_notebook(
            NOTEBOOKS / f"{name}.ipynb",
            partial,
            parameters=params.model_dump(),
            kernel_name="python3",
            cwd=REPOSITORY,
            progress_bar=sys.stderr.isatty(),
        )
    partial.replace(executed)
    return time.perf_counter() - start, memory.peak_mb


@contextlib.contextmanager
def _naming(name: str, partial: Path) -> Iterator[None]:
    from papermill.exceptions import PapermillExecutionError

    try:
        yield
    except PapermillExecutionError as error:
        raise NotebookError(
            f"{name} stopped with {error.ename}: {error.evalue}\n"
            f"as far as it came: {partial}; what its processes said: {partial.name.removesuffix('.partial.ipynb')}.log"
        ) from None


@contextlib.contextmanager
def _log_of_children(path: Path) -> Iterator[None]:
    """Let what kernels, workers and Spark write to their standard error go to a file; ours still shows."""
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
    """A notebook stopped; the sentence says which, why and where to look."""


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
        import psutil

        me = psutil.Process()
        while not self._stop.wait(0.5):
            total = 0
            for process in me.children(recursive=True):
                try:
                    total += process.memory_info().rss
                except psutil.Error:
                    continue
            self.peak_mb = max(self.peak_mb, total // 2**20)


def print_summary(params: Parameters, manifest: dict[str, Any]) -> None:
    """Print seconds and peak memory of each notebook and the ledger's rows by status."""
    print(f"\n{'notebook':28}{'seconds':>9}{'peak MB':>9}")
    for name in STANDS_ON | EXTENDED:
        if name in manifest:
            entry = manifest[name]
            note = "  (done before)" if entry["skipped"] else ""
            print(f"{name:28}{entry['seconds']:9.1f}{entry['peak_mb']:9d}{note}")
    root = outputs_root() / params.run_name
    rows = Ledger(root / "ledger.csv").read()
    items = rows[rows["kind"] != "number"]
    counts = {status: int((items["status"] == status).sum()) for status in STATUSES}
    print("\nfigures, tables, algorithm: " + ", ".join(f"{n} {status}" for status, n in counts.items() if n))
    print(f"everything is in {root}")


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line: 0 if all notebooks ran, 1 if one stopped, 2 if parameters or machine are refused."""
    parser = argparse.ArgumentParser(prog="python -m twostamp.pipeline.notebooks", description=__doc__.splitlines()[0])
    parser.add_argument("params", type=Path, help="parameter file, such as params/quick.yaml")
    names = list(STANDS_ON | EXTENDED)
    parser.add_argument("--only", nargs="+", choices=names, metavar="NOTEBOOK", help="only these notebooks")
    parser.add_argument("--extend", action="store_true", help="the notebooks beyond the thesis, on the run's data")
    options = parser.parse_args(arguments)
    try:
        params = read_parameters(options.params)
        require_java()
        if not params.simulated:  # before the notebooks, so that what failed before is asked for again
            prepare_inputs(params, outputs_root() / params.run_name / "data")
    except (ParameterError, SparkUnavailableError, *INPUT_ERRORS) as error:
        print(error, file=sys.stderr)
        return 2
    try:
        manifest = run_notebooks(params, options.only or (list(EXTENDED) if options.extend else None))
    except NotebookError as error:
        print(error, file=sys.stderr)
        return 1
    print_summary(params, manifest)
    return 0


if __name__ == "__main__":
    sys.exit(main())
