"""Run the benchmarks, each part in a process of its own: all of them, or those that are named."""

import argparse
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from tests.benchmarks.inputs import bench_folder
from tests.benchmarks.measure import HEADER, describe_machine, format_row, run_part
from tests.benchmarks.table import save

PARTS = {
    "reading": ("keys", "tarballs", "stamps", "preparation"),
    "models": ("training", "feeding", "prediction", "end_to_end"),
    "stream": ("stream", "arrival"),
    "cluster": ("extraction", "search"),
    "memory": ("memory",),
    "hunter": ("hunter",),
}


def main() -> int:
    """Print the table part by part and write it as JSON; 1 if a part failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    places = {part: module for module, parts in PARTS.items() for part in parts}
    parser.add_argument(
        "parts", nargs="*", help=f"of {', '.join(places)}, or {', '.join(PARTS)}; all by default; or accelerator"
    )
    named = parser.parse_args().parts or list(PARTS)
    if named == ["accelerator"]:  # a table of its own, made where little else is installed
        return subprocess.call([sys.executable, "-m", "tests.benchmarks.accelerator"])
    parts = [part for name in named for part in PARTS.get(name, (name,))]
    if unknown := [part for part in parts if part not in places]:
        parser.error(f"no rows are called {unknown[0]}; there are {', '.join(places)}")
    path = bench_folder() / ("bench.json" if parts == list(places) else "partial.json")
    machine, rows, failed = describe_machine(), [], 0
    print(HEADER, flush=True)
    for part in parts:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
            try:
                found = process.submit(run_part, places[part], part).result()
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
