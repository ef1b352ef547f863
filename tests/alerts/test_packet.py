"""Packets: keys agree with a full decode; anything damaged gives a typed error."""

import hashlib
import io
import os
import subprocess
import sys
import tarfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal

import fastavro
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import fuzz_packets
from tests.conftest import make_alert
from twostamp.alerts import avro
from twostamp.alerts.archive import iter_members
from twostamp.alerts.avro import count_records
from twostamp.alerts.packet import (
    AlertKey,
    CorruptPacket,
    MissingField,
    PacketError,
    find_candidate,
    read_candidate_types,
    read_integer,
    read_keys,
    read_packets,
    read_schema,
    try_keys,
    write_packets,
)
from twostamp.alerts.values import check_values

ALERT = make_alert("ZTF20aaaaaaa", candid=42, jd=2459000.75, ra=10.5, dec=-3.25, ssdistnr=1.5, programid=2)
KEY = AlertKey("ZTF20aaaaaaa", 42, 2459000.75, 1.5, 2, 10.5, -3.25)
PACKET = write_packets([ALERT], read_schema())
SEVERAL = [make_alert(f"ZTF20aaaaaa{n}", candid=n, jd=2459000.0 + n) for n in range(5)]


def write_container(alerts, schema=None, **options):
    stream = io.BytesIO()
    fastavro.writer(stream, schema or read_schema(), alerts, **options)
    return stream.getvalue()


def without(record, *names):
    return {name: value for name, value in record.items() if name not in names}


def schema_without(*names):
    schema = read_schema()
    return schema | {"fields": [field for field in schema["fields"] if field["name"] not in names]}


def test_key_of_a_packet():
    assert read_keys(PACKET) == [KEY]


@pytest.mark.parametrize("codec", ["null", "deflate", "bzip2", "xz"])
@pytest.mark.parametrize("sync_interval", [1, 10**6])
def test_containers_with_several_alerts(codec, sync_interval):
    data = write_container(SEVERAL, codec=codec, sync_interval=sync_interval)
    assert [(key.objectId, key.candid, key.jd) for key in read_keys(data)] == [
        (alert["objectId"], alert["candid"], alert["candidate"]["jd"]) for alert in SEVERAL
    ]
    assert [alert["cutoutDifference"] for alert in read_packets(data)] == [a["cutoutDifference"] for a in SEVERAL]


def test_candid_falls_back_on_the_candidate():
    data = write_container([without(ALERT, "candid", "schemavsn")], schema_without("candid", "schemavsn"))
    assert read_keys(data) == [KEY]


def test_null_ssdistnr_is_kept_as_none():
    alert = ALERT | {"candidate": ALERT["candidate"] | {"ssdistnr": None}}
    assert read_keys(write_container([alert])) == [replace(KEY, ssdistnr=None)]


@pytest.mark.parametrize("name", ["objectId", "candidate"])
def test_a_missing_field_is_named(name):
    with pytest.raises(MissingField, match="candidate.jd" if name == "candidate" else name):
        read_keys(write_container([without(ALERT, name)], schema_without(name)))


@pytest.mark.parametrize("jd", [float("nan"), -1.0, 1e20])
def test_a_jd_that_is_none_is_refused(jd):
    with pytest.raises(CorruptPacket, match="no Julian date"):
        read_keys(write_container([make_alert(jd=jd)]))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not an Avro container"),
        (b"<html>", "not an Avro container"),
        (PACKET[:200], "ends early"),
        (PACKET[:-1], "sync marker"),
        (PACKET[:-20], "ends early"),
        (PACKET[:-16] + bytes(16), "sync marker"),
        (write_container([]), "no alert"),
        (write_container([ALERT], codec="bzip2").replace(b"bzip2", b"bzip9", 1), "codec 'bzip9' is not"),
        (write_container([ALERT], codec="bzip2").replace(b"BZh", b"BZX"), "truncated or damaged"),
        (PACKET + b"\x02", "truncated"),
    ],
)
def test_damage_is_explained(data, reason):
    for read in (read_keys, read_packets):
        with pytest.raises(CorruptPacket, match=reason) as caught:
            read(data)
        assert caught.value.reason == str(caught.value)


