"""One ZTF alert packet: its key, its whole content, and what can be wrong with it (thesis, section 3.1.1).

A packet is an Avro object container that carries its own schema. The key pass of the extraction needs seven numbers of
each alert, so `read_keys` decodes nothing behind ``candidate``: neither the history nor the stamps.
"""

import contextlib
import io
import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any, NamedTuple

import fastavro

from twostamp.alerts.avro import (
    Container,
    CorruptPacket,
    PacketError,
    decode,
    read_blocks,
    read_bytes,
    read_header,
    read_long,
)

_SYNC_MARKER = b"two-stamp-alerts"
_HISTORY = ("prv_candidates", "fp_hists")
CUTOUTS = ("cutoutScience", "cutoutTemplate", "cutoutDifference")
GZIP = b"\x1f\x8b\x08"
SENTINEL = -999.0
"""What ZTF writes for a number that there is none of."""
_KEY_FIELDS = ("jd", "ssdistnr", "programid", "ra", "dec", "candid")


class MissingField(PacketError):  # noqa: N818
    """A field that the pipeline cannot do without is absent or null; the reason names it."""


class BadStamp(PacketError):  # noqa: N818
    """A stamp is missing, unreadable or of a shape that decision S1 cannot explain."""


@dataclass(frozen=True, slots=True)
class AlertKey:
    """What ranks an alert: ``jd`` in days, ``ssdistnr`` in arcsec (None when absent), ``ra`` and ``dec`` in degrees."""

    objectId: str
    candid: int
    jd: float
    ssdistnr: float | None
    programid: int
    ra: float
    dec: float


class _Schemas(NamedTuple):
    whole: dict[str, Any]
    front: dict[str, Any] | None  # up to candidate, where history and the three cutouts are all that follows it
    head: dict[str, Any]  # the same record and its candidate, each cut behind the last field that a key needs


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
        When the bytes are damaged, or lack a field of the key.

    Examples
    --------
    >>> read_keys(b"Obj")
    Traceback (most recent call last):
    ...
    twostamp.alerts.avro.CorruptPacket: not an Avro container
    """
    container = read_header(data)
    schemas = _parse_schemas(container.schema)
    return [_make_key(record) for record in _read_records(data, container, schemas, keys_only=True)]


def read_packets(data: bytes, history: bool = True) -> list[dict[str, Any]]:
    """Read the whole alerts of an Avro container; errors as in `read_keys`.

    Parameters
    ----------
    data : bytes
        As for `read_keys`.
    history : bool
        Whether the earlier detections of the object and the names of the stamps' files are wanted; without them a
        usual packet takes a tenth of the time.

    Examples
    --------
    >>> schema = {"type": "record", "name": "alert", "fields": [{"name": "objectId", "type": "string"}]}
    >>> read_packets(write_packets([{"objectId": "ZTF18abcdefg"}], schema))
    [{'objectId': 'ZTF18abcdefg'}]
    """
    container = read_header(data)
    schemas = _parse_schemas(container.schema)
    if not history and (packet := _read_around_history(data, container, schemas)):
        return [packet]
    packets = list(_read_records(data, container, schemas, keys_only=False))
    return packets if history else [_drop_history(packet) for packet in packets]


def read_candidate_types(data: bytes) -> dict[str, str]:
    """Read which fields ``candidate`` has in this container's schema, as Arrow types (double, int64, string)."""
    return _candidate_types(read_header(data).schema)


def prepare_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """Parse an Avro schema once for many calls of `write_packets`."""
    # fastavro goes through a set, whose order changes from process to process, and the container shows it.
    return json.loads(json.dumps(fastavro.parse_schema(schema), sort_keys=True))


def write_packets(packets: Iterable[dict[str, Any]], schema: dict[str, Any]) -> bytes:
    """Write alerts as one uncompressed Avro container; the same packets give the same bytes, in any process.

    Parameters
    ----------
    packets : iterable of dict
        Alerts, as `read_packets` gives them.
    schema : dict
        Avro schema, of `read_schema` or `prepare_schema`.
    """
    prepared = schema if "__fastavro_parsed" in schema else prepare_schema(schema)
    stream = io.BytesIO()
    fastavro.writer(stream, prepared, packets, sync_marker=_SYNC_MARKER)
    return stream.getvalue()


@lru_cache(maxsize=64)
def _parse_schemas(schema: bytes) -> _Schemas:
    try:
        whole = json.loads(schema)
        head = _cut(whole, ("objectId", "candid", "candidate"))
        front = fastavro.parse_schema(head) if _is_usual(whole["fields"], len(head["fields"])) else None
        if head["fields"] and (last := head["fields"][-1])["name"] == "candidate":
            # Nothing is read behind it, so it may end early too.
            head["fields"][-1] = last | {"type": _cut_candidate(last["type"])}
        return _Schemas(fastavro.parse_schema(whole), front, fastavro.parse_schema(head))
    except Exception as error:
        raise CorruptPacket(f"the container's schema is damaged: {type(error).__name__}") from error


