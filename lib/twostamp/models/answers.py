"""Predictions for objects given as packets, and the reasons of missing ones."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count, islice
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from twostamp.alerts.packet import PacketError
from twostamp.utils.typing import Inputs, Ints

_AHEAD = 3  # batches in preparation or ready
Item = TypeVar("Item")
Result = TypeVar("Result")


class Predictions(np.ndarray):
    """Probabilities, shape (n, n_classes), float32: an array whose slices and derived values are plain arrays.

    Attributes
    ----------
    failures : dict
        Index of an object without a prediction, whose row is NaN -> the reason.
    missing : ndarray, shape (n,), int64
        Number of values used by the model that are missing or not finite in each object's packets.
    """

    failures: dict[int, str]
    missing: Ints

    def __array_finalize__(self, source: Any) -> None:
        self.failures, self.missing = {}, np.zeros(len(self) if self.ndim else 0, np.int64)


@dataclass(frozen=True)
class Batch:
    """Prepared objects of a batch: the usable ones are at `places` of `size`."""

    size: int
    inputs: Inputs | None
    places: list[int]
    missing: Ints
    failures: Mapping[int, PacketError] = field(default_factory=dict)


def collect(
    batches: Iterable[Batch], network: Callable[[Inputs], NDArray[Any]], n_classes: int, on_error: str
) -> Predictions:
    """Predict batches with a network; `on_error` is ``raise`` or ``nan``."""
    if on_error not in ("raise", "nan"):
        raise ValueError(f"on_error is {on_error!r}: it is 'raise' or 'nan'")
    parts, missing = [np.empty((0, n_classes), np.float32)], [np.empty(0, np.int64)]
    failures: dict[int, str] = {}
    for batch in batches:
        if batch.failures and on_error == "raise":
            raise batch.failures[min(batch.failures)]
        parts.append(np.full((batch.size, n_classes), np.nan, np.float32))
        missing.append(np.zeros(batch.size, np.int64))
        if batch.inputs is not None:
            parts[-1][batch.places] = network(batch.inputs)
            missing[-1][batch.places] = batch.missing
        failures |= {number: str(error) for number, error in sorted(batch.failures.items())}
    predictions = np.concatenate(parts).view(Predictions)
    predictions.failures, predictions.missing = failures, np.concatenate(missing)
    return predictions


def count_missing(table: pd.DataFrame, fields: Iterable[str], n_alerts: int) -> Ints:
    """Count the values that are missing or not finite among some fields of each object's alerts; shape (n,)."""
    columns = [f"{name}_{alert}" for alert in range(1, n_alerts + 1) for name in fields]
    return (~np.isfinite(table[columns].to_numpy(np.float64))).sum(axis=1)


def map_ahead(work: Callable[[list[Item], int], Result], items: Iterable[Item], size: int) -> Iterator[Result]:
    """Yield ``work(items, index of the first)`` for consecutive groups of items, computed ahead in two threads.

    Decompression and sorting release the interpreter's lock, so two threads keep two processors busy. Only a few groups
    are in memory.
    """
    items, ready = iter(items), deque[Future[Result]]()
    with ThreadPoolExecutor(2) as threads:
        for first in count(0, size):
            if not (run := list(islice(items, size))):
                break
            ready.append(threads.submit(work, run, first))
            if len(ready) == _AHEAD:
                yield ready.popleft().result()
        while ready:
            yield ready.popleft().result()
