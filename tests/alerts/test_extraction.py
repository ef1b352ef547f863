"""Extraction on Spark: a small archive with one case of everything, and the real packets against a slow reference."""

import io
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections import Counter
from itertools import chain

import fastavro
import numpy as np
import pandas as pd
import pytest

from tests import REPOSITORY
from tests.conftest import STAMP, make_alert, make_stamp
from twostamp.alerts.archive import iter_members
from twostamp.alerts.cutouts import expected_shape, read_stamp
from twostamp.alerts.extraction import extract_first_two, read_objects
from twostamp.alerts.extraction_report import ExtractionReport
from twostamp.alerts.packet import read_packets, read_schema, write_packets
from twostamp.alerts.tarballs import NOT_READ
from twostamp.analysis.data_extraction import cluster_cost
from twostamp.data.arrays import read_metadata
from twostamp.data.labels import read_labels

pytestmark = pytest.mark.slow

NO_STAMP = (STAMP, STAMP, None)
UNREADABLE = (STAMP, b"not a stamp", STAMP)
UNEXPLAINED = (make_stamp(63, 40),) * 3
EDGE = {"xpos": 10.0, "stamps": (make_stamp(63, 41),) * 3}

ALERTS = {
    "good": [(1, 1.0, {}), (2, 2.0, {"programid": 2}), (3, 3.0, {})],
    "bad-first": [(11, 1.0, {"stamps": NO_STAMP}), (12, 2.0, {}), (13, 3.0, {})],
    "bad-second": [(21, 1.0, {}), (22, 2.0, {"stamps": UNREADABLE}), (23, 3.0, {})],
    "bad-both": [(31, 1.0, {"stamps": NO_STAMP}), (32, 2.0, {"stamps": UNEXPLAINED}), (33, 3.0, {}), (34, 4.0, {})],
    "all-bad": [(41, 1.0, {"stamps": (None,) * 3})],
    "exposure": [(52, 1.0, {}), (51, 1.0, {}), (53, 2.0, {})],
    "exposure-bad": [(61, 1.0, {"stamps": NO_STAMP}), (62, 1.0, {}), (63, 2.0, {})],
    "single": [(71, 1.0, {})],
    "copies": [(81, 1.0, {}), (81, 1.0, {}), (82, 2.0, {})],
    "edge": [(91, 1.0, EDGE), (92, 2.0, {})],
    "unlabelled": [(101, 1.0, {}), (102, 2.0, {})],
}
USED = {
    "good": (1, 2),
    "bad-first": (12, 13),
    "bad-second": (21, 23),
    "bad-both": (33, 34),
    "exposure": (51, 53),
    "exposure-bad": (62, 63),
    "single": (71,),
    "copies": (81, 82),
    "edge": (91, 92),
}
LABELS = pd.DataFrame({"objectId": sorted({*ALERTS, "absent"} - {"unlabelled"}), "classALeRCE": "SN"})
LABELS["subclassALeRCE"] = ["SNII" if "bad" in name else "SNIa" for name in LABELS["objectId"]]


def make_tarball(packets):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, data in packets.items():
            entry = tarfile.TarInfo(f"{name}.avro")
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return stream.getvalue()


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """Two nights that are not in the order of time, a container of several alerts, a damaged night."""
    folder = tmp_path_factory.mktemp("archive")
    rows = [
        make_alert(name, candid, jd + 2458000, **more) for name, rows in ALERTS.items() for candid, jd, more in rows
    ]
    packets = [write_packets([alert], read_schema()) for alert in rows]
    nights = {name: {f"{at}": packets[at] for at in places} for name, places in _share(len(rows)).items()}
    nights["night-a"]["truncated"] = packets[0][:9000]
    for name, members in nights.items():
        (folder / f"{name}.tar.gz").write_bytes(make_tarball(members))
    (folder / "night-c").mkdir()
    (folder / "night-c" / "several.avro").write_bytes(write_packets(rows[2::3], read_schema()))
    (folder / "night-d.tar.gz").write_bytes(make_tarball({"x": packets[-1]})[:1000])
    return folder


def _share(n):
    return {"night-b": range(0, n, 3), "night-a": range(1, n, 3)}


