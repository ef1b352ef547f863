"""Mutate packets: nothing but a `PacketError` may come of it. ``python -m tests.fuzz_packets --count 20000``.

The packets are those of $TWOSTAMP_REAL_ALERTS where that is set, else synthetic ones.
"""

import argparse
import io
import json
import os
import random
import re
import resource
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fastavro
import pyarrow as pa
from tqdm.auto import trange

from tests.conftest import make_alert
from twostamp.alerts.archive import iter_members
from twostamp.alerts.avro import read_header
from twostamp.alerts.cutouts import STAMPS
from twostamp.alerts.extraction import _RESERVED
from twostamp.alerts.extraction_tasks import KEY, OPENED, SCAN, open_source, scan_source
from twostamp.alerts.packet import (
    PacketError,
    read_candidate_types,
    read_keys,
    read_packets,
    read_schema,
    write_packets,
)
from twostamp.data.decode import decode_objects

ODD_VALUES: tuple[Any, ...] = (
    *(None, True, -1, 0, 2**62, 3.5, -999.0, 1e300, float("nan"), float("inf"), -float("inf")),
    *("", "t", "nan", "12", "\x00", "é" * 9, b"", b"\x1f\x8b\x08", [], [1, "x"], {}, {"a": 1}),
)
ODD_TYPES: tuple[Any, ...] = (
    *("null", "boolean", "int", "long", "float", "double", "string", "bytes"),
    {"type": "array", "items": ["null", "long", "string"]},
    {"type": "map", "values": ["null", "long", "string"]},
    {"type": "string", "avro.java.string": "String"},
    {"type": "long", "logicalType": "timestamp-micros"},
    {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2},
)


def read_packets_to_mutate() -> list[bytes]:
    """One packet of each schema and a few more of $TWOSTAMP_REAL_ALERTS, or synthetic ones."""
    if folder := os.environ.get("TWOSTAMP_REAL_ALERTS"):
        found: dict[Any, list[bytes]] = {}
        for member in iter_members(folder, progress=False):
            found.setdefault(read_header(member.data).schema, []).append(member.data)
        return [data for group in found.values() for data in group[:4]]
    alerts = [make_alert(f"ZTF18aaaaaa{n}", n, 2458300.5 + n) for n in range(1, 4)]
    return [write_packets(alerts[:1], read_schema()), write_packets(alerts, read_schema())]


def flip(data: bytes, rng: random.Random) -> bytes:
    """Change some bytes: now and then of the header, mostly behind it."""
    changed = bytearray(data)
    schema = len(read_header(data).schema)
    first, last = rng.choice(
        [(0, 100), (0, schema), *[(schema, min(schema + 2000, len(data))), (schema, len(data))] * 3]
    )
    for _ in range(rng.randint(1, 8)):
        changed[rng.randrange(first, last)] = rng.randrange(256)
    return bytes(changed)


def cut(data: bytes, rng: random.Random) -> bytes:
    """Lose the end, the beginning, or a piece of the middle; or gain one."""
    first, last = sorted(rng.randrange(len(data)) for _ in range(2))
    return rng.choice([data[:first], data[first:], data[:first] + data[last:], data[:last] + data[first:]])


def edit_schema(data: bytes, rng: random.Random) -> bytes:
    """Change words of the schema in the header, whatever the records then mean."""
    container = read_header(data)
    words = re.findall(rb'"[A-Za-z_]+"', container.schema)
    edited = container.schema
    for _ in range(rng.randint(1, 3)):
        word = rng.choice(words)
        places = [match.start() for match in re.finditer(re.escape(word), edited)]
        if places:
            at = rng.choice(places)
            edited = edited[:at] + rng.choice([rng.choice(words), b"null", b"3", b"[]", b""]) + edited[at + len(word) :]
    return data.replace(long(len(container.schema)) + container.schema, long(len(edited)) + edited, 1)


