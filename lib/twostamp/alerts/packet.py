"""One ZTF alert packet: its key, its content, and the errors that it can have (thesis, section 3.1.1).

A packet is an Avro object container that carries its own schema. The key pass of the extraction needs seven numbers of
each alert. `read_keys` therefore decodes nothing after ``candidate``: neither the history nor the stamps.
"""

import contextlib
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from importlib.resources import files
from typing import Any

import fastavro
import numpy as np

from twostamp.alerts.avro import (
    Container,
    CorruptPacket,
    PacketError,
    collecting_reasons,
    decode,
    read_blocks,
    read_bytes,
    read_header,
    read_long,
)
from twostamp.alerts.schemas import CUTOUTS, HISTORY, Schemas, find_candidate_types, parse_schemas
from twostamp.alerts.values import RANGES, MissingField, check_values, read_number

_SYNC_MARKER = b"two-stamp-alerts"
GZIP = b"\x1f\x8b\x08"
SENTINEL = -999.0
"""Value that ZTF writes for a missing number."""
_LONGEST_OF_A_FLOAT = 2.0**53
_PADDING = " \t\r\n\0"  # a fixed-length string, as written by C
_PLACE_AND_TIME = ("jd", "ra", "dec")
_BOUNDS = [RANGES[name] for name in _PLACE_AND_TIME]


class BadStamp(PacketError):  # noqa: N818
    """A stamp is missing, unreadable or of a shape that decision S1 cannot explain."""


@dataclass(frozen=True, slots=True)
class AlertKey:
    """Key of an alert: ``jd`` in days, ``ssdistnr`` in arcsec (None if absent), ``ra`` and ``dec`` in degrees."""

    objectId: str
    candid: int
    jd: float
    ssdistnr: float | None
    programid: int
    ra: float
    dec: float


def read_schema() -> dict[str, Any]:
    """Read ZTF's alert schema 3.3, as shipped with the package.

    Examples
    --------
    >>> [field["name"] for field in read_schema()["fields"]][:4]
    ['schemavsn', 'publisher', 'objectId', 'candid']
    """
    return json.loads(files("twostamp.alerts").joinpath("ztf_alert_3.3.json").read_text())


def read_keys(data: bytes) -> list[AlertKey]:
    """Read the keys of the alerts in an Avro container, without decoding their stamps.

    Parameters
    ----------
    data : bytes
        A whole container, of any ZTF schema version, with one alert or several.

    Returns
    -------
    list of AlertKey
        In the container's order. ``candid`` falls back on ``candidate.candid``.

    Raises
    ------
    CorruptPacket, MissingField
        If the bytes are damaged, or lack a field of the key.

    Examples
    --------
    >>> read_keys(b"Obj")
    Traceback (most recent call last):
    ...
    twostamp.alerts.avro.CorruptPacket: not an Avro container
    """
    for key in (keys := try_keys(data)):
        if isinstance(key, PacketError):
            raise key
    return keys  # type: ignore[return-value]  # none of them is an error


def try_keys(data: bytes) -> list[AlertKey | PacketError]:
    """Read the keys of a container as `read_keys` does, with the error of an alert in place of its key.

    Raises
    ------
    PacketError
        The container cannot be read, so all its alerts are lost.
    """
    container = read_header(data)
    schemas = parse_schemas(container.schema)
    return [_try_key(record) for record in _read_records(data, container, schemas, keys_only=True)]


def read_packets(data: bytes, history: bool = True) -> list[dict[str, Any]]:
    """Read the whole alerts of an Avro container; errors as in `read_keys`.

    Parameters
    ----------
    data : bytes
        As for `read_keys`.
    history : bool
        Whether to read the earlier detections of the object and the file names of the stamps. Without them a usual
        packet takes a tenth of the time.

    Examples
    --------
    >>> schema = {"type": "record", "name": "alert", "fields": [{"name": "objectId", "type": "string"}]}
    >>> read_packets(write_packets([{"objectId": "ZTF18abcdefg"}], schema))
    [{'objectId': 'ZTF18abcdefg'}]
    """
    container = read_header(data)
    schemas = parse_schemas(container.schema)
    if not history and (packet := _read_around_history(data, container, schemas)):
        return [packet]
    packets = list(_read_records(data, container, schemas, keys_only=False))
    return packets if history else [_drop_history(packet) for packet in packets]


def read_sound_packets(data: bytes, history: bool = True) -> list[dict[str, Any]]:
    """Read the alerts of a container that can be meant: what looks at examples passes over the others in silence."""
    sound = []
    with collecting_reasons():
        for packet in read_packets(data, history):
            with collecting_reasons():
                check_values(find_candidate(packet))
                sound.append(packet | {"objectId": _make_key(packet).objectId})
    return sound


def read_candidate_types(data: bytes) -> dict[str, str]:
    """Read which fields ``candidate`` has in this container's schema, as Arrow types (double, int64, string)."""
    return find_candidate_types(read_header(data).schema)


def prepare_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """Parse an Avro schema once for many calls of `write_packets`."""
    # fastavro iterates over a set, whose order varies between processes and would change the container.
    return json.loads(json.dumps(fastavro.parse_schema(schema), sort_keys=True))


def write_packets(packets: Iterable[dict[str, Any]], schema: dict[str, Any]) -> bytes:
    """Write alerts as one uncompressed Avro container; the same packets give the same bytes, in any process.

    Parameters
    ----------
    packets : iterable of dict
        Alerts, as returned by `read_packets`.
    schema : dict
        Avro schema, of `read_schema` or `prepare_schema`.
    """
    prepared = schema if "__fastavro_parsed" in schema else prepare_schema(schema)
    stream = io.BytesIO()
    fastavro.writer(stream, prepared, packets, sync_marker=_SYNC_MARKER)
    return stream.getvalue()


