"""Times from Avro packets to probabilities, stage by stage, as in a broker (not in thesis section 6.5; T9)."""

import contextlib
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from twostamp.alerts.archive import ArchiveError, iter_members
from twostamp.alerts.packet import PacketError, read_keys
from twostamp.analysis.inference_time.latency import tabulate_times, time_calls
from twostamp.data.arrays import read_metadata
from twostamp.data.decode import decode_objects
from twostamp.models.classifier import Classifier
from twostamp.models.inference import make_server

_BATCHES = (1, 10)

Pair = tuple[bytes, bytes]


def find_pairs(archive: str, candids: Mapping[str, tuple[int, int]], count: int) -> list[Pair]:
    """Find the packets of objects with two alerts; read the archive until there are enough.

    Parameters
    ----------
    archive : str
        As for `twostamp.alerts.archive.iter_members`.
    candids : mapping of str to (int, int)
        First and second candid by objectId.
    count : int
        Number of objects.

    Returns
    -------
    list of (bytes, bytes)
        Avro files of the first and the second alert; fewer than `count` if the archive holds fewer.
    """
    found: dict[str, dict[int, bytes]] = {}
    pairs: list[Pair] = []
    with contextlib.suppress(ArchiveError):  # notebook 01 has reported the damage; the readable part is used here
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
    """Return objectId and candid of every alert of a packet; nothing for an unreadable one."""
    try:
        return [(key.objectId, key.candid) for key in read_keys(data)]
    except PacketError:
        return []  # quarantined by notebook 01


def time_stages(classifier: Classifier, pairs: list[Pair], repeats: int) -> pd.DataFrame:
    """Time the stages from Avro packets to probabilities: decode, prepare, predict (T9).

    Parameters
    ----------
    classifier : Classifier
        Two-stamp classifier.
    pairs : list of (bytes, bytes)
        Packets of the batch.
    repeats : int

    Returns
    -------
    DataFrame
        stage, batch_size, times (ms), then the columns of `summarise_times`. Stage ``prepare`` covers metadata, and
        repair and normalisation of six stamps per object.
    """
    server = make_server(classifier.network)
    table = decode_objects(pairs, n_alerts=2)
    inputs = classifier.make_inputs(table)
    calls: dict[str, Callable[[], Any]] = {
        "decode": partial(decode_objects, pairs, n_alerts=2),
        "prepare": partial(classifier.make_arrays, table),
        "predict": partial(server, inputs),
    }
    stages = pd.DataFrame({"stage": list(calls), "batch_size": len(pairs)}, index=list(calls))
    return tabulate_times(stages, time_calls(calls, repeats))


def time_archive(classifier: Classifier, archive: str, pairs_path: Path, repeats: int) -> pd.DataFrame:
    """Time the stages for one object and for a batch of ten, on packets of the archive.

    Parameters
    ----------
    classifier, repeats
        As for `time_stages`.
    archive : str
        As for `find_pairs`.
    pairs_path : Path
        ``pairs.parquet``, which pairs the packets.
    """
    table = read_metadata(pairs_path)
    candids = dict(zip(table["objectId"], zip(table["candid_1"], table["candid_2"], strict=True), strict=True))
    pairs = find_pairs(archive, candids, max(_BATCHES))
    sizes = sorted({min(size, len(pairs)) for size in _BATCHES} - {0})
    return pd.concat([time_stages(classifier, pairs[:size], repeats) for size in sizes], ignore_index=True)
