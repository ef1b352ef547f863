"""Objects given for prediction: tuples of Avro packets, one packet per alert.

Decoding errors name the object and the reason. The further steps are those of the TFRecords (`data.arrays`).
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from typing import Any, TypeVar

import pandas as pd

from twostamp.alerts.cutouts import STAMPS, find_stamp
from twostamp.alerts.packet import CorruptPacket, PacketError, find_candidate, read_packets
from twostamp.alerts.values import MEANT, MissingField, check_values, read_number
from twostamp.data.arrays import POSITION
from twostamp.data.features import PACKET_FIELDS

Packet = bytes | Mapping[str, Any]
Objects = Iterable[Sequence[Packet]]
Prepared = TypeVar("Prepared")


def decode_objects(
    objects: Objects, n_alerts: int, first: int = 0, fields: Sequence[str] = PACKET_FIELDS
) -> pd.DataFrame:
    """Decode packets into a table for `twostamp.data.arrays.arrays_from_table`.

    Parameters
    ----------
    objects : iterable of n tuples
        `n_alerts` packets of one object, the earlier first: bytes of an Avro file with one alert, or the dict that it
        decodes to.
    n_alerts : {1, 2}
    first : int
        Index of the first object, for messages.
    fields : sequence of str
        Fields of ``candidate`` that a packet must have, of `PACKET_FIELDS`; by default all.

    Returns
    -------
    DataFrame, n rows
        objectId, candidate fields and gzipped stamps with the endings ``_1`` and ``_2``; deltajd (days) for two.

    Raises
    ------
    PacketError
        A packet cannot be used; the message names the object.

    Examples
    --------
    >>> decode_objects([(b"Obj",)], n_alerts=1)
    Traceback (most recent call last):
    ...
    twostamp.alerts.avro.CorruptPacket: object 0: not an Avro container
    """
    rows = []
    for position, packets in enumerate(objects, start=first):
        with _naming(position, packets):
            rows.append(_decode_object(packets, n_alerts, fields))
    return pd.DataFrame(rows)


def prepare_objects(
    objects: Sequence[Sequence[Packet]],
    n_alerts: int,
    prepare: Callable[[pd.DataFrame], Prepared],
    first: int = 0,
    fields: Sequence[str] = PACKET_FIELDS,
) -> tuple[Prepared | None, list[int], dict[int, PacketError]]:
    """Decode objects and prepare those that can be used, all at once.

    Parameters
    ----------
    objects, n_alerts, first, fields
        As for `decode_objects`.
    prepare : callable
        Function from the table of `decode_objects` to inputs of a model.

    Returns
    -------
    prepared : object or None
        Prepared objects; None if none can be used.
    places : list of int
        Indices, from `first` on, of the objects in `prepared`.
    failures : dict
        Index of any other object -> the error with its name: one of `decode_objects`, or an unusable stamp.
    """
    rows: dict[int, dict[str, Any]] = {}
    failures: dict[int, PacketError] = {}
    named = dict(enumerate(objects, start=first))
    for position, packets in named.items():
        with _collecting(failures, position), _naming(position, packets):
            rows[position] = _decode_object(packets, n_alerts, fields)
    try:
        return (prepare(pd.DataFrame(rows.values())) if rows else None), list(rows), failures
    except ValueError:  # a bad stamp: prepare objects singly to find it
        for position, row in list(rows.items()):
            with _collecting(failures, position), _naming(position, named[position]):
                prepare(pd.DataFrame([row]))
        rows = {position: row for position, row in rows.items() if position not in failures}
    return (prepare(pd.DataFrame(rows.values())) if rows else None), list(rows), failures


@contextlib.contextmanager
def _collecting(failures: dict[int, PacketError], position: int) -> Iterator[None]:
    try:
        yield
    except PacketError as error:
        failures[position] = error


def _decode_object(packets: Sequence[Packet], n_alerts: int, fields: Iterable[str]) -> dict[str, Any]:
    several = isinstance(packets, Sized) and isinstance(packets, Iterable)  # NumPy arrays are no Sequence
    if isinstance(packets, bytes | str | Mapping) or not several or len(packets) != n_alerts:
        raise PacketError(f"an object is a tuple of {n_alerts} packet{'s' * (n_alerts > 1)}")
    alerts = [_decode_packet(packet) for packet in packets]
    row: dict[str, Any] = {"objectId": alerts[0].get("objectId")}
    for order, alert in enumerate(alerts, start=1):
        row |= {f"{name}_{order}": value for name, value in _read_fields(alert, fields).items()}
    if n_alerts == 2:
        row["deltajd"] = row["jd_2"] - row["jd_1"]
        if alerts[1].get("objectId") != row["objectId"]:
            raise PacketError(f"its second alert is of another object, {alerts[1].get('objectId')}")
        if not row["deltajd"] > 0:
            raise PacketError("its second alert is not later than its first")
    return row


def _decode_packet(packet: Packet) -> Mapping[str, Any]:
    if isinstance(packet, Mapping):
        return packet
    if not isinstance(packet, bytes | bytearray | memoryview):
        raise PacketError(f"a packet is bytes or a decoded dict, not {type(packet).__name__}")
    alerts = read_packets(bytes(packet), history=False)
    if len(alerts) > 1:
        raise CorruptPacket(f"the container holds {len(alerts)} alerts, and a packet is one")
    return alerts[0]


def _read_fields(alert: Mapping[str, Any], needed: Iterable[str]) -> dict[str, Any]:
    """Read a packet's fields and stamps: numbers, and None for missing fields that are not needed."""
    if not (candidate := find_candidate(alert)):
        raise MissingField("the packet has no candidate")
    for name in needed:
        if name not in candidate:
            raise MissingField(f"the packet has no candidate.{name}")
    fields = {name: _read_feature(candidate.get(name)) for name in (*PACKET_FIELDS, *POSITION)}
    fields |= dict.fromkeys(MEANT) | check_values(candidate, [name for name in MEANT if name in ("jd", *needed)])
    return fields | {name: find_stamp(alert, name) for name in STAMPS}


def _read_feature(value: Any) -> float | None:
    with contextlib.suppress(PacketError):
        return read_number("", value)
    return None


@contextlib.contextmanager
def _naming(position: int, packets: Any) -> Iterator[None]:
    """Put the object's index, and its name if known, before the message of an error."""
    try:
        yield
    except Exception as error:  # any other error in given packets
        kind = type(error) if isinstance(error, PacketError) else CorruptPacket
        said = error if isinstance(error, ValueError) else f"it cannot be read: {type(error).__name__}: {error}"
        name = next((f" ({packet['objectId']})" for packet in _decoded(packets) if packet.get("objectId")), "")
        raise kind(f"object {position}{name}: {said}") from error


def _decoded(packets: Any) -> Iterator[Mapping[str, Any]]:
    with contextlib.suppress(PacketError, TypeError):
        yield from (_decode_packet(packet) for packet in packets)
