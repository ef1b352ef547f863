"""Alerts of a broker that speaks Kafka's protocol: each answered once, whatever happens to process and broker."""

import contextlib
import io
import json
import os
import random
import struct
import subprocess
import sys
import threading
import time

import fastavro
import pandas as pd
import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer

from tests import REPOSITORY
from tests.broker import SECONDS, run_broker
from tests.conftest import make_alert
from tests.stream.stub import StubModel, kafka_source, make_sink, score
from twostamp.alerts.archive import iter_members
from twostamp.alerts.packet import read_schema, write_packets
from twostamp.stream.frames import SchemaRegistry
from twostamp.stream.kafka import BrokerError, Publisher, name_topics
from twostamp.stream.night import CLOCK, Night, NightError
from twostamp.stream.payloads import ArchiveSource, Payload
from twostamp.stream.scorer import Scorer
from twostamp.stream.tonight import score_stream

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def broker():
    with run_broker() as broker:
        yield broker


@pytest.fixture
def topic(broker, request):
    return broker.make_topic(f"ztf_{abs(hash(request.node.name))}_programid1", partitions=4)


def read_answers(path):
    """All answers, without the times of the clock, in an order of their own."""
    tables = [Night(path, night).answers() for night in Night(path).nights]
    return pd.concat(tables).drop_duplicates(["object_id", "revision"]).drop(columns=[*CLOCK]).reset_index(drop=True)


def read_latest(path):
    """The last answers, without the numbers of their revisions."""
    last = read_answers(path).drop_duplicates("object_id", keep="last").reset_index(drop=True)
    return last.drop(columns=["revision", "supersedes"])


@pytest.fixture(scope="module")
def alerts():
    """Objects with one to three alerts, whose stamps are sometimes bad, in the order of time."""
    rng, found = random.Random(1), []
    for n in range(160):
        for _ in range(rng.choice([1, 1, 2, 2, 3])):
            bad = {"stamps": (None,) * 3} if rng.random() < 0.05 else {}
            found.append(make_alert(f"ZTF18{n:04}", len(found) + 1, 2458000.5 + rng.random(), **bad))
    return sorted(found, key=lambda alert: alert["candidate"]["jd"])


@pytest.fixture(scope="module")
def packets(alerts):
    return [write_packets([alert], read_schema()) for alert in alerts]


@pytest.fixture(scope="module")
def wanted(packets, tmp_path_factory):
    """The answers to the same alerts as an archive, in one go: the file, its account, and the archive."""
    folder = tmp_path_factory.mktemp("archive")
    for n, packet in enumerate(packets):
        (folder / f"{n:05}.avro").write_bytes(packet)
    path = tmp_path_factory.mktemp("wanted") / "tonight.sqlite"
    return path, score(ArchiveSource(str(folder)), path), folder


KINDS = ("read", "first", "second", "later", "duplicate", "quarantined")


def pick(account):
    return [account[name] for name in KINDS]


def start(path, *source):
    environment = os.environ | {"PYTHONPATH": f"{REPOSITORY}:{REPOSITORY / 'lib'}", "TQDM_DISABLE": "1"}
    command = [sys.executable, "-m", "tests.stream.stub", str(path), *source]
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def count(path):
    with contextlib.suppress(NightError):  # the process has not come so far as to make its tables
        return sum(len(Night(path, night).latest()) for night in Night(path).nights)
    return 0


def test_a_broker_gives_the_rows_of_an_archive(broker, packets, wanted, tmp_path):
    topic = broker.make_topic("ztf_same_programid1")
    broker.send(topic, [(0, None, packet) for packet in packets])
    path = tmp_path / "tonight.sqlite"
    account = score(kafka_source(broker.servers, topic), path)
    assert pick(account) == pick(wanted[1])
    assert (account["messages"], account["unread"]) == (len(packets), 0)
    pd.testing.assert_frame_equal(read_answers(path), read_answers(wanted[0]))
    assert score(kafka_source(broker.servers, topic), path)["read"] == len(packets)


@pytest.mark.parametrize("way", ["kafka", "archive"])
def test_killed_at_random_points_it_ends_at_the_same_rows(broker, packets, wanted, tmp_path, way):
    topic = broker.make_topic(f"ztf_killed_{way}_programid1")
    broker.send(topic, [(0, None, packet) for packet in packets])
    named = (broker.servers, topic) if way == "kafka" else (str(wanted[2]),)
    path, rng, grown = tmp_path / "tonight.sqlite", random.Random(2), [0]
    for _ in range(3):
        with start(path, *named) as process:
            deadline = time.monotonic() + SECONDS
            while count(path) <= grown[-1] and process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.01)
            time.sleep(rng.random() * 0.1)
            process.kill()
        grown.append(count(path))
    assert grown[1] > 0
    account = score(kafka_source(*named) if way == "kafka" else ArchiveSource(*named), path)
    assert pick(account) == pick(wanted[1])
    pd.testing.assert_frame_equal(read_answers(path), read_answers(wanted[0]))


