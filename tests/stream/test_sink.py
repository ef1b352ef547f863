"""One file that is whole at any moment, and whose books balance."""

import os
import sqlite3
import subprocess
import sys
import threading
from dataclasses import replace

import pandas as pd
import pytest

from tests import REPOSITORY
from tests.conftest import make_alert
from tests.stream.stub import StubModel, make_sink
from twostamp.alerts.packet import read_schema, write_packets
from twostamp.stream.night import CLOCK, Night
from twostamp.stream.payloads import Extent, Payload, Place
from twostamp.stream.scorer import Scorer
from twostamp.stream.sink import SinkError
from twostamp.stream.tonight import process_batch

PLACE = Place("night", 0)


def make_payloads(*alerts, start=0):
    return [Payload(PLACE, start + n, write_packets([alert], read_schema()), 0.0) for n, alert in enumerate(alerts)]


def take(sink, *items):
    process_batch(list(items), Scorer(StubModel()), sink)
    assert sink.check_account() == []
    return {name: n for name, n in sink.account().items() if n}


@pytest.fixture
def sink(tmp_path):
    sink = make_sink(tmp_path / "night" / "tonight.sqlite", timeout=0.2)
    yield sink
    sink.close()


ALERTS = [make_alert(f"ZTF18{name}", n, 2458000.5 + n) for n, name in enumerate("aabcc", start=1)]


def test_answers_state_and_offsets_are_written_together(sink):
    payloads = make_payloads(*ALERTS)
    extent = Extent(PLACE, 0, 9, "id")
    counts = take(sink, extent, *payloads[:2])
    assert sink.progress() == {PLACE: (2, "id")}
    assert counts == {
        "read": 2,
        "first": 1,
        "second": 1,
        "payloads": 2,
        "messages": 2,
        "offsets passed": 2,
        "unread": 7,
    }
    broken = StubModel()
    broken.answer = None
    with pytest.raises(TypeError):
        process_batch(payloads[2:], Scorer(broken), sink)
    assert sink.progress() == {PLACE: (2, "id")}
    take(sink, *payloads[2:])
    take(sink, *payloads)  # what is read again has no effect at all
    assert sink.account()["read"] == 5
    assert Night(sink.path).nights == ["20170905", "20170906", "20170907", "20170908", "20170909"]


def test_state_outlives_the_process(sink):
    payloads = make_payloads(*ALERTS)
    take(sink, Extent(PLACE, 0, 5), *payloads[:1])
    sink.close()
    again = make_sink(sink.path)
    take(again, *payloads[1:])
    row = again.answers_after(1, 1)[0][1]
    assert (row["revision"], row["candid_1"], row["candid_2"]) == (2, 1, 2)
    assert again.answers_after(4, 9)[0][0] == 5
    again.close()


def test_offsets_that_are_gone_are_told(sink):
    payloads = make_payloads(*ALERTS)
    take(sink, Extent(PLACE, 0, 5), *payloads[:2])
    counts = take(sink, Extent(PLACE, 3, 5), *payloads[3:])
    assert counts["lost to retention"] == 1
    assert counts["offsets passed"] == 5
    counts = take(sink, Extent(PLACE, 0, 8, reached=8))
    assert counts["offsets without a message"] == 3
    assert "unread" not in counts
    (later,) = make_payloads(make_alert("ZTF18z", 99), start=10)
    assert take(sink, later)["offsets without a message"] == 5


def test_a_place_that_was_filled_anew_begins_anew(sink):
    payloads = make_payloads(*ALERTS)
    take(sink, Extent(PLACE, 0, 5, "one"), *payloads)
    counts = take(sink, Extent(PLACE, 0, 5, "two"), *payloads)
    assert counts["duplicate"] == 5
    assert counts["messages"] == counts["offsets passed"] == 10


def test_books_that_do_not_balance_are_told(sink):
    take(sink, Extent(PLACE, 0, 5), *make_payloads(*ALERTS))
    with sink.transaction():
        sink._connection.execute("DELETE FROM answers WHERE object_id = 'ZTF18b'")
        sink._connection.execute("UPDATE places SET next = 4")
    told = sink.check_account()
    assert told[0].startswith("the books: answers, and first and second alerts: 4 against 5")
    assert told[1].startswith("the books: offsets passed")
    assert len(told) == 2


def test_what_is_bad_goes_to_a_folder_with_its_position(sink):
    bad = replace(make_payloads(ALERTS[0])[0], data=b"Obj", offset=7, place=Place("s3://archive/ztf?.tar", 2))
    take(sink, Extent(bad.place, 7, 8), bad)
    (path,) = sink.quarantine.iterdir()
    assert path.name.startswith("ztf_.tar.")
    assert path.name.endswith(".2.266a070638be8922.avro")
    assert path.read_bytes() == b"Obj"
    assert sink.reasons() == {"not an Avro container": 1}