@settings(max_examples=150, deadline=None)
@given(
    end=st.integers(0, len(PACKET)),
    flips=st.lists(st.tuples(st.integers(0, len(PACKET) - 1), st.integers(1, 255)), max_size=4),
    several=st.booleans(),
)
def test_any_damage_gives_a_packet_or_a_packet_error(end, flips, several):
    damaged = bytearray(write_packets(SEVERAL, read_schema()) if several else PACKET)
    for at, mask in flips:
        damaged[at] ^= mask
    for read in (read_keys, read_packets):
        with suppress(PacketError):
            read(bytes(damaged[: end if end % 3 else None]))


@settings(max_examples=150, deadline=None)
@given(at=st.integers(0, 12000), mask=st.integers(1, 255))
def test_damage_in_the_header_and_the_candidate(at, mask):
    damaged = bytearray(PACKET)
    damaged[at] ^= mask
    for read in (read_keys, read_packets, read_candidate_types):
        with suppress(PacketError):
            read(bytes(damaged))


def test_any_process_writes_the_same_bytes():
    """What goes through a set or a hash differs from process to process, so two seeds of the hash are tried."""
    code = "import hashlib; from twostamp.alerts.packet import *; w = write_packets([], prepare_schema(read_schema()));"
    command = [sys.executable, "-c", f"{code} print(hashlib.sha256(w).hexdigest())"]
    written = {
        subprocess.run(command, env={**os.environ, "PYTHONHASHSEED": seed}, check=True, capture_output=True).stdout
        for seed in ("0", "1")
    }
    assert written == {f"{hashlib.sha256(write_packets([], read_schema())).hexdigest()}\n".encode()}


def test_candidate_types():
    types = read_candidate_types(PACKET)
    assert (types["jd"], types["fid"], types["isdiffpos"], types["drb"]) == ("double", "int64", "string", "double")
    assert len(types) == 103


def nullable(avro):
    """A schema as Fink and Spark write it: every field a union with null, records of other names."""
    if isinstance(avro, list):
        return [nullable(kind) for kind in avro]
    if not isinstance(avro, dict) or avro["type"] != "record":
        return avro | {"items": nullable(avro["items"])} if isinstance(avro, dict) and avro["type"] == "array" else avro
    fields = []
    for field in avro["fields"]:
        kinds = nullable(field["type"] if isinstance(field["type"], list) else [field["type"]])
        fields.append({"name": field["name"], "type": [kind for kind in kinds if kind != "null"] + ["null"]})
    return {"type": "record", "name": f"topLevelRecord.{avro['name'].rsplit('.')[-1]}", "fields": fields}


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("codec", ["null", "deflate"])
def test_a_packet_whose_every_field_may_be_null_is_the_same(count, codec):
    schema = nullable(read_schema())
    named = {"science": "cutoutTemplate", "difference": "cutoutDifference"}
    cutout = next(field for field in schema["fields"] if field["name"] == "cutoutScience")["type"][0]
    for name in named.values():
        next(field for field in schema["fields"] if field["name"] == name)["type"][0] = cutout["name"]
    data = write_container([ALERT] * count, schema, codec=codec)
    assert read_keys(data) == read_keys(PACKET) * count
    assert read_packets(data) == read_packets(PACKET) * count
    assert read_candidate_types(data) == read_candidate_types(PACKET)
    (packet, *_) = read_packets(data, history=False)
    assert packet["cutoutScience"] == {"stampData": ALERT["cutoutScience"]["stampData"]}


def test_a_type_with_notes_is_the_type_in_it():
    schema = read_schema()
    candidate = next(field for field in schema["fields"] if field["name"] == "candidate")["type"]
    for field in candidate["fields"]:
        if field["type"] == "string":
            field["type"] = {"type": "string", "avro.java.string": "String"}
    assert read_candidate_types(write_container([ALERT], schema)) == read_candidate_types(PACKET)


def as_record(name, **fields):
    return {"type": "record", "name": name, "fields": [{"name": name, "type": kind} for name, kind in fields.items()]}


