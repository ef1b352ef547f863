"""Objects as they are handed over for prediction: tuples of Avro packets, one packet an alert.

Decoding names what is wrong and with which object; the rest of the way is that of the TFRecords (`data.arrays`).
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import pandas as pd

from twostamp.alerts.cutouts import STAMPS
from twostamp.alerts.packet import BadStamp, CorruptPacket, MissingField, PacketError, read_packets
from twostamp.data.arrays import POSITION
from twostamp.data.features import PACKET_FIELDS

Packet = bytes | Mapping[str, Any]
Objects = Sequence[Sequence[Packet]]
Prepared = TypeVar("Prepared")

NEVER_NULL = ("jd", "ra", "dec", "isdiffpos")


def decode_objects(objects: Objects, n_alerts: int, first: int = 0) -> pd.DataFrame:
    """Decode packets into the table that `twostamp.data.arrays.arrays_from_table` takes.

    Parameters
    ----------
    objects : sequence of n tuples
        `n_alerts` packets of one object, the earlier first: bytes of an Avro file with one alert, or the dict that it
        decodes to.
    n_alerts : {1, 2}
    first : int
        Number of the first object in messages.

    Returns
    -------
    DataFrame, n rows
        objectId, candidate fields and gzipped stamps with the endings ``_1`` and ``_2``; deltajd (days) for two.

    Raises
    ------
    PacketError
        Of the kind that fits; the message names the object.

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
            rows.append(_decode_object(packets, n_alerts))
    return pd.DataFrame(rows)


def prepare_objects(
    objects: Objects, n_alerts: int, prepare: Callable[[pd.DataFrame], Prepared], first: int = 0
) -> Prepared:
    """Decode objects and prepare them at once; where that fails, one by one, so that the error names the object.

    Parameters
    ----------
    objects, n_alerts, first
        As for `decode_objects`.
    prepare : callable
        From the table of `decode_objects` to what a model takes.

    Raises
    ------
    PacketError
        As for `decode_objects`; also for a stamp or an isdiffpos that cannot be used.
    """
    table = decode_objects(objects, n_alerts, first)
    try:
        return prepare(table)
    except ValueError:
        for position, packets in enumerate(objects):
            with _naming(first + position, packets):
                prepare(table.iloc[[position]])
        raise


def _decode_object(packets: Sequence[Packet], n_alerts: int) -> dict[str, Any]:
    if isinstance(packets, bytes | str | Mapping) or not isinstance(packets, Sequence) or len(packets) != n_alerts:
        raise PacketError(f"an object is a tuple of {n_alerts} packet{'s' * (n_alerts > 1)}")
    alerts = [_decode_packet(packet) for packet in packets]
    row: dict[str, Any] = {"objectId": alerts[0].get("objectId")}
    for order, alert in enumerate(alerts, start=1):
        row |= {f"{name}_{order}": value for name, value in _read_fields(alert).items()}
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
    if not isinstance(packet, bytes):
        raise PacketError(f"a packet is bytes or a decoded dict, not {type(packet).__name__}")
    alerts = read_packets(packet, history=False)
    if len(alerts) > 1:
        raise CorruptPacket(f"the container holds {len(alerts)} alerts, and a packet is one")
    return alerts[0]


def _read_fields(alert: Mapping[str, Any]) -> dict[str, Any]:
    candidate = alert.get("candidate")
    if not candidate:
        raise MissingField("the packet has no candidate")
    fields = {}
    for name in dict.fromkeys(("jd", *PACKET_FIELDS, *POSITION)):
        if name not in candidate or (candidate[name] is None and name in NEVER_NULL):
            raise MissingField(f"the packet has no candidate.{name}")
        fields[name] = candidate[name]
    for name in STAMPS:
        fields[name] = (alert.get(f"cutout{name.capitalize()}") or {}).get("stampData")
        if not fields[name]:
            raise BadStamp(f"the {name} stamp is missing")
    return fields


@contextlib.contextmanager
def _naming(position: int, packets: Any) -> Iterator[None]:
    """Put the object's place, and its name where that is known, before the message of an error."""
    try:
        yield
    except ValueError as error:
        kind = type(error) if isinstance(error, PacketError) else CorruptPacket
        name = next((f" ({packet['objectId']})" for packet in _decoded(packets) if packet.get("objectId")), "")
        raise kind(f"object {position}{name}: {error}") from error


def _decoded(packets: Any) -> Iterator[Mapping[str, Any]]:
    with contextlib.suppress(PacketError, TypeError):
        yield from (_decode_packet(packet) for packet in packets)
