"""Tasks of Spark's workers: the two passes over an archive, and the writing of pairs (thesis, section 3.2).

The key pass lists the alerts of a source; the stamp pass opens the selected packets. Both yield rows (dicts) for Arrow.
An error in an alert becomes a row and is not raised.
"""

import json
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import reduce
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from twostamp.alerts.archive import ArchiveError, Member, read_members
from twostamp.alerts.avro import collecting_reasons, count_records
from twostamp.alerts.cutouts import STAMPS, read_cutouts
from twostamp.alerts.packet import (
    PacketError,
    find_candid,
    find_candidate,
    read_candidate_types,
    read_integer,
    read_packets,
    try_keys,
)
from twostamp.alerts.tarballs import Share
from twostamp.alerts.values import check_values, read_number
from twostamp.taxonomy import PARTNERSHIP
from twostamp.utils.dates import night_of
from twostamp.utils.files import replacing
from twostamp.utils.spark_store import batch_rows

Row = dict[str, Any]

PLACE = {"source": "string", "member": "string", "record": "int64"}
KEY = {"objectId": "string", "candid": "int64", "jd": "double"}
OPENED = PLACE | KEY | {"reason": "string", "square": "bool"}
ROWS_PER_GROUP = 256
"""Rows of a Parquet row group: a pair weighs about 100 kB, and readers take one group at a time."""

SUMS = ("alerts", "partnership", "bytes")
SCAN = {"kind": "string"} | PLACE | KEY | {"ra": "double", "dec": "double", "text": "string"}
SCAN |= dict.fromkeys(SUMS, "int64")
"""Columns of the key pass. Its rows are of six kinds: ``alert`` (the key of an alert), ``bad`` (``alerts`` that cannot
be used; ``text``: the reason), ``damaged`` (a source that is lost from some place on), ``passed`` (a source or a member
without alerts), ``night`` (``text``: the date, with sums) and ``fields`` (``text``: JSON; ``alerts``: members)."""
_KEYS_AT_ONCE = 20_000
_PACKETS_AT_ONCE = 64


def make_schema(columns: dict[str, str]) -> pa.Schema:
    """Make an Arrow schema of names and types."""
    return pa.schema([(name, pa.type_for_alias(kind)) for name, kind in columns.items()])


def scan(part: tuple[str, Share | None]) -> Iterator[pa.RecordBatch]:
    """Read the keys of one source, or of a share of it, as batches with the columns of `SCAN`."""
    return batch_rows(scan_source(*part), make_schema(SCAN), _KEYS_AT_ONCE)


def scan_source(source: str, share: Share | None = None) -> Iterator[Row]:
    """Read the keys of one source; rows of `SCAN`."""
    nights: dict[str, Counter[str]] = defaultdict(Counter)
    schemas: list[dict[str, str]] = []
    found = 0
    try:
        for member in read_members(source, share=share):
            place = {"source": source, "member": member.name}
            found += 1
            if member.fault:
                yield place | {"kind": "passed", "text": member.fault}
                continue
            with collecting_reasons() as reasons:
                keys, fields = try_keys(member.data), read_candidate_types(member.data)
            if reasons:
                count = count_records(member.data)
                unknown = " (how many alerts it holds is unknown: counted as one)" * (count is None)
                yield place | {"kind": "bad", "text": reasons[0] + unknown, "alerts": count or 1}
                continue
            if fields not in schemas:
                schemas.append(fields)
            for record, key in enumerate(keys, start=member.first):
                if isinstance(key, PacketError):
                    bad = {"kind": "bad", "record": record, "candid": key.candid, "text": key.reason, "alerts": 1}
                    yield place | bad
                    continue
                sums = nights[night_of(key.jd)]
                sums["alerts"] += 1
                sums["partnership"] += key.programid in PARTNERSHIP
                sums["bytes"] += len(member.data) // len(keys)
                yield place | {
                    "kind": "alert",
                    "record": record,
                    "objectId": key.objectId,
                    "candid": key.candid,
                    "jd": key.jd,
                    "ra": key.ra,
                    "dec": key.dec,
                }
    except ArchiveError as error:
        yield {"kind": "damaged", "source": source, "member": "", "text": str(error)}
        found += 1
    for night, sums in sorted(nights.items()):
        yield {"kind": "night", "source": source, "text": night} | {name: sums[name] for name in SUMS}
    merged = reduce(merge_types, schemas or [{}])
    yield {"kind": "fields", "source": source, "text": json.dumps(merged, sort_keys=True), "alerts": found}


def open_winners(source: str, winners: Path, fields: dict[str, str]) -> Iterator[pa.RecordBatch]:
    """Open the selected packets of one source with `open_source`; the table has the columns of `PLACE` and `KEY`."""
    chosen: dict[str, list[Row]] = defaultdict(list)
    rows = pq.read_table(winners, columns=[*PLACE, *KEY], filters=[("source", "==", source)])
    for row in rows.sort_by([(name, "ascending") for name in (*PLACE, "candid")]).drop("source").to_pylist():
        chosen[row.pop("member")].append(row)
    return batch_rows(open_source(source, chosen, fields), make_opened_schema(fields), _PACKETS_AT_ONCE)