def change_values(data: bytes, rng: random.Random) -> bytes:
    """Drop fields, or give them other types and values, and write a sound container of the result."""
    alerts = list(fastavro.reader(io.BytesIO(data)))
    schema = json.loads(read_header(data).schema)
    names = [field["name"] for field in schema["fields"]]
    candidate = next(field for field in schema["fields"] if field["name"] == "candidate")
    records = candidate["type"] if isinstance(candidate["type"], list) else [candidate["type"]]
    inner = next((kind for kind in records if isinstance(kind, dict)), schema)
    for _ in range(rng.randint(1, 4)):
        of_candidate = rng.random() < 0.8
        fields = inner["fields"] if of_candidate else schema["fields"]
        wanted = ("jd", "ra", "dec", "candid", "isdiffpos", "magpsf", "programid", "xpos") if of_candidate else names
        name = rng.choice([*wanted, rng.choice(fields)["name"]])
        field = next((field for field in fields if field["name"] == name), None)
        if field is None:
            continue
        if rng.random() < 0.3:
            fields.remove(field)
            continue
        field.pop("default", None)
        kind, value = rng.choice([*ODD_TYPES, field["type"]]), rng.choice(ODD_VALUES)
        field["type"] = kind if isinstance(kind, list) else ["null", kind]
        for alert in alerts:
            place = alert.get("candidate") if of_candidate else alert
            if isinstance(place, dict):
                place[name] = value
    stream = io.BytesIO()
    try:
        codec = rng.choice(["null", "deflate", "bzip2", "xz"])
        fastavro.writer(stream, schema, alerts * rng.choice([1, 1, 2]), codec=codec)
    except Exception:  # values that do not fit their types cannot be written
        return change_values(data, rng)
    return stream.getvalue()


MUTATIONS: tuple[Callable[[bytes, random.Random], bytes], ...] = (flip, cut, edit_schema, change_values, change_values)


def read_all_ways(data: bytes, path: Path) -> Iterator[str]:
    """Read a packet as the extraction, the download and a classifier do; the reasons that are given."""
    readers: tuple[Callable[[bytes], Any], ...] = (
        read_keys,
        read_candidate_types,
        read_packets,
        lambda data: read_packets(data, history=False),
        lambda data: decode_objects([(data,)], 1),
    )
    for read in readers:
        try:
            read(data)
        except PacketError as error:
            yield error.reason
    path.write_bytes(data)
    rows = list(scan_source(str(path)))
    alerts = [row for row in rows if row["kind"] == "alert"]
    assert sum(row.get("alerts", 0) for row in rows) >= len(alerts)
    fields = json.loads(rows[-1]["text"])
    fields = {name: kind for name, kind in fields.items() if name not in _RESERVED}
    winners = {path.name: [{name: row[name] for name in ("record", *KEY)} for row in alerts]}
    opened = list(open_source(str(path), winners, fields)) if alerts else []
    assert len(opened) == len(alerts)
    for given, columns in ((rows, SCAN), (opened, OPENED | fields | dict.fromkeys(STAMPS, "binary"))):
        pa.RecordBatch.from_pylist(
            given, pa.schema([(name, pa.type_for_alias(kind)) for name, kind in columns.items()])
        )
    yield from (row["text"] for row in rows if row["kind"] == "bad")
    yield from (row["reason"] for row in opened if row.get("reason"))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz_packets", description=__doc__)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rng, packets = random.Random(options.seed), read_packets_to_mutate()
    found: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    started = time.monotonic()
    path = Path(tempfile.mkdtemp(), "packet.avro")
    for _ in trange(options.count, unit="packet"):
        mutated = rng.choice(MUTATIONS)(rng.choice(packets), rng)
        begun = time.monotonic()
        try:
            reasons.update(
                {re.sub(r"[\d.]+|'.*'", "*", reason)[:70] for reason in read_all_ways(mutated, path)} or {"read"}
            )
        except Exception:
            found[traceback.format_exc().strip()] += 1
        if time.monotonic() - begun > 5:
            found[f"a packet of {len(mutated)} bytes took {time.monotonic() - begun:.0f} s"] += 1
    shutil.rmtree(path.parent)
    seconds = time.monotonic() - started
    print(f"{options.count} mutations of {len(packets)} packets in {seconds:.0f} s (seed {options.seed})")
    print(*(f"{n:7d}  {reason}" for reason, n in reasons.most_common(25)), sep="\n")
    for error, n in found.most_common():
        print(f"FOUND {n} times: {error}", file=sys.stderr)
    return int(bool(found))


def long(value: int) -> bytes:
    """An Avro long."""
    value, encoded = value << 1, bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))  # a packet that asks for all memory is a finding
    sys.exit(main())
