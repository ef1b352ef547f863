"""Messages in the frames of brokers become the containers that they were."""

import io
import json
import struct

import fastavro
import pytest
import requests

from tests.conftest import make_alert
from tests.local_server import serve
from twostamp.alerts.packet import PacketError, read_packets, read_schema, try_keys
from twostamp.stream.frames import SchemaRegistry, unframe

ALERT = make_alert("ZTF18a", 2**62 + 1)
SCHEMA = json.dumps(read_schema()).encode()


@pytest.fixture(scope="module")
def record():
    stream = io.BytesIO()
    fastavro.schemaless_writer(stream, fastavro.parse_schema(read_schema()), ALERT)
    return stream.getvalue()


def check(data):
    assert read_packets(data) == [ALERT]
    assert try_keys(data)[0].candid == 2**62 + 1
    assert read_packets(data, history=False)[0]["candidate"] == ALERT["candidate"]
    assert next(fastavro.reader(io.BytesIO(data))) == ALERT


def test_a_container_stays_as_it_is(make_packet):
    packet = make_packet()
    assert unframe(packet, None, SchemaRegistry()) is packet
    assert unframe(packet, b"1234", SchemaRegistry()) is packet


def test_finks_schema_is_in_the_key(record):
    check(unframe(record, SCHEMA, SchemaRegistry()))


@pytest.mark.parametrize("ending", ["avsc", "json"])
def test_confluents_schema_is_in_a_folder(record, tmp_path, ending):
    (tmp_path / f"70000.{ending}").write_bytes(SCHEMA)
    check(unframe(struct.pack(">bi", 0, 70000) + record, b"key", SchemaRegistry(str(tmp_path))))


def test_confluents_schema_is_asked_for_once(record):
    answer = json.dumps({"schema": SCHEMA.decode()}).encode()

    def reply(path, _):
        return (200, {}, answer) if path == "/schemas/ids/7" else (404, {}, b"{}")

    with serve(reply) as server:
        registry = SchemaRegistry(server.url)
        for _ in range(3):
            check(unframe(struct.pack(">bi", 0, 7) + record, None, registry))
        assert server.log == ["/schemas/ids/7"]
        with pytest.raises(PacketError, match="no schema 8"):
            registry.find(8)


def test_a_registry_that_is_down_is_no_fault_of_an_alert(record):
    with serve(lambda *_: (500, {}, b"")) as server:
        registry = SchemaRegistry(server.url)
        registry._session.first_pause = 0.0
        with pytest.raises(requests.RequestException):
            registry.find(7)


def test_what_cannot_be_unframed_says_why(record, tmp_path):
    framed = struct.pack(">bi", 0, 7) + record
    with pytest.raises(PacketError, match="no registry is named"):
        unframe(framed, None, SchemaRegistry())
    with pytest.raises(PacketError, match="no schema 7"):
        unframe(framed, None, SchemaRegistry(str(tmp_path)))
    with pytest.raises(PacketError, match="no JSON"):
        unframe(record, b"{", SchemaRegistry())
    assert unframe(b"garbage", b"k", SchemaRegistry()) == b"garbage"