def make_opened_schema(fields: dict[str, str]) -> pa.Schema:
    """Make the Arrow schema of the rows of `open_source`."""
    return make_schema(OPENED | fields | dict.fromkeys(STAMPS, "binary"))


def open_source(source: str, winners: dict[str, list[Row]], fields: dict[str, str]) -> Iterator[Row]:
    """Open the selected packets of one source, and check that values and stamps can be used.

    `winners` are rows (record, objectId, candid, jd) by member. Each always yields one row: `PLACE`, `KEY`, ``reason``
    (None if usable), ``square``, `STAMPS` (gzipped FITS) and the `fields` of ``candidate``. ``square`` means that all
    three stamps are 63 x 63. `fields` maps names to Arrow types.
    """
    waiting = {(member, row["record"], row["candid"]): row for member, rows in winners.items() for row in rows}
    with suppress(ArchiveError):  # the key pass has quarantined it
        for member in read_members(source, names=winners):
            for row, found in _open_member(member, winners[member.name], fields):
                if found is not None and waiting.pop((member.name, row["record"], row["candid"]), {}):
                    yield {"source": source, "member": member.name} | row | found
            if not waiting:
                break
    for (name, _, _), row in waiting.items():
        yield {"source": source, "member": name} | row | {"reason": "the packet was not found again"}


def write_part(alerts: pa.Table, number: int, labels: list[str], folders: dict[str, Path]) -> None:
    """Write one numbered part of ``first_alerts.parquet`` and ``pairs.parquet`` into their folders.

    `alerts` are the first and second alerts of some objects: objectId, the `labels` columns, ``place`` (1 or 2),
    candid, jd, fields of ``candidate`` and stamps.
    """
    alerts = alerts.sort_by("objectId")
    known = {"objectId", "place", "candid", "jd", *labels, *STAMPS}
    groups = [["candid"], ["jd"], [name for name in alerts.column_names if name not in known], list(STAMPS)]
    first, second = (alerts.filter(pc.equal(alerts["place"], place)) for place in (1, 2))
    both = first.filter(pc.is_in(first["objectId"], second["objectId"]))
    tables = {
        name: {column: half[column] for column in ("objectId", *labels)}
        for name, half in (("first_alerts", first), ("pairs", both))
    }
    for group in groups:
        tables["first_alerts"] |= _suffix(first, group, 1)
        tables["pairs"] |= _suffix(both, group, 1) | _suffix(second, group, 2)
        if group == ["jd"]:
            tables["pairs"]["deltajd"] = pc.subtract(second["jd"], both["jd"])
    for name, columns in tables.items():
        path = folders[name] / f"part-{number:05d}.parquet"
        with replacing(path) as part:
            pq.write_table(pa.table(columns), part, row_group_size=ROWS_PER_GROUP)


def _suffix(table: pa.Table, names: Iterable[str], place: int) -> dict[str, pa.ChunkedArray]:
    return {f"{name}_{place}": table[name] for name in names}


def merge_types(first: dict[str, str], second: dict[str, str]) -> dict[str, str]:
    """Unite the fields of two schema versions; if types differ, take the wider one.

    Examples
    --------
    >>> merge_types({"fid": "int64", "rb": "double"}, {"fid": "double", "drb": "double"})
    {'fid': 'double', 'rb': 'double', 'drb': 'double'}
    """
    if first == second:
        return first
    kinds = {name: {first.get(name, kind), kind} for name, kind in second.items()}
    return first | {name: next(k for k in ("string", "double", "int64") if k in both) for name, both in kinds.items()}


def _open_member(member: Member, rows: list[Row], fields: dict[str, str]) -> Iterator[tuple[Row, Row | None]]:
    """Open the selected alerts of one member; yield the content of each, or why it cannot be used.

    The member is decoded once, however many of its alerts are selected.
    """
    packets: list[dict[str, Any]] = []
    with collecting_reasons() as unread:
        packets = read_packets(member.data, history=False)
    end = member.first + (count_records(member.data) or sys.maxsize)
    for row in rows:
        if unread and not member.first <= row["record"] < end:  # of another part of a large container
            continue
        found = None
        with collecting_reasons() as reasons:
            found = None if unread else _open_alert(packets, row["record"] - member.first, row["candid"], fields)
        yield row, {"reason": reason} if (reason := next(iter(unread or reasons), "")) else found


def _open_alert(packets: list[dict[str, Any]], at: int, candid: int, fields: dict[str, str]) -> Row | None:
    """Open one alert of a member; None if another alert is in its place (a name that occurs twice in a tarball)."""
    if not 0 <= at < len(packets) or find_candid(packet := packets[at]) != candid:
        return None
    candidate = find_candidate(packet)
    check_values(candidate)
    stamps, square = read_cutouts(packet)
    values = {name: _convert(candidate.get(name), kind) for name, kind in fields.items()}
    return values | stamps | {"square": square}


def _convert(value: Any, kind: str) -> Any:
    """Convert a field to the type of its column; None (missing) if that is impossible."""
    if value is None:
        return None
    if kind == "string":
        return "ft"[value] if isinstance(value, bool) else str(value)
    value = int(value) if isinstance(value, bool) else value
    with suppress(PacketError):
        return read_number("", value) if kind == "double" else read_integer("", value)
    return None