@pytest.mark.parametrize(
    ("schema", "record", "reason"),
    [
        (as_record("lsst.v7_0.alert", diaSourceId="long"), {"diaSourceId": 1}, "an alert of Rubin .schema lsst.v7_0"),
        (as_record("topLevelRecord", diaSource="string"), {"diaSource": ""}, "Rubin"),
        (as_record("winter.alert", objectid="string", candid="long"), {"objectid": "a", "candid": 1}, "of WINTER"),
        (as_record("elasticc.v0_9.alert", diaSource="string"), {"diaSource": ""}, "a simulation of Rubin"),
        (as_record("winter.alert", diaSource="string"), {"diaSource": ""}, "of WINTER"),
        (read_schema() | {"namespace": "winter"}, ALERT, "of WINTER"),
        (as_record("decam.alert", objectid="string"), {"objectid": "a"}, "of DECam"),
        (as_record("alert", objectid="string"), {"objectid": "a"}, "another survey, for example WINTER or DECam"),
        (as_record("boundary", x="int"), {"x": 1}, "schema boundary. have neither objectId nor candidate"),
        ("string", "text", "the container's schema is no record"),
    ],
)
def test_packets_of_another_survey_are_named(schema, record, reason):
    for read in (read_keys, read_packets, read_candidate_types):
        with pytest.raises(CorruptPacket, match=reason):
            read(write_container([record], schema))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\0" + (729).to_bytes(4, "big") + PACKET[-900:], "Confluent's Kafka frame .schema 729"),
        (b"\x1f\x8b\x08rest", "gzip: decompress it first"),
        (b'{"objectId": 1}', "JSON"),
        (bytes(512), "only zeros"),
        (b"\x00\x05\x16\x07\x00\x02", "AppleDouble"),
        (b"<!DOCTYPE html>", "HTML or XML"),
        (b"version https://git-lfs.github.com/spec/v1", "a pointer of Git LFS"),
        (b"(\xb5/\xfd\x00", "zstandard: decompress it first"),
        (b"SIMPLE  =                    T", "FITS"),
        (PACKET + PACKET, "another container is appended to this one"),
    ],
)
def test_what_is_no_container_is_named(data, reason):
    with pytest.raises(CorruptPacket, match=reason):
        read_packets(data)


@pytest.mark.parametrize("codec", ["snappy", "zstandard"])
def test_other_codecs_are_read_or_name_their_package(codec, monkeypatch):
    cramjam = pytest.importorskip("cramjam", reason="the optional packages of twostamp[codecs] are not installed")
    plain = write_container(SEVERAL, sync_interval=10**6)
    container = avro.read_header(plain)
    at = container.start
    count, at = avro.read_long(plain, at)
    size, at = avro.read_long(plain, at)
    block = plain[at : at + size]
    raw, module = bytes(cramjam.snappy.compress_raw(block)) + b"crc4", cramjam
    packed = raw if codec == "snappy" else bytes(cramjam.zstd.compress(block))
    head = plain[: container.start].replace(b"\x08null", fuzz_packets.long(len(codec)) + codec.encode(), 1)
    data = head + fuzz_packets.long(count) + fuzz_packets.long(len(packed)) + packed + container.sync
    assert read_keys(data) == read_keys(plain)
    assert read_packets(data) == read_packets(plain)
    with pytest.raises(CorruptPacket, match="truncated or damaged"):
        read_keys(data[: -16 - 60] + b"?" * 60 + data[-16:])
    monkeypatch.setitem(sys.modules, module.__name__, None)
    with pytest.raises(PacketError, match=r"codec is .*: cramjam is not installed: pip install"):
        read_keys(data)


def test_a_missing_codec_names_its_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "cramjam", None)
    data = write_container([ALERT], codec="bzip2").replace(b"\x0abzip2", b"\x0csnappy", 1)
    with pytest.raises(
        PacketError, match=r'its codec is snappy: cramjam is not installed: pip install "twostamp\[codecs\]"'
    ):
        read_keys(data)


