"""ALeRCE's API, as its client 2.3 asks it, on a local server: whatever fails on the way, no object is lost or wrong."""

import io
import json
import os
import random
import signal
import subprocess
import sys
import tarfile
import time
from urllib.parse import parse_qs, urlsplit

import pandas as pd
import pytest

from tests.conftest import make_alert
from tests.fake_alerce import JD, SMALL, Alerce, make_objects
from tests.local_server import FAULTS, serve
from twostamp.alerts.alerce_api import FAILURES, JOURNAL, MOST_DETECTIONS, AlerceAPI, AlerceAPIError, fetch_first_two
from twostamp.alerts.archive import iter_members
from twostamp.alerts.packet import read_keys, read_packets, read_schema, write_packets
from twostamp.utils.dates import night_of


def expected_files(alerts):
    """Slow and plain: the files of one object, and how many of its alerts are used."""
    files, used = [], []
    stamped = [alert for alert in alerts if alert["candidate"]["rb"] != -1]
    for alert in sorted(stamped, key=lambda a: (a["candidate"]["jd"], a["candid"])):
        jd = alert["candidate"]["jd"]
        if len(used) == 2 or jd in used:
            continue
        files.append(f"{alert['candid']}.avro")
        if alert["cutoutTemplate"] is not None and alert["cutoutTemplate"]["stampData"] != SMALL[0]:
            used.append(jd)
    return files, len(used)


def make_broker(server, **options):
    options = {"rate": 5000, "timeout": 10, "attempts": 5, "first_pause": 0.005} | options
    return AlerceAPI(server.url, server.url, **options)


def files_in(folder):
    return sorted(path.name for path in folder.rglob("[!.]*.avro"))


def test_first_two_with_stamps_and_no_more(tmp_path):
    objects = make_objects(40)
    expected = {oid: expected_files(alerts) for oid, alerts in objects.items()}
    with serve(Alerce(objects)) as server:
        report = fetch_first_two(make_broker(server), objects, tmp_path)
    assert files_in(tmp_path) == sorted(name for files, _ in expected.values() for name in files)
    used = [n for _, n in expected.values()]
    assert (report.with_two_alerts, report.with_one_alert) == (used.count(2), used.count(1))
    assert (report.without_a_whole_alert, report.failed, report.objects) == (used.count(0), 0, 40)
    assert report.packets_with_a_bad_stamp == report.packets - sum(used) > 0
    assert report.requests == len(server.log) == 40 + report.packets
    assert min(map(len, objects.values())) == 1
    assert {0, 1, 2} == set(used)


def test_layout_is_the_nightly_archives(tmp_path):
    alert = make_alert("ZTF18a", 7, 2458270.75)
    with serve(Alerce({"ZTF18a": [alert]})) as server:
        fetch_first_two(make_broker(server), ["ZTF18a"], tmp_path)
    path = tmp_path / "ztf_public_20180601" / "7.avro"
    assert path.read_bytes() == write_packets([alert], read_schema())


def test_what_is_done_is_not_asked_again(tmp_path):
    objects = make_objects(20)
    with serve(Alerce(objects)) as server:
        first = fetch_first_two(make_broker(server), list(objects)[:12], tmp_path)
        n = len(server.log)
        again = fetch_first_two(make_broker(server), list(objects)[:12], tmp_path)
        assert len(server.log) == n
        assert again.done_before == 12
        assert (again.with_two_alerts, again.packets) == (first.with_two_alerts, first.packets)
        fetch_first_two(make_broker(server), [*objects, *objects], tmp_path)
        assert {path.split("/")[4] for path in server.log[n:] if "detections" in path} == set(list(objects)[12:])
        lost = next(tmp_path.rglob("*.avro"))
        lost.unlink()
        n = len(server.log)
        fetch_first_two(make_broker(server), objects, tmp_path)
        assert lost.exists()
        assert len(server.log) == n + 2  # its object's detections, and that packet alone


def test_every_fault_on_the_way_and_no_object_lost(tmp_path):
    objects = make_objects(60, seed=5)
    chance = random.Random(3)
    with serve(Alerce(objects)) as server:
        clean = fetch_first_two(make_broker(server), objects, tmp_path / "clean")
        for path in set(server.log):
            server.faults[path] = chance.choices(FAULTS, k=chance.choice([0, 0, 1, 2]))
        report = fetch_first_two(make_broker(server, timeout=1), objects, tmp_path / "faulty", workers=8)
    assert set(server.injected) == set(FAULTS)
    assert not any(server.faults.values())
    assert report.failed == 0
    assert report.requests >= clean.requests + len(server.injected)  # a busy machine may let more of them time out
    left, right = (
        {path.relative_to(tmp_path / name): path.read_bytes() for path in (tmp_path / name).rglob("*.avro")}
        for name in ("clean", "faulty")
    )
    assert left == right
    print(f"{report.requests} requests, {len(server.injected)} faults, {report.failed} objects lost")


