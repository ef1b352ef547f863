"""Duration of a prediction (thesis section 6.5; decision T9).

Timing starts with arrays, as in the thesis, and stops when the probabilities are back in NumPy. A model runs as one
traced graph, as a broker would serve it. Decoding and preparation of the packets are timed as separate stages.
"""

import gc
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm.auto import tqdm

from twostamp.data.tfrecords import Records
from twostamp.evaluation.hypothesis_tests import welch_test
from twostamp.models.classifier import Classifier
from twostamp.models.inference import make_server, model_inputs
from twostamp.thesis import read_printed
from twostamp.utils.typing import Floats, Inputs

_WARM_UP = 5
"""Calls before timing starts: tracing, memory, caches."""
_FEWEST, _SECONDS = 5, 1.0
"""Fewest repeats of a call, and the time after which it is repeated no more."""

_BLOCKS = 10
COMPARISONS = ("fastest against slowest stacked", "fastest against slowest separated", "stacked against separated")
"""Comparisons of section 6.5."""


def time_calls(
    calls: Mapping[Any, Callable[[], Any]], repeats: int, warm_up: int = _WARM_UP, seconds: float = _SECONDS
) -> dict[Any, Floats]:
    """Time several calls in turn, so that other load on the machine affects all of them.

    Parameters
    ----------
    calls : mapping
        Functions without arguments, by name.
    repeats : int
        Measurements of each call, at most.
    warm_up : int
        Calls of each before the measurements.
    seconds : float
        Time after which a call is measured no further, once it has `_FEWEST` measurements.

    Returns
    -------
    dict of ndarray, shape (n,), float64
        Milliseconds by name; n is `repeats` unless a call is slow.

    Examples
    --------
    >>> times = time_calls({"sleep": lambda: time.sleep(0.002), "nothing": lambda: None}, repeats=3)
    >>> times["sleep"].shape, bool(times["sleep"].min() > 2 > times["nothing"].max())
    ((3,), True)
    """
    for call in calls.values():
        for _ in range(warm_up):
            call()
    times: dict[Any, list[float]] = {name: [] for name in calls}
    collecting = gc.isenabled()
    gc.disable()  # as in timeit: garbage collection is not part of a prediction
    try:
        for i in tqdm(range(repeats), desc="timing"):
            for name, call in calls.items():
                if i < _FEWEST or sum(times[name]) < 1e3 * seconds:
                    start = time.perf_counter()
                    call()
                    times[name].append(1e3 * (time.perf_counter() - start))
    finally:
        if collecting:
            gc.enable()
    return {name: np.array(measured) for name, measured in times.items()}


def summarise_times(times: Floats) -> dict[str, float]:
    """Summarise times: number, mean, std (ddof 0), median, and 99th percentile (NaN for fewer than 100).

    Examples
    --------
    >>> summarise_times(np.array([1.0, 1.0, 4.0]))
    {'repeats': 3, 'mean': 2.0, 'std': 1.4142135623730951, 'median': 1.0, 'p99': nan}
    """
    p99 = np.percentile(times, 99) if times.size >= 100 else np.nan
    summary = {"mean": times.mean(), "std": times.std(), "median": np.median(times), "p99": p99}
    return {"repeats": times.size, **{name: float(value) for name, value in summary.items()}}


def take_batch(inputs: Inputs, batch_size: int) -> dict[str, NDArray[Any]]:
    """Take the first objects of the inputs, cyclically if there are fewer.

    Examples
    --------
    >>> take_batch({"deltajd": np.array([[1.0], [2.0]])}, 3)["deltajd"].ravel().tolist()
    [1.0, 2.0, 1.0]
    """
    return {name: np.take(values, range(batch_size), axis=0, mode="wrap") for name, values in inputs.items()}