def test_what_is_bad_is_counted_once_however_often_it_is_read(sink):
    """A folder that has grown is read anew: its bad packets have other offsets."""
    bad = make_alert("ZTF18bad", 9, 2458000.5, stamps=(None,) * 3)
    ((unread,), (packet,), (other,)) = make_payloads(bad), make_payloads(bad), make_payloads(ALERTS[0])
    unread, hidden = replace(unread, data=b"Obj"), replace(unread, data=b"", fault="it is hidden")
    take(sink, Extent(PLACE, 0, 4, "one"), *(replace(each, offset=n) for n, each in enumerate((unread, packet))))
    files = {path.name: path.read_bytes() for path in sink.quarantine.iterdir()}
    grown = [other, unread, packet, hidden, hidden]
    counts = take(sink, Extent(PLACE, 0, 5, "two"), *(replace(each, offset=n) for n, each in enumerate(grown)))
    assert (counts["quarantined"], counts["duplicate"], counts["read"]) == (4, 2, 7)
    assert files.items() <= {path.name: path.read_bytes() for path in sink.quarantine.iterdir()}.items()


def test_old_objects_are_forgotten_and_candidates_keep_their_packets(sink):
    alerts = [make_alert(f"ZTF18{n:03}", n, 2458000.5) for n in range(1, 30)]
    new = make_alert("ZTF18new", 999, 2458050.5)
    take(sink, Extent(PLACE, 0, 30), *make_payloads(*alerts, new))
    assert sink.forget(2458000.5) == 0
    assert sink.forget(2458030.5) == 29
    assert sink.account()["objects forgotten"] == 29
    table = Night(sink.path, "20170904").latest()
    assert table["has_packets"].tolist() == (table["p_SN"] >= 0.4).tolist()
    assert table["has_packets"].any()
    assert not table["has_packets"].all()
    later = make_alert("ZTF18001", 1001, 2458051.5, ndethist=2)
    take(sink, *make_payloads(later, start=30))
    row = Night(sink.path).latest().iloc[0]
    assert (row["revision"], row["n_alerts"], row["first_unseen"]) == (2, 1, True)
    assert take(sink, *make_payloads(alerts[0], start=31))["duplicate"] == 1  # a candid is never forgotten


def test_real_and_simulated_answers_never_mix(sink):
    real, simulated = make_payloads(ALERTS[0], ALERTS[3] | {"publisher": "Two-Stamp simulated survey"})
    take(sink, Extent(PLACE, 0, 2), simulated)
    assert Night(sink.path).mark == "simulated survey"
    with pytest.raises(SinkError, match="simulated alerts, and these are real"):
        take(sink, replace(real, offset=3))
    assert sink.account()["read"] == 1


def test_a_file_of_other_classes_is_refused(sink):
    from twostamp.stream.sink import Sink

    with pytest.raises(SinkError, match="classes"):
        Sink(sink.path, {**sink.meta, "classes": ["a"]})


def test_a_writer_waits_for_another_and_gives_up_in_one_sentence(sink):
    other = sqlite3.connect(sink.path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    items = Extent(PLACE, 0, 5), *make_payloads(*ALERTS)
    with pytest.raises(SinkError, match="another process writes to it"):
        take(sink, *items)
    sink._connection.execute("PRAGMA busy_timeout=60000")
    threading.Timer(0.3, other.execute, ["ROLLBACK"]).start()
    assert take(sink, *items)["read"] == 5


FULL = """
import resource, sys
from pathlib import Path
from tests.stream.stub import score
from twostamp.stream.payloads import ArchiveSource
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), -1))
import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
print(score(ArchiveSource(sys.argv[1]), sys.argv[2], batch=4)["read"])
"""


def test_a_full_disk_loses_nothing(tmp_path, make_packet):
    """A limit on the size of files fails as a full disk does: in the midst of a write."""
    folder = tmp_path / "alerts"
    folder.mkdir()
    for n in range(1, 41):
        (folder / f"{n:02}.avro").write_bytes(make_packet(f"ZTF18{n // 2}", n, 2458000.5 + n))
    tables = {}
    for name, sizes in (("whole", [1 << 30]), ("short", [120_000, 1 << 30])):
        path = tmp_path / name / "tonight.sqlite"
        for size in sizes:
            command = [sys.executable, "-c", FULL, str(folder), str(path), str(size)]
            environment = os.environ | {"PYTHONPATH": f"{REPOSITORY}:{REPOSITORY / 'lib'}", "TQDM_DISABLE": "1"}
            done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
            assert (done.returncode == 0) == (size == 1 << 30), done.stderr
        assert done.stdout.strip() == "40"
        tables[name] = pd.concat([Night(path, night).answers() for night in Night(path).nights]).drop(columns=[*CLOCK])
    pd.testing.assert_frame_equal(tables["whole"], tables["short"])