@pytest.mark.parametrize(
    ("where", "fault", "reason"),
    [
        ("detections", "timeout", "no answer in time"),
        ("detections", "429", "too many requests (429)"),
        ("detections", "500", "status 500"),
        ("detections", "page", "the answer is not JSON"),
        ("detections", "truncated", "the answer ends early"),
        ("get_avro", "500", "status 500"),
        ("get_avro", "truncated", "the answer ends early"),
        ("get_avro", "page", "not an Avro container: it is HTML or XML"),
        ("get_avro", "reset", "no connection"),
    ],
)
def test_a_fault_that_stays_is_reported_and_spoils_no_object(tmp_path, where, fault, reason):
    objects = {"ZTF18a": [make_alert("ZTF18a", n, JD + n) for n in (1, 2)], "ZTF18b": [make_alert("ZTF18b", 3)]}
    with serve(Alerce(objects)) as server:
        path = "/ztf/v1/objects/ZTF18a/detections" if where == "detections" else "/get_avro?oid=ZTF18a&candid=1"
        server.faults[path] = [fault] * 50
        patience = 2 if fault == "timeout" else 60
        report = fetch_first_two(make_broker(server, attempts=3, timeout=patience), objects, tmp_path)
        assert report.failures.to_numpy().tolist() == [["ZTF18a", reason]]
        # An object whose first packet is missing must not enter the archive with its second as if that were the first.
        assert files_in(tmp_path) == ["3.avro"]
        assert pd.read_csv(tmp_path / FAILURES)["reason"].tolist() == [reason]
        server.faults[path].clear()
        assert fetch_first_two(make_broker(server), objects, tmp_path).failed == 0
    assert files_in(tmp_path) == ["1.avro", "2.avro", "3.avro"]
    assert pd.read_csv(tmp_path / FAILURES).empty


def test_what_the_server_does_not_know_is_asked_once(tmp_path):
    api = Alerce({"ZTF18a": [make_alert("ZTF18a", 1)]})
    api.packets.clear()
    with serve(api) as server:
        report = fetch_first_two(make_broker(server), ["ZTF18a", "ZTF99none"], tmp_path)
        assert len(server.log) == 3
    assert set(report.failures["reason"]) == {"not known to the server (404)"}
    assert report.failed == 2
    assert "failed: not known to the server (404) (2)" in "\n".join(report.lines())


def test_one_packet_that_is_never_there_costs_its_object_alone(tmp_path):
    objects = {"ZTF18a": [make_alert("ZTF18a", n, JD + n) for n in (1, 2)], "ZTF18b": [make_alert("ZTF18b", 3)]}
    api = Alerce(objects)
    del api.packets["ZTF18a", 2]
    with serve(api) as server:
        report = fetch_first_two(make_broker(server), objects, tmp_path)
        assert report.failures.to_numpy().tolist() == [["ZTF18a", "not known to the server (404)"]]
        assert files_in(tmp_path) == ["3.avro"]
        n = len(server.log)
        assert fetch_first_two(make_broker(server), objects, tmp_path).failed == 1
        assert all("ZTF18a" in path for path in server.log[n:])  # what is done is not asked again
        api.packets["ZTF18a", 2] = write_packets([objects["ZTF18a"][1]], read_schema())
        assert fetch_first_two(make_broker(server), objects, tmp_path).failed == 0
    assert files_in(tmp_path) == ["1.avro", "2.avro", "3.avro"]


def test_another_objects_packet_is_not_taken(tmp_path):
    api = Alerce({"ZTF18a": [make_alert("ZTF18a", 1)]})
    api.packets["ZTF18a", 1] = write_packets([make_alert("ZTF18b", 1)], read_schema())
    with serve(api) as server:
        report = fetch_first_two(make_broker(server), ["ZTF18a"], tmp_path)
    assert report.failures["reason"].tolist() == ["the server sent another packet"]
    assert files_in(tmp_path) == []


def test_a_kill_in_the_middle(tmp_path):
    objects = make_objects(50, seed=2)
    pd.DataFrame({"objectId": list(objects)}).to_csv(tmp_path / "labels.csv")
    folder = tmp_path / "alerts"
    with serve(Alerce(objects), slow=0.01) as server:
        for oid in list(objects)[-3:]:  # so that it waits to be killed
            server.faults[f"/ztf/v1/objects/{oid}/detections"] = ["timeout"]
        command = [sys.executable, "-m", "twostamp", "fetch", str(tmp_path / "labels.csv"), str(folder)]
        command += ["--rate", "1000", "--workers", "3", "--api-url", server.url, "--avro-url", server.url]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        journal = folder / JOURNAL
        while not journal.exists() or journal.read_text().count("\n") < 10:
            assert process.poll() is None, "ended before it could be killed"
            time.sleep(0.005)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        server.faults.clear()
        done = {json.loads(line)["objectId"] for line in journal.read_text().splitlines()[:10]}
        with journal.open("a") as stream:
            stream.write('{"objectId": "ZTF18aa0')  # as a kill between two writes leaves it
        n = len(server.log)
        finished = subprocess.run(command, capture_output=True, text=True, check=True)
        asked = server.log[n:]
    assert not any(name in path for name in done for path in asked)
    assert files_in(folder) == sorted(name for alerts in objects.values() for name in expected_files(alerts)[0])
    assert "done before" in finished.stdout
    assert {json.loads(line)["objectId"] for line in journal.read_text().splitlines() if line[-1:] == "}"} == set(
        objects
    )