def time_models(classifiers: Sequence[Classifier], records: Records, repeats: int, batch_size: int = 1) -> pd.DataFrame:
    """Time the prediction of one batch of test objects by several models (Figure 6.4, Table 6.4).

    Parameters
    ----------
    classifiers : sequence of Classifier
    records : Records
        Records that they were trained on.
    repeats, batch_size : int

    Returns
    -------
    DataFrame
        One row per classifier: times (ms), then the columns of `summarise_times`.
    """
    calls = {}
    for i, classifier in enumerate(classifiers):
        batch = take_batch(_load_inputs(classifier, records), batch_size)
        calls[i] = partial(make_server(classifier.network), batch)
    return tabulate_times(pd.DataFrame(index=range(len(calls))), time_calls(calls, repeats))


def time_batches(classifier: Classifier, records: Records, repeats: int, batch_sizes: list[int]) -> pd.DataFrame:
    """Time one model on batches of several sizes (Figure 6.5).

    Returns
    -------
    DataFrame
        batch_size, times (ms), then the columns of `summarise_times`.
    """
    inputs = _load_inputs(classifier, records)
    times: dict[Any, Floats] = {}
    for i, size in enumerate(batch_sizes):
        # one size after the other: a batch of a thousand would evict the caches for the next single object
        call = partial(make_server(classifier.network), take_batch(inputs, size))
        times |= time_calls({i: call}, repeats, warm_up=1)
    return tabulate_times(pd.DataFrame({"batch_size": batch_sizes}), times)


def _load_inputs(classifier: Classifier, records: Records) -> Inputs:
    """Load test objects as inputs of a classifier's network."""
    return model_inputs(classifier.variant, classifier.load_split(records, "test"))


def tabulate_times(table: pd.DataFrame, times: Mapping[Any, Floats]) -> pd.DataFrame:
    """Add times (ms) and the columns of `summarise_times` to a table with one row per call."""
    summaries = pd.DataFrame([summarise_times(times[i]) for i in table.index], index=table.index)
    return table.assign(times=[times[i].tolist() for i in table.index]).join(summaries)


def describe_repeats(timed: pd.DataFrame) -> str:
    """Describe how often the calls of a table were measured.

    Examples
    --------
    >>> describe_repeats(pd.DataFrame({"repeats": [200, 200]})), describe_repeats(pd.DataFrame({"repeats": [200, 5]}))
    ('n = 200', 'n = 5 to 200')
    """
    fewest, most = timed["repeats"].min(), timed["repeats"].max()
    return f"n = {most}" if fewest == most else f"n = {fewest} to {most}"


def compare_times(timed: pd.DataFrame) -> pd.DataFrame:
    """Apply the Welch tests of section 6.5, two-sided: fastest against slowest model, and between architectures.

    Parameters
    ----------
    timed : DataFrame
        variant, median, times; see `time_models`. Architectures are compared by their fastest models. Consecutive times
        are correlated, so a sample is the medians of ten blocks.

    Returns
    -------
    DataFrame
        comparison, n (blocks of each), p, thesis, reason (why p is NaN).
    """
    ordered = {str(name): rows.sort_values("median")["times"] for name, rows in timed.groupby("variant")}
    rows = []
    for comparison in COMPARISONS:
        printed = float(read_printed("6.5", "number", f"Welch p, {comparison}"))
        chosen = [ordered.get(name, pd.Series(dtype=object)) for name in ("stacked", "separated") if name in comparison]
        samples = [times.iloc[0] for times in chosen if len(times)]
        if len(chosen) == 1:
            samples = [chosen[0].iloc[i] for i in (0, -1)] if len(chosen[0]) > 1 else []
        if len(samples) == 2:
            samples = [_take_block_medians(times) for times in samples]
            result = welch_test(samples[0], samples[1], "two-sided")
            n = ", ".join(str(len(sample)) for sample in samples)
            rows.append((comparison, n, result.p_value, printed, result.reason))
        else:
            rows.append((comparison, "", float("nan"), printed, "this run has no two such models"))
    return pd.DataFrame(rows, columns=["comparison", "n", "p", "thesis", "reason"])


def _take_block_medians(times: Sequence[float]) -> Floats:
    """Take the medians of ten blocks of consecutive times; for ten times or fewer the times themselves."""
    return np.array([np.median(block) for block in np.array_split(times, min(_BLOCKS, len(times)))])
