"""Pairs of measurements, how a cost grows, and the table of them."""

import importlib
import os
import platform
import time
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

TINY = bool(os.environ.get("TWOSTAMP_BENCH_TINY"))
"""Whether every part runs at a tiny size: not to measure, but to see that it runs."""
PAIRS = 1 if TINY else 5
LINEAR = 1.1
"""Slope that a linear cost must not exceed: a tenth for the noise of a machine."""
FAST_FLAGS = {"avx512_bf16", "amx_bf16"}

Rate = Callable[[], float]


@dataclass(frozen=True)
class Row:
    """One line of the table; `ratio` is the median of the pairs, `low` and `high` their extremes, 1 or more is good
    once divided by `target`. `input`: real or simulated packets, and their mean size."""

    row: str
    unit: str
    ours: float
    reference: float
    ratio: float
    low: float
    high: float
    target: float
    input: str = ""


def rate_of(work: float, call: Callable[[], Any]) -> Rate:
    """Make of a call that does `work` units a function that measures units per second."""

    def measure() -> float:
        start = time.perf_counter()
        call()
        return work / (time.perf_counter() - start)

    return measure


def compare(row: str, unit: str, ours: Rate, reference: Rate, target: float, pairs: int = PAIRS) -> Row:
    """Measure two rates in alternating pairs, after one round that does not count."""
    rates = []
    for turn in range(pairs + 1):
        both = [ours, reference] if turn % 2 else [reference, ours]
        measured = [side() for side in both]
        if turn:
            rates.append(measured if turn % 2 else measured[::-1])
    return pair_up(row, unit, *zip(*rates, strict=True), target=target)


def pair_up(row: str, unit: str, ours: Sequence[float], reference: Sequence[float], *, target: float) -> Row:
    """Make a row of paired rates.

    Examples
    --------
    >>> pair_up("keys", "alerts/s", [8.0, 9.0, 10.0], [1.0, 1.0, 1.0], target=8)
    Row(row='keys', unit='alerts/s', ours=9.0, reference=1.0, ratio=9.0, low=8.0, high=10.0, target=8, input='')
    """
    ratios = np.divide(ours, reference)
    low, middle, high = (float(f(ratios)) for f in (np.min, np.median, np.max))
    return Row(row, unit, float(np.median(ours)), float(np.median(reference)), middle, low, high, target)


def bound(row: str, unit: str, measured: Sequence[float], limit: float) -> Row:
    """Make a row of something that should stay small: the ratio is limit / measured, so that 1 or more is good.

    A ratio is 1000 at most: what is measured may be 0.

    Examples
    --------
    >>> bound("slope", "log-log", [1.0, 0.5, 2.0], limit=1.0)
    Row(row='slope', unit='log-log', ours=1.0, reference=1.0, ratio=1.0, low=0.5, high=2.0, target=1.0, input='')
    >>> bound("difference", "probability", [0.0], limit=1.0).ratio
    1000.0
    """
    low, middle, high = (float(f(measured)) for f in (np.min, np.median, np.max))
    ratios = (limit / max(value, limit / 1000) for value in (middle, high, low))
    return Row(row, unit, middle, limit, *ratios, 1.0)


def growth(name: str, works: Sequence[int], make: Callable[[int], Callable[[], Any]], repeats: int = PAIRS) -> Row:
    """Measure how a cost grows with its work: the slope of log time over log work, 1 for a linear cost.

    Parameters
    ----------
    name : str
    works : sequence of int
        1x, 2x, 4x, 8x of the work.
    make : callable
        From a work to the call that does it, made before the clock starts.
    repeats : int
        Slopes measured, each in one sweep over the works.
    """
    calls = {work: make(work) for work in works}
    return growth_of(name, works, lambda work: 1 / rate_of(1, calls[work])(), repeats)


def growth_of(name: str, works: Sequence[int], seconds: Callable[[int], float], repeats: int = PAIRS) -> Row:
    """Measure as `growth` does, where `seconds` takes the time of a work itself."""
    slopes = []
    for sweep in range(repeats + 1):
        times = [seconds(work) for work in works]
        if sweep:
            slopes.append(float(np.polyfit(np.log(works), np.log(times), 1)[0]))
    sizes = ", ".join(f"{work // works[0]}x" for work in works)
    return bound(f"growth of {name}, {sizes}", "log-log slope", slopes, LINEAR)


def run_part(module: str, part: str, simulated: bool) -> list[Row]:
    """Measure the rows of one part of a module of this package."""
    from tests.benchmarks.inputs import describe

    warnings.simplefilter("ignore")  # of astropy: real packets have cards that are not quite FITS
    measured = describe(simulated)
    rows = getattr(importlib.import_module(f"tests.benchmarks.{module}"), part)()
    return [replace(row, input=row.input or measured) for row in rows]


def run_apart(call: Callable[..., Any], *arguments: Any) -> Any:
    """Call in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(call, *arguments).result()


def has_fast_bfloat16() -> bool:
    """Whether this processor multiplies bfloat16 in hardware (AVX512-BF16 or AMX)."""
    return bool(FAST_FLAGS & set(_cpu("flags").split()))


def describe_machine() -> dict[str, Any]:
    """What the numbers depend on besides the code, with the load that other processes made before."""
    return {
        "processor": _cpu("model name") or platform.processor(),
        "cores": os.cpu_count(),
        "bfloat16": sorted(FAST_FLAGS & set(_cpu("flags").split())),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "load": [round(load, 1) for load in os.getloadavg()],
    }


def _cpu(key: str) -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(key)), "")


def format_row(row: Row) -> str:
    """One line of the printed table."""
    mark = " " if row.ratio >= row.target else "<"
    return (
        f"{row.row:<74}{row.unit:<14}{row.ours:>11.4g}{row.reference:>11.4g}{row.ratio:>9.2f}{row.low:>8.2f}"
        f"{row.high:>8.2f} {mark}{row.target:>7g}  {row.input}"
    )


HEADER = f"{'row':<74}{'unit':<14}{'ours':>11}{'reference':>11}{'ratio':>9}{'low':>8}{'high':>8}  {'target':>7}  of"