@pytest.fixture(scope="module")
def extraction(spark, archive, tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    return folder, extract_first_two(spark, str(archive), LABELS, folder)


def candids(folder, prefix=""):
    """The candids that an extraction used, by object."""
    first = pd.read_parquet(folder / f"{prefix}first_alerts.parquet").set_index("objectId")["candid_1"]
    second = pd.read_parquet(folder / f"{prefix}pairs.parquet").set_index("objectId")["candid_2"]
    return {name: (candid, second[name]) if name in second else (candid,) for name, candid in first.items()}


def test_first_two_whole_alerts(extraction):
    assert candids(extraction[0]) == USED


def test_every_alert_is_accounted_for(extraction):
    _, report = extraction
    report.check()
    assert report.alerts_read == sum(map(len, ALERTS.values())) + 1
    assert report.alerts_used == sum(map(len, USED.values()))
    assert report.alerts_not_selected == {
        "object not labelled": 2,
        "copy of an alert (same candid)": 1,
        "same exposure as a used alert": 1,
        "third or later": 1,
    }
    assert (report.alerts_quarantined, report.damaged_sources) == (7, 1)
    assert list(report.objects.values()) == [11, 10, 1, 1, 1, 8]
    assert report.classes == [["SN", "SNII", 5, 4, 4], ["SN", "SNIa", 6, 5, 4]]
    assert report.square_stamps == {"first": 0.875, "second": 1.0, "both": 0.875}
    assert sum(report.bytes_per_night.values()) == report.alert_bytes > 0


def test_the_quarantine_says_why(extraction):
    table = pd.read_parquet(extraction[0] / "quarantine.parquet")
    assert list(table) == ["source", "member", "candid", "reason"]
    reasons = table.dropna(subset="candid").set_index("candid")["reason"]
    assert set(reasons.index) == {11, 22, 31, 32, 41, 61}
    assert reasons[11] == "the difference stamp is missing"
    assert "template stamp cannot be used" in reasons[22]
    assert "63 x 40, where its position explains 63 x 63" in reasons[32]
    damage = table[table["candid"].isna()].set_index("member")
    assert "damaged" in damage.loc["", "reason"]
    assert "ends early" in damage.loc["truncated.avro", "reason"]


def test_columns_and_content(extraction):
    pairs = pd.read_parquet(extraction[0] / "pairs.parquet").set_index("objectId")
    first = pd.read_parquet(extraction[0] / "first_alerts.parquet")
    head = ["classALeRCE", "subclassALeRCE", "candid_1", "candid_2", "jd_1", "jd_2", "deltajd"]
    assert list(pairs)[:7] == head
    assert list(pairs)[-6:] == [f"{name}_{place}" for place in (1, 2) for name in ("science", "template", "difference")]
    assert len(pairs.columns) == 7 + 2 * 101 + 6
    assert set(first) == {"objectId", *(name for name in pairs if not name.endswith("_2") and name != "deltajd")}
    assert pairs.loc["good", "deltajd"] == 1.0
    assert list(pairs.loc["good", ["programid_1", "programid_2"]]) == [1, 2]
    assert pairs.loc["good", "science_1"] == STAMP
    assert pairs.loc["good", "isdiffpos_1"] == "t"
    assert read_stamp(pairs.loc["edge", "template_1"]).shape == (63, 41)
    assert np.isnan(pairs.loc["good", "drb_1"])


def test_a_finished_extraction_is_left_alone(spark, archive, extraction):
    folder, report = extraction
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert extract_first_two(spark, str(archive), LABELS, folder) == report
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    assert not list(folder.glob(".*"))


def test_an_extraction_without_its_tables_or_of_a_changed_archive_is_made_again(spark, archive, extraction, tmp_path):
    folder, _ = extraction
    shutil.copytree(archive, tmp_path / "archive", copy_function=shutil.copy2)
    extract_first_two(spark, str(tmp_path / "archive"), LABELS, tmp_path)
    shutil.rmtree(tmp_path / "pairs.parquet")
    extract_first_two(spark, str(tmp_path / "archive"), LABELS, tmp_path)
    for path in (tmp_path / "pairs.parquet").iterdir():
        assert path.read_bytes() == (folder / "pairs.parquet" / path.name).read_bytes()
    before = (tmp_path / "extraction.json").stat().st_mtime_ns
    tarball = next(path for path in (tmp_path / "archive").rglob("*") if path.is_file())
    os.utime(tarball, ns=(1, 1))
    extract_first_two(spark, str(tmp_path / "archive"), LABELS, tmp_path)
    assert (tmp_path / "extraction.json").stat().st_mtime_ns > before


def test_a_killed_extraction_resumes_and_gives_the_same_files(spark, archive, extraction, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("twostamp.alerts.extraction._write_pairs", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            extract_first_two(spark, str(archive), LABELS, tmp_path)
    monkeypatch.setattr("twostamp.utils.spark_store.replacing", lambda *_: pytest.fail("it is done again"))
    extract_first_two(spark, str(archive), LABELS, tmp_path)
    for path in chain(tmp_path.glob("*/*"), tmp_path.glob("*.parquet")):
        if path.is_file():
            assert path.read_bytes() == (extraction[0] / path.relative_to(tmp_path)).read_bytes()


KILLED = """
import sys
from tests.alerts.test_extraction import LABELS
from twostamp.alerts.extraction import extract_first_two
from twostamp.utils.spark import make_spark

extract_first_two(make_spark("local[1,4]"), sys.argv[1], LABELS, sys.argv[2])
"""


def test_kill_9_resumes_on_another_number_of_cores(spark, archive, extraction, tmp_path):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(REPOSITORY / "lib"), str(REPOSITORY)])}
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(archive), str(tmp_path)], env=environment, start_new_session=True
    )
    while process.poll() is None and not (stored := list(tmp_path.glob("keys-*/[!.]*.parquet"))):
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert stored
    before = {path: path.stat().st_mtime_ns for path in stored}
    extract_first_two(spark, str(archive), LABELS, tmp_path)
    assert {path: path.stat().st_mtime_ns for path in stored} == before
    written = [path for path in extraction[0].rglob("*.parquet") if path.is_file() and "keys-" not in str(path)]
    assert len(written) > 8
    for path in written:
        assert path.read_bytes() == (tmp_path / path.relative_to(extraction[0])).read_bytes()
    assert not list(tmp_path.glob(".*"))