def test_a_schema_may_define_candidate_in_its_history():
    """A record is defined where it is met first, and named later."""
    schema = read_schema()
    fields = {field["name"]: field for field in schema["fields"]}
    history = {"name": "prv_candidates", "type": ["null", {"type": "array", "items": fields["candidate"]["type"]}]}
    name = fields["candidate"]["type"]["name"]
    order = ["schemavsn", "publisher", "objectId", "candid", history, "candidate"]
    order += ["cutoutScience", "cutoutTemplate", "cutoutDifference"]
    schema["fields"] = [fields.get(field, field) if isinstance(field, str) else field for field in order]
    schema["fields"][5] = {"name": "candidate", "type": f"ztf.alert.{name}" if "." not in name else name}
    try:
        data = write_container([ALERT], schema)
    except fastavro.schema.UnknownType:
        schema["fields"][5]["type"] = f"{schema.get('namespace')}.{name}"
        data = write_container([ALERT], schema)
    assert read_keys(data) == [KEY]
    assert read_candidate_types(data) == read_candidate_types(PACKET)
    assert read_packets(data, history=False)[0]["cutoutScience"]["stampData"] == ALERT["cutoutScience"]["stampData"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"ra": 400.0}, "ra is 400, which is no position on the sky"),
        ({"ra": -1.0}, "no position on the sky"),
        ({"dec": -90.5}, "dec is -90.5, which is no position on the sky"),
        ({"dec": float("nan")}, "dec is nan"),
        ({"jd": 58000.0}, "no Julian date"),
        ({"jd": float("inf")}, "no Julian date"),
    ],
)
def test_what_cannot_be_meant_is_the_fault_of_its_alert_alone(changes, reason):
    alerts = [*SEVERAL[:2], make_alert("ZTF20bad", 77, **({"jd": 2459000.5} | changes)), *SEVERAL[2:]]
    keys = try_keys(write_container(alerts))
    assert [isinstance(key, AlertKey) for key in keys] == [True, True, False, True, True, True]
    assert reason in keys[2].reason
    assert keys[2].candid == 77


def test_a_schema_whose_field_has_a_list_for_a_name_is_refused():
    data = write_container([ALERT])
    damaged = data.replace(b'"publisher"', b'["publish"]', 1)
    assert damaged != data
    for read in (read_keys, read_packets, read_candidate_types):
        with suppress(PacketError):
            read(damaged)
    with pytest.raises(PacketError):
        read_candidate_types(damaged)


def test_an_array_of_nothing_that_never_ends_is_refused():
    schema = as_record(
        "alert", objectId="string", candid="long", history={"type": "array", "items": "null"}, candidate="int"
    )
    record = {"objectId": "a", "candid": 1, "history": [], "candidate": 1}
    with pytest.raises(CorruptPacket, match="an array of items without bytes"):
        read_packets(write_container([record], schema))


def test_threads_share_the_cache_of_headers():
    """Twenty of 690 batches died of a deque that another thread changed."""
    schemas = [read_schema() | {"doc": str(n)} for n in range(30)]
    packets = [write_container([ALERT], schema) for schema in schemas] * 30
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as threads:
            assert all(keys == [KEY] for keys in threads.map(read_keys, packets))
    finally:
        sys.setswitchinterval(interval)


