"""Kill a run again and again, and compare what it ends with, byte for byte, with a run that nobody disturbs.

``python -m tests.kill_reproduce --kills 10`` runs notebooks 00-09 twice with ``params/test.yaml``: twenty minutes on
two cores. The kills are shared out among notebooks 01-04, each at a random moment of its notebook. Every other kill
takes all processes at once, as a power failure does; the others take ``twostamp run`` alone, as ``kill -9`` does, and
leave its kernel and workers behind.
"""

import argparse
import contextlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pandas as pd
import psutil

from tests import PARAMS
from twostamp.params import read_parameters
from twostamp.pipeline.manifest import MANIFEST

_NOT_COMPARED = re.compile(
    r"/(manifest\.json|notebooks/.*|\w*extraction\.json)$"  # times, and what was printed
    r"|/(figures|tables)/(figure_6\.[45]|extra_(stages|batch_time|inference_time|queue))\.\w+$"  # inference time
    r"|/_made_from\.json$|\.crc$"  # times of files
)
_OWN_NAME = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{16}(?=\.parquet$)")  # Spark's; by a time
KILLED = ("01_data_extraction", "02_exploratory_analysis", "03_dataset_preparation", "04_model_search")
_TIMES = {"fingerprints", "seconds", "objects_per_second", "memory", "peak_mb"}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.kill_reproduce", description=__doc__)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--run", default=str(PARAMS / "test.yaml"), help="parameter file (%(default)s)")
    parser.add_argument(
        "--only", nargs="+", default=[], metavar="NOTEBOOK", help="these alone, such as 04_model_search"
    )
    parser.add_argument("--folder", type=Path, help="where to keep the outputs of both runs")
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp(prefix="kills-"))
    differences = kill_and_compare(options.run, folder, options.kills, options.seed, tuple(options.only))
    print(*differences, sep="\n", file=sys.stderr)
    return int(bool(differences))


def kill_and_compare(run: str, folder: Path, kills: int, seed: int, notebooks: tuple[str, ...] = ()) -> list[str]:
    """Run parameters twice below a folder, the second time with kills; what differs in the end, one file a line."""
    outputs, name = folder / "outputs", read_parameters(run).run_name  # of both runs, as tables name their sources
    started = time.monotonic()
    if _start(run, outputs, notebooks).wait():
        return ["the undisturbed run stopped"]
    print(f"undisturbed: {time.monotonic() - started:.0f} s", flush=True)
    manifest = json.loads((outputs / name / MANIFEST).read_text())
    seconds = {notebook: float(entry["seconds"]) for notebook, entry in manifest.items()}
    outputs.rename(folder / "whole")
    rng, targets = random.Random(seed), notebooks or KILLED
    for kill in range(kills):
        target = targets[kill * len(targets) // kills]
        process, began = _start(run, outputs, notebooks), time.time()
        _wait_for(process, outputs / name, target, began, rng.random() * seconds[target])
        where, all_at_once = _find_running(outputs / name, began), kill % 2 == 0
        if process.poll() is not None:
            print(f"the run had ended before kill {kill + 1}, with {process.returncode}", flush=True)
            continue
        _kill(process, all_at_once)
        print(f"kill {kill + 1} in {where}, of {'all processes' if all_at_once else 'the run alone'}", flush=True)
    if _start(run, outputs, notebooks).wait():
        return ["the run after the kills stopped"]
    return compare(folder / "whole", outputs)


def _wait_for(process: subprocess.Popen[bytes], root: Path, notebook: str, began: float, seconds: float) -> None:
    """Wait until a notebook has run for some time, or the run has ended, or gone on to a later notebook."""
    while process.poll() is None and _find_running(root, began) < notebook:
        time.sleep(0.05)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(seconds)


def _find_running(root: Path, began: float) -> str:
    """Find the notebook that a run works on; empty between two of them."""
    found = [path for path in root.glob("notebooks/*.partial.ipynb") if path.stat().st_mtime >= began]
    return max((path.name.removesuffix(".partial.ipynb") for path in found), default="")


def compare(whole: Path, killed: Path) -> list[str]:
    """List the files that only one of two runs has, and those that differ; times may."""
    ours, theirs = _read(whole), _read(killed)
    lines = [f"{name}: only in {'one' if name in ours else 'the other'}" for name in sorted(set(ours) ^ set(theirs))]
    return lines + [f"{name}: differs" for name in sorted(set(ours) & set(theirs)) if ours[name] != theirs[name]]


def _start(run: str, outputs: Path, notebooks: tuple[str, ...]) -> subprocess.Popen[bytes]:
    outputs.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "twostamp", "run", run, *(("--only", *notebooks) if notebooks else ())]
    environment = os.environ | {"TWOSTAMP_OUTPUTS": str(outputs), "TQDM_DISABLE": "1"}
    with (outputs / "run.log").open("ab") as log:
        return subprocess.Popen(command, env=environment, stdout=log, stderr=log)


def _kill(process: subprocess.Popen[bytes], all_at_once: bool) -> None:
    leader = psutil.Process(process.pid)
    children = leader.children(recursive=True) if all_at_once else []
    for victim in (leader, *children):
        try:
            victim.send_signal(signal.SIGKILL)
        except psutil.NoSuchProcess:
            continue
    process.wait()


def _read(root: Path) -> dict[str, list[Any]]:
    """Read the files of a run by name; those whose name is drawn anew in every run are under one name, by content."""
    found: dict[str, list[Any]] = {}
    for path in sorted(root.rglob("*")):
        name = f"/{path.relative_to(root).as_posix()}"
        if path.is_file() and not _NOT_COMPARED.search(name):
            found.setdefault(_OWN_NAME.sub("*", name), []).append(_read_file(path))
    return {name: sorted(files, key=str) for name, files in found.items()}


def _read_file(path: Path) -> Any:
    """Read a file's bytes, but of JSON, the ledger and table 6.4 what is no time."""
    if path.suffix == ".json":
        return _without_times(json.loads(path.read_text()))
    if path.name == "ledger.csv":
        rows = pd.read_csv(path, dtype=str, keep_default_na=False)
        return rows.mask(rows["notebook"] == "06_inference_time", "").to_csv()
    if path.stem == "table_6.4":
        table = pd.read_csv(path.with_suffix(".csv"))
        return table[[name for name in table if "inference" not in name]].to_csv()
    if path.name.endswith(".snappy.parquet"):  # of Spark, whose footers list encodings in no order
        return pd.read_parquet(path).to_csv()
    return path.read_bytes() if path.name != "run.log" else b""


def _without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_times(part) for name, part in value.items() if name not in _TIMES}
    return [_without_times(part) for part in value] if isinstance(value, list) else value


if __name__ == "__main__":
    sys.exit(main())