def test_of_an_archive_that_grows_only_what_is_new_is_read(spark, archive, tmp_path):
    shutil.copytree(archive, tmp_path / "archive", copy_function=shutil.copy2)
    new = tmp_path / "archive" / "night-b.tar.gz"
    new.rename(tmp_path / "later.tar.gz")
    extract_first_two(spark, str(tmp_path / "archive"), LABELS, tmp_path / "data")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "data").glob("keys-*/*.parquet")}
    (tmp_path / "later.tar.gz").rename(new)
    assert len(read_objects(spark, str(tmp_path / "archive"), tmp_path / "data").collect()) == len(ALERTS)
    after = {path: path.stat().st_mtime_ns for path in (tmp_path / "data").glob("keys-*/*.parquet")}
    assert before.items() < after.items()
    assert len(after) == len(before) + 1
    extract_first_two(spark, str(tmp_path / "archive"), LABELS, tmp_path / "data")
    assert {path: path.stat().st_mtime_ns for path in after} == after
    assert candids(tmp_path / "data") == USED


def test_without_labels(spark, archive, tmp_path):
    report = extract_first_two(spark, str(archive), None, tmp_path)
    assert candids(tmp_path, "unlabelled_") == USED | {"unlabelled": (101, 102)}
    assert "classALeRCE" not in pd.read_parquet(tmp_path / "unlabelled_pairs.parquet")
    assert report.alerts_not_selected["object not labelled"] == 0
    assert report.classes == []


def test_no_object_found(spark, archive, tmp_path):
    report = extract_first_two(spark, str(archive), pd.DataFrame({"objectId": ["nobody"]}), tmp_path)
    assert (report.alerts_used, report.objects["absent from the archive"]) == (0, 1)
    assert pd.read_parquet(tmp_path / "unlabelled_pairs.parquet").empty


def test_read_objects(spark, archive, tmp_path):
    objects = read_objects(spark, str(archive), tmp_path).toPandas().set_index("objectId")
    assert objects["n_alerts"].to_dict() == {name: len({jd for _, jd, _ in rows}) for name, rows in ALERTS.items()}
    assert set(objects) == {"ra", "dec", "n_alerts"}


