"""Kill a run again and again, and compare what it ends with, byte for byte, with a run that nobody disturbs.

``python -m tests.kill_reproduce --kills 10`` runs notebooks 00-09 twice with ``params/test.yaml``: twenty minutes on
two cores. Every other kill takes all processes at once, as a power failure does; the others take ``twostamp run``
alone, as ``kill -9`` does, and leave its kernel and workers behind.
"""

import argparse
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from tests import PARAMS

_TIMES = re.compile(
    r"(^|/)(manifest\.json|notebooks/.*|.*\.log|extraction\.json|unlabelled_extraction\.json)$"
    r"|(figures|tables)/[a-z_]*(6\.[45]|latency|inference|queue)"
)
"""Files that hold times, or what was printed with them."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.kill_reproduce", description=__doc__)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--run", default=str(PARAMS / "test.yaml"), help="parameter file (%(default)s)")
    parser.add_argument("--folder", type=Path, help="where to keep the outputs of both runs")
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp(prefix="kills-"))
    differences = kill_and_compare(options.run, folder, options.kills, options.seed)
    print(*differences, sep="\n", file=sys.stderr)
    return int(bool(differences))


def kill_and_compare(run: str, folder: Path, kills: int, seed: int, notebooks: tuple[str, ...] = ()) -> list[str]:
    """Run parameters twice below a folder, the second time with kills; what differs in the end, one file a line."""
    started = time.monotonic()
    if _start(run, folder / "whole", notebooks).wait():
        return ["the undisturbed run stopped"]
    seconds = time.monotonic() - started
    print(f"undisturbed: {seconds:.0f} s", flush=True)
    rng = random.Random(seed)
    for kill in range(kills):
        process = _start(run, folder / "killed", notebooks)
        try:
            process.wait(rng.uniform(0.05, 1) * 1.5 * seconds / max(kills, 2))
        except subprocess.TimeoutExpired:
            all_at_once = kill % 2 == 0
            _kill(process, all_at_once)
            print(f"kill {kill + 1}, of {'all processes' if all_at_once else 'the run alone'}", flush=True)
        else:
            print(f"the run had ended before kill {kill + 1}, with {process.returncode}", flush=True)
    if _start(run, folder / "killed", notebooks).wait():
        return ["the run after the kills stopped"]
    return compare(folder / "whole", folder / "killed")


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


def _read(root: Path) -> dict[str, bytes]:
    files = {path.relative_to(root).as_posix(): path for path in sorted(root.rglob("*")) if path.is_file()}
    return {name: path.read_bytes() for name, path in files.items() if not _TIMES.search(name)}


if __name__ == "__main__":
    sys.exit(main())
