"""How long a prediction takes, and what comes before it (thesis section 6.5; decision T9).

The clock starts with arrays, as in the thesis, and stops when the probabilities are back in NumPy. A model runs as a
broker would serve it, as one traced graph; decoding and preparation of the packets are timed as stages of their own.
"""

import contextlib
import gc
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tensorflow as tf
from numpy.typing import NDArray
from tqdm.auto import tqdm

from twostamp.alerts.archive import ArchiveError, iter_members
from twostamp.alerts.packet import PacketError, read_keys, read_packets
from twostamp.arrays import Arrays, arrays_from_table
from twostamp.models import VARIANTS, model_inputs
from twostamp.records import load_arrays, load_scaler, read_info
from twostamp.search import load_trial, rank_combinations, select_trials

WARM_UP = 5
"""Calls before the clock starts: tracing, memory, caches."""

STAGES = ("decode", "prepare", "predict")

Inputs = Mapping[str, NDArray[Any]]
Pair = tuple[bytes, bytes]


def time_calls(
    calls: Mapping[Any, Callable[[], Any]], repeats: int, warm_up: int = WARM_UP
) -> dict[Any, NDArray[np.float64]]:
    """Time several calls, in turns, so that a busy moment of the machine falls on all of them.

    Parameters
    ----------
    calls : mapping
        Functions without arguments, by name.
    repeats : int
        Times that each is measured.
    warm_up : int
        Times that each is called before, unmeasured.

    Returns
    -------
    dict of ndarray, shape (repeats,), float64
        Milliseconds, by name.

    Examples
    --------
    >>> times = time_calls({"sleep": lambda: time.sleep(0.002), "nothing": lambda: None}, repeats=3)
    >>> times["sleep"].shape, bool(times["sleep"].min() > 2 > times["nothing"].max())
    ((3,), True)
    """
    for call in calls.values():
        for _ in range(warm_up):
            call()
    times = {name: np.empty(repeats) for name in calls}
    collecting = gc.isenabled()
    gc.disable()  # as timeit does: a collection is no part of a prediction
    try:
        for i in tqdm(range(repeats), desc="timing"):
            for name, call in calls.items():
                start = time.perf_counter()
                call()
                times[name][i] = 1e3 * (time.perf_counter() - start)
    finally:
        if collecting:
            gc.enable()
    return times


def summarise_times(times: NDArray[np.float64]) -> dict[str, float]:
    """Mean, standard deviation (ddof 0), median and 99th percentile of times.

    Examples
    --------
    >>> summarise_times(np.array([1.0, 1.0, 4.0]))
    {'mean': 2.0, 'std': 1.4142135623730951, 'median': 1.0, 'p99': 3.94}
    """
    summary = {"mean": times.mean(), "std": times.std(), "median": np.median(times), "p99": np.percentile(times, 99)}
    return {name: float(value) for name, value in summary.items()}


def take_batch(inputs: Inputs, batch_size: int) -> dict[str, NDArray[Any]]:
    """First objects of the inputs, from the beginning again when there are fewer.

    Examples
    --------
    >>> take_batch({"deltajd": np.array([[1.0], [2.0]])}, 3)["deltajd"].ravel().tolist()
    [1.0, 2.0, 1.0]
    """
    return {name: np.take(values, range(batch_size), axis=0, mode="wrap") for name, values in inputs.items()}


def make_server(model: Any) -> Callable[[Inputs], NDArray[np.float32]]:
    """Wrap a model as a broker would serve it: one graph, traced once per batch size.

    Parameters
    ----------
    model : keras.Model

    Returns
    -------
    callable
        From the inputs, a dict of arrays of n objects, to probabilities, shape (n, n_classes). `Model.predict` gives
        the same and takes tens of milliseconds more for its set-up at each call.
    """
    graph = tf.function(lambda inputs: model(inputs, training=False))
    return lambda inputs: graph({name: tf.convert_to_tensor(values) for name, values in inputs.items()}).numpy()


def choose_models(results: pd.DataFrame, count: int, variants: tuple[str, ...]) -> pd.DataFrame:
    """Best combinations of each variant on validation, each with the trained model of its first repetition.

    Repetitions of one combination are the same computation, so one of them is timed.

    Parameters
    ----------
    results : DataFrame
        Of `twostamp.search.read_results`.
    count : int
        Combinations per variant, at most.
    variants : tuple of str
        Those without a finished trial are left out.

    Returns
    -------
    DataFrame
        Rows of `results`, and rank (from 1, best on validation), validation_mean, validation_std, test_mean,
        test_std (ddof 0, over the repetitions).
    """
    ranked = rank_combinations(results)
    rows = []
    for variant in variants:
        best = ranked[ranked["variant"] == variant].head(count)
        for rank, (_, combination) in enumerate(best.iterrows(), start=1):
            means = combination[["validation_mean", "validation_std", "test_mean", "test_std"]]
            rows.append(pd.concat([select_trials(results, combination).iloc[0], means, pd.Series({"rank": rank})]))
    return pd.DataFrame(rows).reset_index(drop=True)


def load_server(row: pd.Series, records: Path, recipe: str) -> tuple[Callable[[Inputs], NDArray[np.float32]], Inputs]:
    """Load a trained model and the test objects it takes, ready for `take_batch`.

    Parameters
    ----------
    row : Series
        Of `choose_models`.
    records : Path
        Folder of the records.
    recipe : str
        Of the metadata.
    """
    features = VARIANTS[row["variant"]].features or "thesis26"
    arrays = load_arrays(records, "test", features=features, crop=int(row["crop_size"]), recipe=recipe)
    return make_server(load_trial(row)), model_inputs(row["variant"], arrays)