def test_an_object_labelled_twice_is_refused(spark, archive, tmp_path):
    with pytest.raises(ValueError, match="good is labelled twice"):
        extract_first_two(spark, str(archive), pd.DataFrame({"objectId": ["good", "good"]}), tmp_path)


def is_whole(alert):
    expected = expected_shape(alert["candidate"]["xpos"], alert["candidate"]["ypos"])
    stamps = (alert[f"cutout{name}"]["stampData"] for name in ("Science", "Template", "Difference"))
    return all(read_stamp(stamp).shape == expected for stamp in stamps)


def test_real_packets_agree_with_a_slow_reference(spark, real_alerts, tmp_path):
    report = extract_first_two(spark, str(real_alerts), None, tmp_path)
    used = candids(tmp_path, "unlabelled_")
    alerts = [
        next(fastavro.reader(io.BytesIO(member.data))) for member in iter_members(str(real_alerts), progress=False)
    ]
    whole = {alert["candid"]: (alert["candidate"]["jd"], alert) for alert in alerts if is_whole(alert)}
    expected = {}
    for candid, (jd, alert) in sorted(whole.items()):
        expected.setdefault(alert["objectId"], {}).setdefault(jd, candid)
    assert used == {name: tuple(jds[jd] for jd in sorted(jds)[:2]) for name, jds in expected.items()}
    assert report.alerts_read == len(alerts) == len(pd.read_csv(real_alerts / "index.csv"))
    pairs = pd.read_csv(real_alerts / "pairs.csv")
    assert {row.objectId: (row.candid1, row.candid2) for row in pairs.itertuples()}.items() <= used.items()
    first = pd.read_parquet(tmp_path / "unlabelled_first_alerts.parquet").set_index("candid_1")
    for candid in list(first.index)[::100]:
        packet = whole[candid][1]
        assert first.loc[candid, "difference_1"] == packet["cutoutDifference"]["stampData"]
        known = {
            name: value
            for name, value in packet["candidate"].items()
            if name not in ("candid", "jd") and value is not None
        }
        assert {name: first.loc[candid, f"{name}_1"] for name in known} == known


def test_labelled_real_objects(real_alerts):
    labels, counts = read_labels(real_alerts / "labels.csv")
    held = Counter(
        packet["objectId"] for member in iter_members(str(real_alerts), False) for packet in read_packets(member.data)
    )
    assert counts["kept"] == len(labels) == sum(name in held for name in labels["objectId"])


def test_the_account_must_balance():
    with pytest.raises(RuntimeError, match="3 alerts were read, but 2"):
        ExtractionReport(alerts_read=3, alerts_used=2).check()


def test_the_cluster_costs_what_its_prices_give():
    assert cluster_cost(30, 0.185, 0.192, 36)["cost"].iloc[-1] == pytest.approx(3.4452)


def test_no_wanted_object_in_the_archive(tmp_path, spark):
    packets = {n: write_packets([make_alert("ZTF18a", n, 2458000.0 + n)], read_schema()) for n in (1, 2, 3)}
    (tmp_path / "night.tar.gz").write_bytes(make_tarball(packets))
    nobody = pd.DataFrame({"objectId": pd.Series(dtype=str)})
    arguments = (spark, str(tmp_path / "night.tar.gz"), nobody, tmp_path / "out")
    report = extract_first_two(*arguments, prefix="unlabelled_")
    assert (report.alerts_read, report.alerts_used) == (3, 0)
    assert report.alerts_not_selected["object not labelled"] == 3
    assert len(read_metadata(tmp_path / "out" / "unlabelled_pairs.parquet")) == 0
    assert extract_first_two(*arguments, prefix="unlabelled_").alerts_read == 3


