"""How long an archive takes on a cluster, computed from measured rates: ``python -m tests.benchmarks.scheduling``.

Tasks go to free cores, the longest first, as Spark hands them out. Nothing else is modelled: the store and the network
give what the cores take, and a vCPU counts as a core.
"""

import argparse
import heapq
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

ARCHIVE_BYTES, NIGHTS = 7.5e12, 1150
SPREAD = 0.8
"""Of the logarithm of a night's size: moonlight, weather and the season make nights ten times apart usual."""
KEYS, WALK = 279e6, 350e6
"""Bytes of tarballs a second and core, measured: the key pass, and reading past the alerts that lost."""
CORES_A_NODE = 8
SLOW_SHARE, SLOWER = 0.05, 3.0
FIXED = 20.0
"""Seconds of a run's small jobs and of starting it."""
CHUNK_BYTES = 256 << 20
SEED = 20210901


class Run(NamedTuple):
    """Seconds from the first task to the end, and the share of the cores' time in which they worked."""

    seconds: float
    busy: float


def draw_nights(rng: np.random.Generator) -> np.ndarray:
    """Bytes of every night."""
    sizes = rng.lognormal(0, SPREAD, NIGHTS)
    return sizes / sizes.sum() * ARCHIVE_BYTES


def schedule(durations: Sequence[float], cores: int, lost: int = 0) -> Run:
    """Hand tasks to free cores, the longest first; `lost` cores die half way, and what they did is done again.

    Examples
    --------
    >>> schedule([3, 1, 1, 1], 2)
    Run(seconds=3, busy=1.0)
    >>> schedule([4, 4], 2, lost=1).seconds  # one core goes at 2, and its task begins anew when the other is free
    8
    """
    waiting = sorted(durations)
    half = max(sum(durations) / cores, waiting[-1]) / 2 if lost else 0
    free = [(0, core) for core in range(cores)]
    heapq.heapify(free)
    end = work = 0
    while waiting:
        start, core = heapq.heappop(free)
        if core < lost and start >= half:
            continue
        took = waiting.pop()
        if core < lost and start + took > half:
            waiting.append(took)  # Spark tries it again at once
            work += half - start
            continue
        heapq.heappush(free, (start + took, core))
        end, work = max(end, start + took), work + took
    return Run(end, work / (end * cores - lost * (end - half)))


def schedule_in_chunks(sizes: Sequence[float], rate: float, cores: int) -> Run:
    """Schedule as this package did before: a job for every 256 MB a core, each waiting for the one before."""
    seconds, chunk = 0.0, list[float]()
    for at, size in enumerate(sizes):
        chunk.append(size)
        if sum(chunk) >= CHUNK_BYTES * cores or at == len(sizes) - 1:
            seconds += schedule([size / rate for size in chunk], cores).seconds
            chunk = []
    return Run(seconds, sum(sizes) / rate / cores / seconds)


def compute(cores: int, rng: np.random.Generator) -> dict[str, Run]:
    """Both passes over the thesis's archive on so many cores, undisturbed and not."""
    sizes = draw_nights(np.random.default_rng(SEED))
    slow = np.where(rng.random(NIGHTS) < SLOW_SHARE, SLOWER, 1.0)
    ways = {
        "undisturbed": [schedule(list(sizes / rate), cores) for rate in (KEYS, WALK)],
        "one night in 20 three times slower": [schedule(list(sizes / rate * slow), cores) for rate in (KEYS, WALK)],
        "a node lost in each pass": [schedule(list(sizes / rate), cores, CORES_A_NODE) for rate in (KEYS, WALK)],
        "with barriers, as before": [schedule_in_chunks(list(sizes), rate, cores) for rate in (KEYS, WALK)],
    }
    merged = {}
    for name, passes in ways.items():
        seconds = sum(run.seconds for run in passes)
        merged[name] = Run(seconds + FIXED, sum(run.seconds * run.busy for run in passes) / seconds)
    return merged


def main() -> None:
    """Print the table of docs/speed.md."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.scheduling", description=__doc__)
    parser.add_argument("cores", nargs="*", type=int, default=[16, 240, 1000])
    sizes = draw_nights(np.random.default_rng(SEED))
    small, middle, large = np.quantile(sizes, [0, 0.5, 1]) / 1e9
    print(f"{NIGHTS} nights of {small:.1f} to {large:.0f} GB, median {middle:.1f}")
    print("\n| cores | | both passes | cores busy |\n|---|---|---|---|")
    for cores in parser.parse_args().cores:
        for name, run in compute(cores, np.random.default_rng(SEED)).items():
            print(f"| {cores} | {name} | {run.seconds / 60:.0f} min | {100 * run.busy:.0f} % |")


if __name__ == "__main__":
    main()
