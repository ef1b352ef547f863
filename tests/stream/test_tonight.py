"""A stream from its source to the sink: batches, back-pressure, the end, errors and signals."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from tests import REPOSITORY
from tests.conftest import make_alert
from tests.stream.stub import StubModel, make_sink, score
from twostamp.alerts.packet import read_schema, write_packets
from twostamp.stream import tonight
from twostamp.stream.night import Night
from twostamp.stream.payloads import ArchiveSource, Extent, Payload, Place
from twostamp.stream.scorer import Scorer
from twostamp.stream.tonight import score_stream

PLACE = Place("night", 0)


class Source:
    """Gives so many alerts, and counts how far it is asked."""

    damage = ()

    def __init__(self, n, error=None):
        self.n, self.error, self.given = n, error, 0

    def read(self, progress):
        yield Extent(PLACE, 0, self.n)
        for n in range(progress.get(PLACE, (0, ""))[0], self.n):
            self.given += 1
            alert = make_alert(f"ZTF18{n // 2}", n + 1, 2458000.5 + n)
            yield Payload(PLACE, n, write_packets([alert], read_schema()), time.time())
        if self.error:
            raise self.error
        yield None


@pytest.fixture
def sink(tmp_path):
    sink = make_sink(tmp_path / "tonight.sqlite")
    yield sink
    sink.close()


def test_every_alert_of_a_source_is_answered(sink):
    published = []
    score_stream(Source(50), Scorer(StubModel()), sink, threading.Event(), published.append, batch=8)
    assert sink.account()["read"] == 50
    assert len(published) >= 7
    table = Night(sink.path).answers()
    assert (table["scored"] >= table["received"]).all()


def test_an_error_of_the_source_ends_the_stream_after_what_came(sink):
    with pytest.raises(OSError, match="line is cut"):
        score_stream(Source(20, OSError("line is cut")), Scorer(StubModel()), sink, threading.Event())
    assert sink.account()["read"] == 20


def test_a_source_waits_for_the_answers(sink, monkeypatch):
    """No more is read ahead than a queue holds, however large the night."""
    monkeypatch.setattr(tonight, "_AHEAD", 20)
    source, ahead = Source(200), []
    stop = threading.Event()

    class Slow(StubModel):
        def answer(self, objects):
            time.sleep(0.02)
            ahead.append(source.given - sink.account()["read"])
            return super().answer(objects)

    score_stream(source, Scorer(Slow()), sink, stop, batch=10)
    assert max(ahead) <= 20 + 10 + 1
    assert sink.account()["read"] == 200


def test_a_stopped_stream_goes_on_later(sink):
    stop = threading.Event()

    class Stopping(StubModel):
        def answer(self, objects):
            stop.set()
            return super().answer(objects)

    score_stream(Source(100), Scorer(Stopping()), sink, stop, batch=10)
    assert 0 < sink.account()["read"] < 100
    score_stream(Source(100), Scorer(StubModel()), sink, threading.Event(), batch=10)
    assert sink.account()["read"] == 100
    assert sink.check_account() == []


SIGNALLED = """
import sys, time
from pathlib import Path
from tests.stream.stub import StubModel, make_sink
from twostamp.stream.payloads import ArchiveSource
from twostamp.stream.scorer import Scorer
from twostamp.stream.tonight import score_stream, stopping_at_signals


class Waiting(StubModel):
    def answer(self, objects):
        if not stop.is_set():
            print("ready", flush=True)
        while not stop.is_set():
            time.sleep(0.01)
        return super().answer(objects)


sink = make_sink(Path(sys.argv[2]))
with stopping_at_signals() as stop:
    score_stream(ArchiveSource(sys.argv[1]), Scorer(Waiting()), sink, stop, batch=4)
print(sink.account()["read"], sink.check_account())
"""


def test_sigterm_ends_between_two_batches(tmp_path, make_packet):
    folder, path = tmp_path / "alerts", tmp_path / "tonight.sqlite"
    folder.mkdir()
    for n in range(1, 301):
        (folder / f"{n:03}.avro").write_bytes(make_packet(f"ZTF18{n}", n))
    command = [sys.executable, "-c", SIGNALLED, str(folder), str(path)]
    environment = os.environ | {"PYTHONPATH": f"{REPOSITORY}:{REPOSITORY / 'lib'}", "TQDM_DISABLE": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        read, _, faults = process.stdout.read().partition(" ")
    assert process.returncode == 0
    assert faults.strip() == "[]"
    assert 0 < int(read) <= 4
    assert score(ArchiveSource(str(folder)), path)["read"] == 300