def test_the_records_of_a_broken_container_are_counted():
    data = write_container(SEVERAL, sync_interval=10**6)
    assert count_records(data) == count_records(data[:-3]) == count_records(data[: len(data) // 2]) == 5
    assert count_records(b"junk") is count_records(data[:1000]) is None


avro_values = {
    "string": st.text(max_size=9),
    "long": st.integers(-(2**63), 2**63 - 1),
    "double": st.floats(),
    "boolean": st.booleans(),
    "bytes": st.binary(max_size=9),
}


@pytest.mark.parametrize(
    "candid", [Decimal("3213262934615015018"), np.int64(3213262934615015018), " 3213262934615015018 "]
)
def test_a_candid_keeps_its_last_digits(candid):
    assert read_integer("candid", candid) == 3213262934615015018


@pytest.mark.parametrize(
    "candid", [3.213262934615015e18, "3.213262934615015e18", Decimal("1.5"), Decimal("NaN"), True, b"1", 2**63]
)
def test_a_candid_that_has_lost_its_last_digits_is_refused(candid):
    with pytest.raises(CorruptPacket, match="candid is"):
        read_integer("candid", candid)


def test_a_name_of_fixed_length_is_the_same_object():
    assert read_keys(write_container([ALERT | {"objectId": "ZTF20aaaaaaa \0\0"}])) == [KEY]
    with pytest.raises(MissingField, match="no objectId"):
        read_keys(write_container([ALERT | {"objectId": " \0"}]))


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_any_values_of_any_types_are_a_key_or_a_packet_error(data):
    """A sound container whose values nobody has agreed on."""
    names = ("objectId", "candid", "jd", "ra", "dec", "programid", "isdiffpos", "magpsf", "fid", "xpos")
    kinds = {name: data.draw(st.sampled_from([*avro_values, "null"])) for name in names}
    values = {name: data.draw(avro_values[kind]) if kind != "null" else None for name, kind in kinds.items()}
    candidate = as_record("candidate", **{name: kinds[name] for name in names[1:]})
    schema = as_record("alert", objectId=kinds["objectId"], candid=kinds["candid"], candidate=["null", candidate])
    alert = {"objectId": values["objectId"], "candid": values["candid"]}
    alert["candidate"] = data.draw(st.sampled_from([None, {name: values[name] for name in names[1:]}]))
    container = write_container([alert], schema)
    for key in try_keys(container):
        assert isinstance(key, AlertKey | PacketError)
    (packet,) = read_packets(container)
    with suppress(PacketError):
        values = check_values(find_candidate(packet))
        assert 0 <= values["ra"] <= 360
        assert values["isdiffpos"] in (0, 1)


def test_the_fuzz_finds_nothing(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["fuzz", "--count", "150", "--seed", "5"])
    assert fuzz_packets.main() == 0, capsys.readouterr()


def test_real_packets_of_every_schema_agree_with_fastavro(real_alerts):
    versions = set()
    for source in sorted(real_alerts.glob("*.tar.gz")):
        with tarfile.open(source) as archive:
            for member in archive.getmembers()[:10]:
                data = archive.extractfile(member).read()
                (alert,) = fastavro.reader(io.BytesIO(data))
                fields = alert["candidate"]
                values = (fields[name] for name in ("jd", "ssdistnr", "programid", "ra", "dec"))
                assert read_keys(data) == [AlertKey(alert["objectId"], alert["candid"], *values)]
                assert read_packets(data) == [alert]
                assert read_candidate_types(data).keys() == fields.keys()
                versions.add(alert.get("schemavsn"))
    assert {None, "3.0", "3.2", "3.3", "4.01", "4.02"} <= versions


@pytest.mark.parametrize("codec", ["null", "deflate"])
@pytest.mark.parametrize("schema", [read_schema(), schema_without("prv_candidates")])
@pytest.mark.parametrize("broken", [None, "cutoutScience", "cutoutDifference"])
def test_without_history_an_alert_is_the_same_but_for_it(codec, schema, broken):
    alert = without(ALERT | ({broken: None} if broken else {}), "prv_candidates")
    data = write_container([alert | {"prv_candidates": [ALERT["candidate"]]}], schema, codec=codec)
    (packet,) = read_packets(data, history=False)
    expected = {name: value for name, value in read_packets(data)[0].items() if name != "prv_candidates"}
    for name in ("cutoutScience", "cutoutTemplate", "cutoutDifference"):
        expected[name] = expected[name] and {"stampData": expected[name]["stampData"]}
    assert packet == expected


def test_a_stamp_within_the_history_is_not_taken_for_one():
    gzip_in_a_text = ALERT["candidate"] | {"pdiffimfilename": "\x1f\x8b\x08".encode("latin-1").decode("latin-1")}
    data = write_container([ALERT | {"prv_candidates": [gzip_in_a_text] * 3}])
    assert read_packets(data, history=False)[0]["cutoutScience"]["stampData"] == ALERT["cutoutScience"]["stampData"]


def test_real_packets_are_the_same_without_history(real_alerts):
    for member in iter_members(str(real_alerts), progress=False):
        whole, (packet,) = read_packets(member.data)[0], read_packets(member.data, history=False)
        assert packet["candidate"] == whole["candidate"]
        for name in ("cutoutScience", "cutoutTemplate", "cutoutDifference"):
            assert packet[name]["stampData"] == whole[name]["stampData"]


@given(st.integers(0, len(PACKET) - 1), st.binary(min_size=1, max_size=4))
@settings(max_examples=200, deadline=None)
def test_damage_without_history_is_a_packet_error_or_harmless(at, noise):
    with suppress(PacketError):
        read_packets(PACKET[:at] + noise + PACKET[at + len(noise) :], history=False)