def test_shuffled_partitions_and_a_night_sent_twice_end_at_the_same_answers(broker, topic, packets, wanted, tmp_path):
    rng = random.Random(3)
    messages = [(rng.randrange(4), None, packet) for packet in packets * 2]
    rng.shuffle(messages)
    broker.send(topic, messages)
    path = tmp_path / "tonight.sqlite"
    account = score(kafka_source(broker.servers, topic), path)
    assert account["read"] == 2 * len(packets)
    pd.testing.assert_frame_equal(read_latest(path), read_latest(wanted[0]))


def test_a_broker_that_dies_and_comes_back_empty_costs_nothing(packets, wanted, tmp_path):
    """The night is sent again to a topic of the same name: what is known counts as duplicates."""
    path, half = tmp_path / "tonight.sqlite", len(packets) // 2
    with run_broker() as broker:
        topic = broker.make_topic("ztf_again_programid1", 2)
        broker.send(topic, [(n % 2, None, packet) for n, packet in enumerate(packets[:half])])
        source = kafka_source(broker.servers, topic, follow=True, refresh=0.5)
        stop, sink, failed = threading.Event(), make_sink(path), []

        def wait_for(reader, n, old=frozenset()):
            """Until so many messages of topics other than the old ones are passed."""
            deadline = time.monotonic() + SECONDS
            while time.monotonic() < deadline:
                passed = [following for following, content in reader.progress().values() if content not in old]
                if sum(passed) == n:
                    return {content for _, content in reader.progress().values()}
                time.sleep(0.05)
            raise TimeoutError

        def act():
            reader = make_sink(path)
            try:
                old = wait_for(reader, half)
                broker.kill()
                broker.start()
                broker.make_topic(topic, 2)
                broker.send(topic, [(n % 2, None, packet) for n, packet in enumerate(packets)])
                wait_for(reader, len(packets), old)
            except BaseException as error:
                failed.append(error)
            reader.close()
            stop.set()

        thread = threading.Thread(target=act)
        thread.start()
        score_stream(source, Scorer(StubModel()), sink, stop, batch=32)
        thread.join()
        assert not failed
        account = sink.account()
        assert sink.check_account() == []
        assert account["read"] >= half + len(packets)
        assert account["unread"] == 0
        sink.close()
        pd.testing.assert_frame_equal(read_latest(path), read_latest(wanted[0]))


def test_a_broker_that_does_not_know_its_new_topic_yet_is_asked_again(broker, topic, packets, monkeypatch):
    broker.send(topic, [(0, None, packet) for packet in packets[:5]])
    refused = []

    class Late(Consumer):
        def get_watermark_offsets(self, place, **options):
            if len(refused) < 3:
                refused.append(place)
                raise KafkaException(KafkaError(KafkaError._UNKNOWN_PARTITION))
            return super().get_watermark_offsets(place, **options)

    monkeypatch.setattr("twostamp.stream.kafka.Consumer", Late)
    found = [each for each in kafka_source(broker.servers, topic).read({}) if isinstance(each, Payload)]
    assert len(found) == 5
    assert len(refused) == 3
    refused.clear()
    with pytest.raises(BrokerError, match="does not answer"):
        list(kafka_source(broker.servers, topic, patience=0.0).read({}))


def test_frames_and_schemas_are_mixed(broker, topic, alerts, wanted, tmp_path):
    """Containers, Confluent's frame and Fink's, of three versions of the schema, and what is none of them."""
    schemas = []
    for number, version in enumerate(("1.8", "3.3", "4.02"), start=1):
        schema = read_schema()
        fields = next(field for field in schema["fields"] if field["name"] == "candidate")["type"]["fields"]
        if version == "1.8":
            fields[:] = [field for field in fields if field["name"] not in ("drb", "drbversion", "rbversion")]
        if version == "4.02":
            schema["fields"].insert(5, {"name": "fp_hists", "type": ["null", "string"], "default": None})
        schemas.append(json.dumps(schema).encode())
        (tmp_path / f"{number}.avsc").write_bytes(schemas[-1])
    messages = []
    for n, alert in enumerate(alerts):
        schema, kind = schemas[n % 3], n % 9 // 3
        stream = io.BytesIO()
        fastavro.schemaless_writer(stream, fastavro.parse_schema(json.loads(schema)), alert)
        framed = struct.pack(">bi", 0, n % 3 + 1) + stream.getvalue()
        container = write_packets([alert], json.loads(schema))
        messages.append([(0, None, container), (0, b"key", framed), (0, schema, stream.getvalue())][kind])
    broken = [(0, None, b"garbage"), (0, b"k", struct.pack(">bi", 0, 99) + b"x" * 50), (0, None, None)]
    for n, message in enumerate(broken):
        messages.insert(40 * n + 7, message)
    broker.send(topic, messages)
    path = tmp_path / "night" / "tonight.sqlite"
    account = score(kafka_source(broker.servers, topic, registry=SchemaRegistry(str(tmp_path))), path)
    assert account["quarantined"] == wanted[1]["quarantined"] + len(broken)
    pd.testing.assert_frame_equal(read_answers(path), read_answers(wanted[0]))


