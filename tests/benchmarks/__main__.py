"""Run the benchmarks: all of them, or the groups of rows that are named."""

import argparse
import importlib
import sys
import warnings

from tests.benchmarks.inputs import bench_folder
from tests.benchmarks.measure import HEADER, Row, describe_machine, format_row, save

GROUPS = ("reading", "models", "cluster", "memory")


def main() -> int:
    """Print the table row by row and write it as JSON; 1 if a group failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("groups", nargs="*", help=f"of {', '.join(GROUPS)}; all by default")
    warnings.simplefilter("ignore")  # of astropy: real packets have cards that are not quite FITS
    groups = parser.parse_args().groups or list(GROUPS)
    print(HEADER, flush=True)
    rows: list[Row] = []
    for group in groups:
        for row in importlib.import_module(f"tests.benchmarks.{group}").rows():
            rows.append(row)
            print(format_row(row), flush=True)
    save(bench_folder() / ("bench.json" if groups == list(GROUPS) else "partial.json"), describe_machine(), rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
