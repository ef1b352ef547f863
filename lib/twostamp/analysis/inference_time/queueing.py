"""Queue simulation: waiting and inference time of arriving alerts by batch size.

This is the open question of thesis sections 6.5 and 6.11: a large batch costs less per alert but makes alerts wait. As
soon as it is free, one server takes the waiting alerts, up to one batch. `latency` measures the time of a batch.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from twostamp.utils.typing import Floats

Times = Floats
ServiceTime = Callable[[int], float]

_BATCHES = (1, 3, 10, 32, 100, 316, 1000)


@dataclass(frozen=True)
class Traffic:
    """Alerts of a survey: its name, alerts per second on average, and how many arrive together."""

    name: str
    rate: float
    burst: int


ZTF = Traffic("ZTF", 1.2e6 / (10 * 3600), 1)
"""1.2 million alerts (section 6.11) in a night of ten hours."""
RUBIN = Traffic("Rubin", 10_000 / 39, 10_000)
"""10 000 alerts with every exposure, one each 39 s."""


def fit_service_time(batch_sizes: Sequence[int], seconds: Sequence[float]) -> ServiceTime:
    """Interpolate measured batch times (s) on logarithmic axes; extrapolate by the last time per alert.

    Examples
    --------
    >>> service = fit_service_time([1, 100], [0.01, 0.1])
    >>> [round(service(n), 3) for n in (1, 10, 100, 200)]
    [0.01, 0.032, 0.1, 0.2]
    """
    order = np.argsort(batch_sizes)
    sizes, times = (np.log(np.asarray(values, dtype=np.float64)[order]) for values in (batch_sizes, seconds))
    largest = max(batch_sizes)

    def service(n: int) -> float:
        beyond = max(1.0, n / largest)
        return float(beyond * np.exp(np.interp(np.log(n), sizes, times)))

    return service


def steady_arrivals(rate: float, count: int, rng: np.random.Generator) -> Times:
    """Draw arrival times (s) of single alerts at random, `rate` per second: a Poisson process."""
    return np.cumsum(rng.exponential(1 / rate, count))


def burst_arrivals(rate: float, count: int, burst: int) -> Times:
    """Compute arrival times (s) of alerts in equally spaced bursts, `rate` per second on average.

    Examples
    --------
    >>> burst_arrivals(rate=10, count=5, burst=2).tolist()
    [0.0, 0.0, 0.2, 0.2, 0.4]
    """
    return np.arange(count, dtype=np.float64) // burst * (burst / rate)


def simulate(arrivals: Times, service: ServiceTime, batch_size: int) -> Times:
    """Classify alerts in order: a free server takes the waiting ones, at most `batch_size`.

    Parameters
    ----------
    arrivals : ndarray, shape (n,)
        Sorted times, s.
    service : callable
        Seconds for a batch, as a function of its size.
    batch_size : int

    Returns
    -------
    ndarray, shape (n,)
        Seconds from the arrival of each alert to its class, waiting and inference.

    Examples
    --------
    >>> simulate(np.array([0.0, 0.1, 0.2]), lambda n: 1.0, batch_size=2).tolist()
    [1.0, 1.9, 1.8]
    """
    seconds = [service(n) for n in range(1, batch_size + 1)]
    times, total = arrivals.tolist(), len(arrivals)
    done = np.empty(total)
    start, free = 0, 0.0
    while start < total:
        begin = max(free, times[start])
        stop = start + 1
        while stop < total and stop - start < batch_size and times[stop] <= begin:
            stop += 1
        free = begin + seconds[stop - start - 1]
        done[start:stop] = free
        start = stop
    return done - arrivals


def compare_batches(
    service: ServiceTime,
    rates: ArrayLike,
    batch_sizes: Sequence[int] = _BATCHES,
    *,
    burst: int = 1,
    count: int = 20_000,
    seed: int = 0,
) -> pd.DataFrame:
    """Compare waiting and inference time by arrival rate, for several batch sizes.

    Parameters
    ----------
    service : callable
        Function from `fit_service_time`.
    rates : array_like
        Alerts per second.
    batch_sizes : sequence of int
        Limits of a batch.
    burst : int
        Alerts that arrive together; 1 for single alerts at random.
    count : int
        Simulated alerts per point (at least three bursts).
    seed : int

    Returns
    -------
    DataFrame
        rate, batch_size, p50, p99 (s); infinite if alerts arrive faster than full batches are classified.
    """
    rows = []
    for rate in np.asarray(rates, dtype=float):
        if burst > 1:
            arrivals = burst_arrivals(rate, max(count, 3 * burst), burst)
        else:
            arrivals = steady_arrivals(rate, count, np.random.default_rng(seed))
        for size in batch_sizes:
            stable = rate * service(size) < size
            times = simulate(arrivals, service, size) if stable else np.array([np.inf])
            rows.append((rate, size, *np.quantile(times, [0.5, 0.99], method="nearest")))
    return pd.DataFrame(rows, columns=["rate", "batch_size", "p50", "p99"])


def rate_grid(count: int = 10) -> Times:
    """Return rates from 3 to 3000 alerts per second, including those of `ZTF` and `RUBIN`."""
    return np.sort(np.append(np.geomspace(3, 3000, count), [ZTF.rate, RUBIN.rate]))


def recommend_batch(compared: pd.DataFrame, rate: float, tolerance: float = 0.05) -> pd.Series:
    """Find the smallest batch whose p99, at the simulated rate nearest to `rate`, is within `tolerance` of the best.

    Parameters
    ----------
    compared : DataFrame
        Table from `compare_batches`.
    rate : float
        Alerts per second.
    tolerance : float
        Share of the best p99. A smaller batch needs less memory, so it is preferred if it costs nothing.

    Returns
    -------
    Series
        Its row of `compared`.

    Raises
    ------
    ValueError
        If no batch keeps up with that rate.
    """
    distance = (compared["rate"] - rate).abs()
    rows = compared[distance == distance.min()]
    best = rows["p99"].min()
    if not np.isfinite(best):
        raise ValueError(f"no batch keeps up with {rate:g} alerts a second: more than one server is needed")
    return rows[rows["p99"] <= (1 + tolerance) * best].nsmallest(1, "batch_size").iloc[0]


def summarise_recommendation(compared: pd.DataFrame, survey: Traffic) -> str:
    """Summarise in a sentence the batch to use for a survey, with its p50 and p99."""
    try:
        chosen = recommend_batch(compared, survey.rate)
    except ValueError as error:
        return f"{survey.name}: {error}"
    kind = f"bursts of {survey.burst}" if survey.burst > 1 else "one by one"
    return (
        f"{survey.name}, {survey.rate:.0f} alerts/s, {kind}: batches of up to {chosen['batch_size']:.0f}, "
        f"p50 {chosen['p50']:.3g} s, p99 {chosen['p99']:.3g} s"
    )