def test_nothing_odd_stops_a_night(spark, tmp_path):
    """Values that cannot be meant cost their alert, a container's bad record itself, and what is no alert is named."""
    odd = {"ra": float("nan")}, {"magpsf": float("inf")}, {"isdiffpos": "yes"}, {"dec": 91.0}, {"jd": 58000.0}
    rows = [make_alert(f"odd-{n}", 10 * n, **({"jd": 2458000.5} | changes)) for n, changes in enumerate(odd, start=1)]
    rows += [make_alert(f"odd-{n}", 10 * n + i, 2458001.5 + i) for n in range(1, len(odd) + 1) for i in (1, 2)]
    rows += [make_alert("twin", 10 + i, 2458001.5 + i) for i in (1, 2)]  # candids of another object
    rows += [make_alert("spelt", 900 + i, 2458001.5 + i, isdiffpos=text) for i, text in enumerate(("T", "true", "0"))]
    archive = tmp_path / "archive"
    archive.mkdir()
    (archive / "all.avro").write_bytes(write_packets(rows, read_schema()))
    cut = write_packets(rows[:3], read_schema())[:-5]
    (archive / "night.tar.gz").write_bytes(make_tarball({"cut": cut, "._1": b"x", "foreign": b"\0\0\0\0\1abc"}))
    (archive / "empty.tar.gz").write_bytes(make_tarball({}))
    (archive / "night.zip").write_bytes(b"PK")
    report = extract_first_two(spark, str(archive), None, tmp_path / "data")
    report.check()
    first = {f"odd-{n}": (10 * n + 1, 10 * n + 2) for n in range(1, len(odd) + 1)}
    assert candids(tmp_path / "data", "unlabelled_") == first | {"twin": (11, 12), "spelt": (900, 901)}
    table = pd.read_parquet(tmp_path / "data" / "unlabelled_quarantine.parquet")
    reasons = table.dropna(subset="candid").set_index("candid")["reason"].to_dict()
    fragments = {10: "ra is nan", 20: "magpsf is inf", 30: "isdiffpos is 'yes'", 40: "dec is 91", 50: "no Julian date"}
    assert all(text in reasons[candid] for candid, text in fragments.items())
    assert (report.alerts_read, report.alerts_quarantined) == (len(rows) + 3 + 1, len(odd) + 3 + 1)
    assert (report.damaged_sources, report.passed_over) == (0, 3)
    named = table[table["candid"].isna()].set_index(["source", "member"])["reason"].to_dict()
    assert named[str(archive / "empty.tar.gz"), ""] == "it holds no alerts"
    assert named[str(archive / "night.zip"), ""] == NOT_READ
    assert named[str(archive / "night.tar.gz"), "._1.avro"] == "it is hidden"
    assert "Confluent" in named[str(archive / "night.tar.gz"), "foreign.avro"]
    assert any("files passed over" in line for line in report.lines())


def test_an_output_that_is_gone_is_made_again(spark, tmp_path):
    packets = {n: write_packets([make_alert("ZTF18a", n, 2458000.0 + n)], read_schema()) for n in (1, 2)}
    (tmp_path / "night.tar").write_bytes(make_tarball(packets))
    (tmp_path / "out" / ".unlabelled_extraction-0123456789ab").mkdir(parents=True)
    arguments = spark, str(tmp_path / "night.tar"), None, tmp_path / "out"
    extract_first_two(*arguments)
    assert not list((tmp_path / "out").glob(".*"))  # what a killed run on other inputs left
    shutil.rmtree(tmp_path / "out" / "unlabelled_pairs.parquet")
    extract_first_two(*arguments)
    assert len(read_metadata(tmp_path / "out" / "unlabelled_pairs.parquet")) == 1


def test_alerts_that_are_not_public_are_counted(extraction):
    _, report = extraction
    assert report.not_public == 1
    assert "  of them not public (programid 2 or 3)" + " " * 18 + "1" in list(report.lines())


def test_a_label_that_its_alerts_contradict_is_reported(spark, tmp_path):
    jds = {"old": 2458000.0 + 400, "young": 2458000.0 + 30}
    rows = [make_alert(name, at, jd) for name, later in jds.items() for at, jd in ((1, 2458000.0), (2, later))]
    (tmp_path / "all.avro").write_bytes(write_packets(rows, read_schema()))
    labels = pd.DataFrame({"objectId": list(jds), "classALeRCE": "SN"})  # without subclasses
    report = extract_first_two(spark, str(tmp_path / "all.avro"), labels, tmp_path / "out")
    assert report.contradicted == ["old"]
    assert report.objects["with two alerts"] == 2
    assert any("over a year apart" in line and "(old)" in line for line in report.lines())