def _read_around_history(data: bytes, container: Container, schemas: Schemas) -> dict[str, Any] | None:
    """Read a single alert without its history; None if only a full reader can find the stamps."""
    if schemas.front is None or container.codec != b"null":
        return None
    blocks = list(read_blocks(data, container))
    if len(blocks) != 1 or blocks[0][0] != 1:
        return None
    _, stream, end = blocks[0]
    packet = decode(stream, schemas.front)
    stamps = _find_stamps(data, stream.tell(), end)
    return packet | dict(zip(CUTOUTS, stamps, strict=True)) if stamps else None


def _drop_history(packet: dict[str, Any]) -> dict[str, Any]:
    cutouts = {name: value for name, value in packet.items() if name in CUTOUTS and isinstance(value, Mapping)}
    stamps = {name: {"stampData": cutout.get("stampData")} for name, cutout in cutouts.items()}
    return {name: value for name, value in packet.items() if name not in HISTORY} | stamps


def _find_stamps(data: bytes, at: int, end: int) -> list[dict[str, Any]] | None:
    """Find the three cutouts at the end of a record: their lengths must lead from gzip to gzip, exactly to the end."""
    while (at := data.find(GZIP, at, end)) >= 0:
        for width in (3, 2):  # length field of a stamp of 64 bytes to 1 MB
            with contextlib.suppress(CorruptPacket, IndexError):
                size, start = read_long(data, at - width)
                if start == at and size > 0 and (stamps := _follow_stamps(data, at, size, end)):
                    return stamps
        at += 1
    return None


def _follow_stamps(data: bytes, at: int, size: int, end: int) -> list[dict[str, Any]] | None:
    stamps = [{"stampData": data[at : at + size]}]
    at += size
    for _ in CUTOUTS[1:]:
        branch, at = read_long(data, at)
        _, at = read_bytes(data, at)
        stamp, at = read_bytes(data, at)
        if branch not in (0, 1) or not stamp.startswith(GZIP):
            return None
        stamps.append({"stampData": stamp})
    return stamps if at == end else None


def _read_records(data: bytes, container: Container, schemas: Schemas, *, keys_only: bool) -> Iterator[dict[str, Any]]:
    total = 0
    for count, stream, end in read_blocks(data, container):
        if keys_only and count == 1 and schemas.head is not None:
            record = decode(stream, schemas.head)
            if stream.tell() > end:
                raise CorruptPacket("a record is longer than its block")
            yield record
        else:
            # Only a reader that skips the rest of a record finds the beginning of the next.
            for _ in range(min(count, end + 1)):
                yield decode(stream, schemas.whole, schemas.head if keys_only else None)
            if stream.tell() != end:
                raise CorruptPacket("a block's records do not fill it")
        total += count
    if total < 1:
        raise CorruptPacket("the container holds no alert")


def _try_key(record: dict[str, Any]) -> AlertKey | PacketError:
    try:
        return _make_key(record)
    except PacketError as error:
        with contextlib.suppress(PacketError):
            error.candid = find_candid(record)
        return error


def _make_key(record: dict[str, Any]) -> AlertKey:
    candidate = find_candidate(record)
    object_id, candid = record.get("objectId"), find_candid(record)
    if not isinstance(object_id, str | int | None):
        raise CorruptPacket(f"objectId is of type {type(object_id).__name__}")
    object_id = "" if object_id is None else str(object_id).strip(_PADDING)
    if not object_id:
        raise MissingField("the packet has no objectId")
    place: list[Any] = [candidate.get(name) for name in _PLACE_AND_TIME]
    if not all(type(value) is float and low < value < high for value, (low, high) in zip(place, _BOUNDS, strict=True)):
        checked = check_values(candidate, _PLACE_AND_TIME)
        place = [checked[name] for name in _PLACE_AND_TIME]
    program = candidate.get("programid")
    if program is None:
        raise MissingField("the packet has no candidate.programid")
    return AlertKey(
        object_id, candid, place[0], candidate.get("ssdistnr"), read_integer("programid", program), *place[1:]
    )


def find_candidate(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """Find the candidate fields of an alert, from `read_packets` or any dict; empty if there is no candidate."""
    candidate = record.get("candidate") or {}
    if not isinstance(candidate, Mapping):
        raise CorruptPacket(f"candidate is of type {type(candidate).__name__}")
    return candidate


def find_candid(record: Mapping[str, Any]) -> int:
    """Find an alert's candid; if the alert has none, that of its candidate."""
    candid = record.get("candid")
    if candid is None:
        candid = find_candidate(record).get("candid")
    if candid is None:
        raise MissingField("the packet has no candidate.candid")
    return read_integer("candid", candid)


def read_integer(name: str, value: Any) -> int:
    """Read a 64-bit integer from any type that can hold it; candids are too long for a float."""
    if isinstance(value, str) and value.strip().lstrip("+-").isdecimal():
        value = int(value)
    if isinstance(value, np.integer) or (isinstance(value, Decimal) and value.is_finite() and value % 1 == 0):
        value = int(value)
    if type(value) is not int:
        number = read_number(name, value)
        if not number.is_integer():
            raise CorruptPacket(f"{name} is {number:g}, which is no integer")
        if abs(number) >= _LONGEST_OF_A_FLOAT:
            raise CorruptPacket(f"{name} is {number:g}, too long for a float, which has lost the last digits")
        value = int(number)
    if not -(2**63) <= value < 2**63:
        raise CorruptPacket(f"{name} is longer than 64 bits")
    return value