def _as_union(avro: Any) -> list[Any]:
    """The kinds that a value can have: Fink and Spark make every field, ``candidate`` too, a union with null."""
    return avro if isinstance(avro, list) else [avro]


def _cut(record: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """Cut a record schema behind the last of the named fields."""
    wanted = [at for at, field in enumerate(record["fields"]) if field["name"] in names]
    return record | {"fields": record["fields"][: max(wanted, default=-1) + 1]}


def _cut_candidate(avro: Any) -> Any:
    """Cut the type of ``candidate``, a record or a union of one with null, behind the last field of a key."""
    if isinstance(avro, list):
        return [kind if kind == "null" else _cut(kind, _KEY_FIELDS) for kind in avro]
    return _cut(avro, _KEY_FIELDS)


def _is_usual(fields: list[dict[str, Any]], front: int) -> bool:
    """Whether only history and the three cutouts, each null or (a name, gzipped bytes), follow the first fields."""
    names = [field["name"] for field in fields[front:]]
    if tuple(names[-3:]) != CUTOUTS or not set(names[:-3]) <= set(_HISTORY):
        return False
    kinds = [[kind for kind in _as_union(field["type"]) if kind != "null"] for field in fields[-3:]]
    record, *others = (kind[0] if len(kind) == 1 else None for kind in kinds)
    return (
        isinstance(record, dict)
        and [field["type"] for field in record["fields"]] == ["string", "bytes"]
        and all(other == record["name"] for other in others)
    )


def _read_around_history(data: bytes, container: Container, schemas: _Schemas) -> dict[str, Any] | None:
    """Read a single alert but its history; None when it takes a full reader to find the stamps."""
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
    stamps = {name: cutout and {"stampData": cutout["stampData"]} for name, cutout in packet.items() if name in CUTOUTS}
    return {name: value for name, value in packet.items() if name not in _HISTORY} | stamps


def _find_stamps(data: bytes, at: int, end: int) -> list[dict[str, Any]] | None:
    """Find the three cutouts that end a record: a chain of lengths that leads from gzip to gzip, exactly to the end."""
    while (at := data.find(GZIP, at, end)) >= 0:
        for width in (3, 2):  # of the length of a stamp of 64 bytes to 1 MB
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


@lru_cache(maxsize=64)
def _candidate_types(schema: bytes) -> dict[str, str]:
    fields = {field["name"]: field for field in _parse_schemas(schema).whole["fields"]}
    if "candidate" not in fields:
        raise MissingField("the packet has no candidate")
    records = [kind for kind in _as_union(fields["candidate"]["type"]) if kind != "null"]
    return {field["name"]: _arrow_type(field["type"]) for record in records for field in record["fields"]}


def _arrow_type(avro: Any) -> str:
    # A type with notes, such as {"type": "string", "avro.java.string": "String"}, is the type in it.
    kinds = [kind["type"] if isinstance(kind, dict) else kind for kind in _as_union(avro)]
    names = set(kinds) - {"null"}
    if names <= {"int", "long"}:
        return "int64"
    return "double" if names <= {"int", "long", "float", "double"} else "string"


def _read_records(data: bytes, container: Container, schemas: _Schemas, *, keys_only: bool) -> Iterator[dict[str, Any]]:
    total = 0
    for count, stream, end in read_blocks(data, container):
        if keys_only and count == 1:
            record = decode(stream, schemas.head)
            if stream.tell() > end:
                raise CorruptPacket("a record is longer than its block")
            yield record
        else:
            # Only a reader that skips the rest of a record finds where the next one begins.
            for _ in range(min(count, end + 1)):
                yield decode(stream, schemas.whole, schemas.head if keys_only else None)
            if stream.tell() != end:
                raise CorruptPacket("a block's records do not fill it")
        total += count
    if total < 1:
        raise CorruptPacket("the container holds no alert")


def _make_key(record: dict[str, Any]) -> AlertKey:
    candidate = record.get("candidate") or {}
    values: dict[str, Any] = {name: candidate.get(name) for name in _KEY_FIELDS} | {"objectId": record.get("objectId")}
    if record.get("candid") is not None:
        values["candid"] = record["candid"]
    for name, value in values.items():
        if value is None and name != "ssdistnr":
            raise MissingField(f"the packet has no {name if name == 'objectId' else f'candidate.{name}'}")
    if not (0 < values["jd"] < 1e7 and math.isfinite(values["ra"]) and math.isfinite(values["dec"])):
        raise CorruptPacket("jd is no Julian date, or ra or dec is not finite")
    return AlertKey(**values)