def test_a_member_of_a_group_reads_the_same(broker, topic, packets, tmp_path):
    broker.send(topic, [(n % 4, None, packet) for n, packet in enumerate(packets)])
    path = tmp_path / "tonight.sqlite"
    account = score(kafka_source(broker.servers, topic, group="astronomers"), path)
    assert (account["read"], account["unread"]) == (len(packets), 0)


def test_alerts_that_a_broker_deleted_are_told(packets, tmp_path):
    """librdkafka's own mock cluster keeps some 5 MB of a partition."""
    mock = Producer({"bootstrap.servers": "none", "test.mock.num.brokers": 1, "log_level": 0})
    (server,) = mock.list_topics(timeout=SECONDS).brokers.values()
    topic, n = "ztf_short_programid1", 300
    blocks = [bytes(100_000) if number >= 10 else packets[number] for number in range(n)]

    def send(values):
        for value in values:
            mock.produce(topic, value, partition=0)
        assert mock.flush(SECONDS) == 0

    path, servers = tmp_path / "tonight.sqlite", f"{server.host}:{server.port}"
    send(blocks[:10])
    assert score(kafka_source(servers, topic), path)["messages"] == 10
    send(blocks[10:])
    account = score(kafka_source(servers, topic), path)
    assert account["lost to retention"] > 0
    assert account["messages"] + account["lost to retention"] == n == account["offsets passed"]
    assert account["unread"] == 0


def test_answers_are_published_once_each(broker, packets, wanted, tmp_path):
    out, path = broker.make_topic("answers"), wanted[0]
    sink = make_sink(path)
    publisher = Publisher(broker.servers, out, {}, sink.meta["id"])
    assert publisher.publish(sink) == wanted[1]["first"] + wanted[1]["second"]
    assert publisher.publish(sink) == 0
    sink.close()
    sink = make_sink(path)
    assert Publisher(broker.servers, out, {}, sink.meta["id"]).publish(sink) == 0
    sink.close()
    sent = broker.read(out, **{"isolation.level": "read_committed"})
    assert {(row["object_id"], row["revision"]) for row in sent} == {
        (row.object_id, row.revision) for row in read_answers(path).itertuples()
    }
    assert len(sent) == len(read_answers(path))
    assert {"p_SN", "candid_1", "first_unseen"} <= set(sent[0])
    score(ArchiveSource(str(wanted[2])), tmp_path / "other.sqlite")
    sink = make_sink(tmp_path / "other.sqlite")  # another file begins at its own first prediction
    assert Publisher(broker.servers, out, {}, sink.meta["id"]).publish(sink) == len(sent)
    sink.close()


def test_what_is_not_there_is_told_in_one_sentence(broker, tmp_path):
    with pytest.raises(BrokerError, match="none of the topics ztf_nosuch"):
        score(kafka_source(broker.servers, "ztf_nosuch"), tmp_path / "a.sqlite")
    with pytest.raises(BrokerError, match="does not answer"):
        score(kafka_source("127.0.0.1:9", "ztf", patience=0.0, options={"log_level": 0}), tmp_path / "b.sqlite")


def test_topics_are_concrete_names_of_a_week(monkeypatch):
    names = name_topics("ztf_{night}_programid1", [])
    assert len(names) == 7
    assert names == sorted(names)
    assert name_topics("fink_sn_candidates_ztf", []) == ["fink_sn_candidates_ztf"]


def test_all_real_packets_are_accounted_for_and_both_ways_agree(broker, real_alerts, tmp_path):
    packets = [member.data for member in iter_members(str(real_alerts), progress=False)]
    archive, kafka = tmp_path / "archive" / "a.sqlite", tmp_path / "kafka" / "k.sqlite"
    known = score(ArchiveSource(str(real_alerts)), archive, batch=512)
    assert known["read"] == len(packets)
    topic = broker.make_topic("ztf_real_programid1")
    broker.send(topic, [(0, None, packet) for packet in packets])
    assert pick(score(kafka_source(broker.servers, topic), kafka, batch=512)) == pick(known)
    pd.testing.assert_frame_equal(read_answers(archive), read_answers(kafka))