def test_objects_by_class_over_several_pages(monkeypatch):
    monkeypatch.setattr("twostamp.alerts.alerce_api.PAGE_SIZE", 10)
    names = [f"ZTF18aa{n:05d}" for n in range(25)]
    with serve(Alerce({}, {"SN": names})) as server:
        broker = make_broker(server)
        assert broker.find_objects("stamp_classifier", "SN", 0.9, 100)["objectId"].tolist() == names
        assert len(server.log) == 4
        assert broker.find_objects("stamp_classifier", "SN", 0.9, 12)["objectId"].tolist() == names[:12]
        assert broker.find_objects("stamp_classifier", "VS", 0.9, 12).empty
        query = parse_qs(urlsplit(server.log[0]).query)
    assert query["class"] == ["SN"]
    assert (query["classifier"], query["probability"]) == (["stamp_classifier"], ["0.9"])
    assert query["ndet"] == ["2", str(MOST_DETECTIONS)]
    assert (query["order_by"], query["order_mode"]) == (["probability"], ["DESC"])


def test_objects_that_cannot_be_asked_for_say_of_what_class():
    with serve(lambda path, headers: (200, {}, b'{"message": "hello"}')) as server:
        with pytest.raises(AlerceAPIError, match="stamp_classifier, class SN: the response has no list of objects"):
            make_broker(server, attempts=2).find_objects("stamp_classifier", "SN", 0.9, 5)
        assert len(server.log) == 2


@pytest.mark.parametrize("status", [400, 404, 422])
def test_a_classifier_that_was_renamed_is_named_once(status):
    answer = (status, {"Content-Type": "application/json"}, json.dumps({"detail": "no such classifier"}).encode())
    with serve(lambda path, headers: answer) as server:
        with pytest.raises(AlerceAPIError) as caught:
            make_broker(server).find_objects("stamp_classifier", "SN", 0.9, 5)
        assert len(server.log) == 1  # asking again would not help
    said = str(caught.value)
    assert said.startswith("objects of stamp_classifier, class SN: ")
    assert str(status) in said
    assert said.endswith("; ALeRCE may have renamed the classifier or the class")


@pytest.mark.slow
def test_extraction_from_the_broker_equals_extraction_from_the_whole_archive(tmp_path, spark):
    from twostamp.alerts.extraction import extract_first_two

    objects = make_objects(30, seed=9)
    stamped = [a for alerts in objects.values() for a in alerts if a["candidate"]["rb"] != -1]
    with tarfile.open(tmp_path / "all.tar", "w") as archive:
        for alert in stamped:
            data = write_packets([alert], read_schema())
            entry = tarfile.TarInfo(f"{alert['candid']}.avro")
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    with serve(Alerce(objects)) as server:
        fetched = fetch_first_two(make_broker(server), objects, tmp_path / "broker")
    labels = pd.DataFrame({"objectId": list(objects), "classALeRCE": "SN", "subclassALeRCE": "SNIa"})
    for archive, name in ((tmp_path / "all.tar", "whole"), (tmp_path / "broker", "fetched")):
        report = extract_first_two(spark, str(archive), labels, tmp_path / name)
    pairs, firsts = (
        [
            pd.read_parquet(tmp_path / name / table).sort_values("objectId", ignore_index=True)
            for name in ("whole", "fetched")
        ]
        for table in ("pairs.parquet", "first_alerts.parquet")
    )
    pd.testing.assert_frame_equal(*pairs)
    pd.testing.assert_frame_equal(*firsts)
    assert report.objects["with two alerts"] == fetched.with_two_alerts
    assert report.alerts_quarantined == fetched.packets_with_a_bad_stamp


def test_real_packets_arrive_as_they_were_sent(real_alerts, tmp_path):
    wanted = set(pd.read_csv(real_alerts / "pairs.csv", dtype=str)["objectId"])
    packets, objects = {}, {}
    for member in iter_members(str(real_alerts), progress=False):
        packet = read_packets(member.data)[0]
        if packet["objectId"] in wanted:
            packets[packet["objectId"], packet["candid"]] = member.data
            objects.setdefault(packet["objectId"], []).append(packet)
    with serve(Alerce(objects, packets=packets)) as server:
        report = fetch_first_two(make_broker(server), objects, tmp_path)
    assert report.with_two_alerts + report.with_one_alert == len(wanted)
    for path in tmp_path.rglob("*.avro"):
        key = read_keys(path.read_bytes())[0]
        assert path.read_bytes() == packets[key.objectId, key.candid]
        assert path.parent.name == f"ztf_public_{night_of(key.jd).replace('-', '')}"