def time_models(chosen: pd.DataFrame, records: Path, recipe: str, repeats: int, batch_size: int = 1) -> pd.DataFrame:
    """Time the prediction of one batch by several models (Figure 6.4, Table 6.4).

    Parameters
    ----------
    chosen : DataFrame
        Of `choose_models`.
    records, recipe
        As for `load_server`.
    repeats, batch_size : int

    Returns
    -------
    DataFrame
        `chosen` with the columns times (ms, `repeats` of them), mean, std, median, p99.
    """
    calls = {}
    for i, row in chosen.iterrows():
        server, inputs = load_server(row, records, recipe)
        calls[i] = _bind(server, take_batch(inputs, batch_size))
    return _tabulate(chosen, time_calls(calls, repeats))


def time_batches(row: pd.Series, records: Path, recipe: str, repeats: int, batch_sizes: list[int]) -> pd.DataFrame:
    """Time one model on batches of several sizes (Figure 6.5).

    Returns
    -------
    DataFrame
        batch_size, times (ms), mean, std, median, p99.
    """
    server, inputs = load_server(row, records, recipe)
    calls = {i: _bind(server, take_batch(inputs, size)) for i, size in enumerate(batch_sizes)}
    return _tabulate(pd.DataFrame({"batch_size": batch_sizes}), time_calls(calls, repeats, warm_up=2))


def _bind(function: Callable[[Any], Any], argument: Any) -> Callable[[], Any]:
    return lambda: function(argument)


def _tabulate(table: pd.DataFrame, times: Mapping[Any, NDArray[np.float64]]) -> pd.DataFrame:
    summaries = pd.DataFrame([summarise_times(times[i]) for i in table.index], index=table.index)
    return table.assign(times=[times[i].tolist() for i in table.index]).join(summaries)


def find_pairs(archive: str, candids: Mapping[str, tuple[int, int]], count: int) -> list[Pair]:
    """Find the packets of objects with two alerts; the archive is read until there are enough.

    Parameters
    ----------
    archive : str
        As for `twostamp.alerts.archive.iter_members`.
    candids : mapping of str to (int, int)
        First and second candid by objectId.
    count : int
        Objects.

    Returns
    -------
    list of (bytes, bytes)
        Avro files of the first and the second alert; fewer than `count` when the archive holds fewer.
    """
    found: dict[str, dict[int, bytes]] = {}
    pairs: list[Pair] = []
    with contextlib.suppress(ArchiveError):  # notebook 01 has reported the damage; what could be read is here
        for member in iter_members(archive, progress=False):
            for object_id, candid in _keys_of(member.data):
                wanted = candids.get(object_id)
                if wanted and candid in wanted:
                    packets = found.setdefault(object_id, {})
                    packets[candid] = member.data
                    if len(packets) == 2:
                        pairs.append((packets[wanted[0]], packets[wanted[1]]))
            if len(pairs) >= count:
                break
    return pairs[:count]


def _keys_of(data: bytes) -> list[tuple[str, int]]:
    try:
        return [(key.objectId, key.candid) for key in read_keys(data)]
    except PacketError:
        return []  # quarantined by notebook 01


def decode_pairs(pairs: list[Pair]) -> pd.DataFrame:
    """Decode Avro packets into the table that `twostamp.arrays.arrays_from_table` takes.

    Parameters
    ----------
    pairs : list of (bytes, bytes)
        Of `find_pairs`, one alert a file.

    Returns
    -------
    DataFrame
        objectId, deltajd (days), and candidate fields and gzipped stamps with the endings ``_1`` and ``_2``.
    """
    rows = []
    for pair in pairs:
        packets = [read_packets(data)[0] for data in pair]
        row = {"objectId": packets[0]["objectId"]}
        for alert, packet in enumerate(packets, start=1):
            row |= {f"{name}_{alert}": value for name, value in packet["candidate"].items()}
            for stamp in ("Science", "Template", "Difference"):
                row[f"{stamp.lower()}_{alert}"] = packet[f"cutout{stamp}"]["stampData"]
        row["deltajd"] = row["jd_2"] - row["jd_1"]
        rows.append(row)
    return pd.DataFrame(rows)


def time_stages(row: pd.Series, pairs: list[Pair], records: Path, recipe: str, repeats: int) -> pd.DataFrame:
    """Time the way from Avro packets to probabilities: decode, prepare, predict (T9).

    Parameters
    ----------
    row : Series
        Of `choose_models`, a two-stamp classifier.
    pairs : list of (bytes, bytes)
        Packets of the batch.
    records, recipe
        As for `load_server`.
    repeats : int

    Returns
    -------
    DataFrame
        stage, batch_size, times (ms), mean, std, median, p99. Stage ``prepare`` covers repair and normalisation of
        six stamps an object, and metadata.
    """
    features = VARIANTS[row["variant"]].features or "thesis26"
    options: dict[str, Any] = {"features": features, "crop": int(row["crop_size"])}
    options["preparation"] = read_info(records).preparation
    scaler, server = load_scaler(records, recipe), make_server(load_trial(row))

    def prepare(table: pd.DataFrame) -> Arrays:
        return arrays_from_table(table, scaler, **options)

    table = decode_pairs(pairs)
    inputs = model_inputs(row["variant"], prepare(table))
    calls = {0: _bind(decode_pairs, pairs), 1: _bind(prepare, table), 2: _bind(server, inputs)}
    stages = pd.DataFrame({"stage": STAGES, "batch_size": len(pairs)})
    return _tabulate(stages, time_calls(calls, repeats))
