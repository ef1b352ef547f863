"""The two passes over an archive and the writing of pairs: what Spark's workers run (thesis, section 3.2).

The key pass says what a source holds; the stamp pass opens the packets that won. Both give rows (dicts) for Arrow, and
put whatever is wrong with an alert into a row instead of raising it.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import reduce
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from twostamp.alerts.archive import ArchiveError, read_members
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
from twostamp.alerts.values import check_values, read_number
from twostamp.taxonomy import PARTNERSHIP
from twostamp.utils.dates import night_of
from twostamp.utils.files import replacing

Row = dict[str, Any]

PLACE = {"source": "string", "member": "string", "record": "int64"}
KEY = {"objectId": "string", "candid": "int64", "jd": "double"}
ROWS_PER_GROUP = 256
"""Rows of a Parquet row group: a pair weighs about 100 kB, and readers take one group at a time."""

SUMS = ("alerts", "unlabelled", "partnership", "bytes")
SCAN = {"kind": "string"} | PLACE | KEY | {"ra": "double", "dec": "double", "text": "string"}
SCAN |= dict.fromkeys(SUMS, "int64")
"""Columns of the key pass. Its rows are of six kinds: ``alert`` (the key of a wanted alert), ``bad`` (``alerts`` that
cannot be used; ``text``: the reason), ``damaged`` (a source that is lost from some place on), ``passed`` (a source or a
member without alerts), ``night`` (``text``: the date, with sums) and ``fields`` (``text``: JSON)."""


def scan_source(source: str, _: None, wanted: frozenset[str] | None) -> Iterator[Row]:
    """Read the keys of one source, of the `wanted` objects or of all (None); give rows with the columns of `SCAN`."""
    nights: dict[str, Counter[str]] = defaultdict(Counter)
    schemas: list[dict[str, str]] = []
    found = 0
    try:
        for member in read_members(source):
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
            for record, key in enumerate(keys):
                if isinstance(key, PacketError):
                    bad = {"kind": "bad", "record": record, "candid": key.candid, "text": key.reason, "alerts": 1}
                    yield place | bad
                    continue
                unlabelled = wanted is not None and key.objectId not in wanted
                nights[night_of(key.jd)].update(
                    alerts=1,
                    unlabelled=int(unlabelled),
                    partnership=int(key.programid in PARTNERSHIP),
                    bytes=len(member.data) // len(keys),
                )
                if not unlabelled:
                    names = (*KEY, "ra", "dec")
                    yield place | {"kind": "alert", "record": record} | {name: getattr(key, name) for name in names}
    except ArchiveError as error:
        yield {"kind": "damaged", "source": source, "member": "", "text": str(error)}
        found += 1
    if not found:
        yield {"kind": "passed", "source": source, "member": "", "text": "it holds no alerts"}
    for night, sums in sorted(nights.items()):
        yield {"kind": "night", "source": source, "text": night} | {name: sums[name] for name in SUMS}
    merged = reduce(merge_types, schemas or [{}])
    yield {"kind": "fields", "source": source, "text": json.dumps(merged, sort_keys=True)}


def open_source(source: str, winners: dict[str, list[Row]], fields: dict[str, str]) -> Iterator[Row]:
    """Open the packets of one source that won, and check that their values and their three stamps can be used.

    `winners` are rows (record, objectId, candid, jd) by member. Each of them gives one row, come what may: `PLACE`,
    `KEY`, ``reason`` (None when all can be used), ``square`` (all three stamps are 63 x 63), `STAMPS` (gzipped FITS)
    and the `fields` of ``candidate``, which map to Arrow types.
    """
    waiting = {(member, row["record"], row["candid"]): row for member, rows in winners.items() for row in rows}
    with suppress(ArchiveError):  # the key pass has put it in the quarantine
        for member in read_members(source, names=winners):
            for row, found in _open_member(member.data, winners[member.name], fields):
                if found is not None and waiting.pop((member.name, row["record"], row["candid"]), {}):
                    yield {"source": source, "member": member.name} | row | found
    for (name, _, _), row in waiting.items():
        yield {"source": source, "member": name} | row | {"reason": "the packet was not found again"}


def write_part(alerts: pa.Table, number: int, labels: list[str], folders: dict[str, Path]) -> None:
    """Write one part, of a number, of ``first_alerts.parquet`` and ``pairs.parquet`` into their folders.

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
    """Unite the fields of two schema versions; where types differ, the wider one holds.

    Examples
    --------
    >>> merge_types({"fid": "int64", "rb": "double"}, {"fid": "double", "drb": "double"})
    {'fid': 'double', 'rb': 'double', 'drb': 'double'}
    """
    if first == second:
        return first
    kinds = {name: {first.get(name, kind), kind} for name, kind in second.items()}
    return first | {name: next(k for k in ("string", "double", "int64") if k in both) for name, both in kinds.items()}


def _open_member(data: bytes, rows: list[Row], fields: dict[str, str]) -> Iterator[tuple[Row, Row | None]]:
    """Open the alerts of one member that won, with what is found in each or why it cannot be used."""
    packets: list[dict[str, Any]] = []
    with collecting_reasons() as unread:
        packets = read_packets(data, history=False)
    for row in rows:
        found = None
        with collecting_reasons() as reasons:
            found = None if unread else _open_alert(packets, row, fields)
        yield row, {"reason": reason} if (reason := next(iter(unread or reasons), "")) else found


def _open_alert(packets: list[dict[str, Any]], row: Row, fields: dict[str, str]) -> Row | None:
    """Open one alert of a member; None if another one stands in its place (a name that a tarball holds twice)."""
    if row["record"] >= len(packets) or find_candid(packet := packets[row["record"]]) != row["candid"]:
        return None
    candidate = find_candidate(packet)
    check_values(candidate)
    stamps, square = read_cutouts(packet)
    values = {name: _convert(candidate.get(name), kind) for name, kind in fields.items()}
    return values | stamps | {"square": square}


def _convert(value: Any, kind: str) -> Any:
    """Make a field what its column holds; None where it cannot be: it is missing."""
    if value is None:
        return None
    if kind == "string":
        return "ft"[value] if isinstance(value, bool) else str(value)
    value = int(value) if isinstance(value, bool) else value
    with suppress(PacketError):
        return read_number("", value) if kind == "double" else read_integer("", value)
    return None
