"""The public archive on a local server: nights arrive whole, resume where they broke, and never lie about it."""

import hashlib
import io
import os
import re
import signal
import subprocess
import sys
import tarfile
import time
from email.utils import formatdate

import pandas as pd
import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import make_alert
from tests.local_server import serve
from twostamp.alerts.archive import list_sources, read_members
from twostamp.alerts.packet import read_schema, write_packets
from twostamp.alerts.ztf_archive import ZTFArchive, download_nights, parse_nights


def make_night(night, n=20):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz", compresslevel=1) as archive:
        for candid in range(1, n + 1):
            data = write_packets([make_alert(f"ZTF18a{candid % 5}", night * 100 + candid)], read_schema())
            entry = tarfile.TarInfo(f"{night * 100 + candid}.avro")
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
        entry = tarfile.TarInfo("damaged.avro")
        entry.size = 5
        archive.addfile(entry, io.BytesIO(b"Obj\x01?"))
    return stream.getvalue()


NIGHTS = {f"2018060{n}": make_night(n) for n in (1, 2, 4)}


class PublicArchive:
    """Files with ranges and versions, as web servers serve them."""

    def __init__(self, checksums=True, ranges=True, etag=True, date=False):
        self.files = {f"ztf_public_{night}.tar.gz": data for night, data in NIGHTS.items()}
        self.checksums, self.ranges, self.etag, self.date = checksums, ranges, etag, date

    def __call__(self, path, headers):
        name = path.removeprefix("/public/")
        if name == "MD5SUMS" and self.checksums:
            lines = [f"{hashlib.md5(data).hexdigest()}  {name}" for name, data in self.files.items()]
            return 200, {}, ("# nightly\n" + "\n".join(lines) + "\n").encode()
        if name not in self.files:
            return 404, {}, b"not found"
        data = self.files[name]
        version = hashlib.md5(data).hexdigest()
        sent = {"ETag": f'"{version}"'} if self.etag else {}
        date = formatdate(int(version, 16) % 2**30, usegmt=True)  # other data have another
        sent |= {"Last-Modified": date} if self.date else {}
        match = re.fullmatch(r"bytes=(\d+)-", headers.get("Range", ""))
        if not match or not self.ranges or headers.get("If-Range") != f'"{version}"':
            return 200, sent, data
        start = int(match[1])
        if start >= len(data):
            return 416, {"Content-Range": f"bytes */{len(data)}"}, b""
        return 206, sent | {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"}, data[start:]


def open_archive(server, **options):
    return ZTFArchive(server.url + "/public", **({"timeout": 10, "attempts": 3, "first_pause": 0.001} | options))


@pytest.fixture(autouse=True)
def _fast(monkeypatch):
    monkeypatch.setattr("twostamp.alerts.ztf_archive.RateLimit.wait", lambda self, again=False: None)


def path_of(night):
    return f"/public/ztf_public_{night}.tar.gz"


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix != ".version"}


def whole(*nights):
    return {f"ztf_public_{night}.tar.gz": NIGHTS[night] for night in nights}


def test_nights_are_there_and_nothing_else_is(tmp_path):
    with serve(PublicArchive()) as server:
        report = download_nights(open_archive(server), parse_nights("20180601-20180604"), tmp_path)
        assert contents(tmp_path) == whole(*NIGHTS)
        assert (report.downloaded, report.absent, report.failed) == (list(NIGHTS), ["20180603"], {})
        assert (report.checked, report.bytes) == (3, sum(map(len, NIGHTS.values())))
        n = len(server.log)
        again = download_nights(open_archive(server), list(NIGHTS), tmp_path)
        assert again.done_before == list(NIGHTS)
        assert server.log[n:] == ["/public/MD5SUMS"]
    assert len(list(read_members(list_sources(str(tmp_path))[0]))) == 21


def test_a_broken_download_goes_on_where_it_broke(tmp_path):
    night, size = "20180601", len(NIGHTS["20180601"])
    with serve(PublicArchive()) as server:
        server.faults[path_of(night)] = ["truncated", "truncated", "500", "truncated", "reset", "truncated"]
        report = download_nights(open_archive(server), [night], tmp_path)
        starts = [int(h["Range"][6:-1]) for h in server.headers if "Range" in h]
    assert contents(tmp_path) == whole(night)
    assert report.bytes == size  # not a byte twice
    assert starts == sorted(starts)
    assert starts[0] == size // 2
    assert len(server.injected) == 6


def test_a_server_without_ranges_or_versions_starts_again(tmp_path):
    for options in ({"ranges": False}, {"etag": False}):
        with serve(PublicArchive(**options)) as server:
            server.faults[path_of("20180601")] = ["truncated"]
            report = download_nights(open_archive(server), ["20180601"], tmp_path / str(options))
        assert contents(tmp_path / str(options)) == whole("20180601")
        assert report.bytes == len(NIGHTS["20180601"]) * 3 // 2


def test_a_file_that_changed_meanwhile_is_not_joined_to_its_old_half(tmp_path):
    public = PublicArchive(checksums=False)
    with serve(public) as server:
        server.faults[path_of("20180601")] = ["truncated"] + ["reset"] * 3
        report = download_nights(open_archive(server), ["20180601"], tmp_path)
        assert report.failed == {"20180601": "no connection"}
        assert (tmp_path / ".ztf_public_20180601.tar.gz.part").stat().st_size == len(NIGHTS["20180601"]) // 2
        assert list_or_none(tmp_path) is None  # a half file has no name that an archive is searched for
        public.files["ztf_public_20180601.tar.gz"] = NIGHTS["20180602"]
        report = download_nights(open_archive(server), ["20180601"], tmp_path)
    assert contents(tmp_path) == {"ztf_public_20180601.tar.gz": NIGHTS["20180602"]}
    assert report.resumed_bytes == len(NIGHTS["20180601"]) // 2


def list_or_none(folder):
    from twostamp.alerts.archive import ArchiveError

    try:
        return list_sources(str(folder))
    except ArchiveError:
        return None


def test_a_complete_half_file_is_recognised(tmp_path):
    (tmp_path / ".ztf_public_20180601.tar.gz.part").write_bytes(NIGHTS["20180601"])
    version = f'"{hashlib.md5(NIGHTS["20180601"]).hexdigest()}"'
    (tmp_path / ".ztf_public_20180601.tar.gz.part.version").write_text(version)
    with serve(PublicArchive()) as server:
        report = download_nights(open_archive(server), ["20180601"], tmp_path)
    assert contents(tmp_path) == whole("20180601")
    assert report.bytes == 0


@pytest.mark.parametrize(
    ("fault", "times", "reason"),
    [
        ("corrupt", 2, "the checksum is not that of the archive's list"),
        ("page", 2, "the response is no gzip file"),
        ("500", 9, "status 500"),
        ("timeout", 9, "no answer in time"),
        ("reset", 9, "no connection"),
    ],
)
def test_a_night_that_fails_is_named_and_leaves_the_others_alone(tmp_path, fault, times, reason):
    with serve(PublicArchive()) as server:
        server.faults[path_of("20180601")] = [fault] * times
        patience = 2 if fault == "timeout" else 60
        report = download_nights(open_archive(server, timeout=patience), list(NIGHTS), tmp_path)
        assert report.failed == {"20180601": reason}
        assert contents(tmp_path) == whole("20180602", "20180604")
        assert "  20180601: " + reason in report.lines()
        server.faults.clear()
        assert download_nights(open_archive(server), list(NIGHTS), tmp_path).failed == {}
    assert contents(tmp_path) == whole(*NIGHTS)


def test_one_wrong_transfer_is_repaired_by_the_checksum(tmp_path):
    with serve(PublicArchive()) as server:
        server.faults[path_of("20180602")] = ["corrupt"]
        assert download_nights(open_archive(server), ["20180602"], tmp_path).failed == {}
    assert contents(tmp_path) == whole("20180602")


def test_an_archive_without_checksums(tmp_path):
    with serve(PublicArchive(checksums=False)) as server:
        report = download_nights(open_archive(server), ["20180601"], tmp_path)
    assert (report.downloaded, report.checked) == (["20180601"], 0)


def test_sifting_keeps_the_packets_of_some_objects_and_what_nobody_can_read(tmp_path):
    wanted = {"ZTF18a1", "ZTF18a3"}
    with serve(PublicArchive()) as server:
        server.faults[path_of("20180601")] = ["truncated"]
        server.faults[path_of("20180602")] = ["corrupt"]
        report = download_nights(open_archive(server), [*NIGHTS, "20180609"], tmp_path, objects=wanted)
        n = len(server.log)
        assert download_nights(open_archive(server), list(NIGHTS), tmp_path, objects=wanted).done_before == list(NIGHTS)
        assert len(server.log) == n + 1
    assert report.failed == {}
    assert report.absent == ["20180609"]
    kept = {path.name for path in tmp_path.rglob("*.avro")}
    by_slow_reading = {"damaged.avro"}
    for night in NIGHTS:
        (tmp_path.parent / "all").mkdir(exist_ok=True)
        source = tmp_path.parent / "all" / f"{night}.tar.gz"
        source.write_bytes(NIGHTS[night])
        numbers = [member.name for member in read_members(str(source)) if member.name != "damaged.avro"]
        by_slow_reading |= {name for name in numbers if int(name[:-5]) % 5 in (1, 3)}
    assert kept == by_slow_reading
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"ztf_public_{night}" for night in NIGHTS]


def test_a_night_that_cannot_be_sifted_leaves_nothing(tmp_path):
    with serve(PublicArchive()) as server:
        server.faults[path_of("20180601")] = ["truncated"] * 3
        report = download_nights(open_archive(server), ["20180601"], tmp_path, objects={"ZTF18a1"})
    assert list(report.failed) == ["20180601"]
    assert list(tmp_path.iterdir()) == []


def test_a_kill_in_the_middle(tmp_path):
    folder = tmp_path / "nights"
    with serve(PublicArchive()) as server:
        server.faults[path_of("20180602")] = ["stall"]
        command = [sys.executable, "-m", "twostamp", "download", "20180601-20180602", str(folder)]
        command += ["--base-url", server.url + "/public/"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while not (folder / ".ztf_public_20180602.tar.gz.part").exists():
            assert process.poll() is None, "ended before it could be killed"
            time.sleep(0.005)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        n = len(server.log)
        finished = subprocess.run(command, capture_output=True, text=True, check=True)
        assert server.log[n:] == ["/public/MD5SUMS", path_of("20180602")]
    assert contents(folder) == whole("20180601", "20180602")
    assert "there before" in finished.stdout


def test_the_command_line_names_what_is_wrong(tmp_path):
    command = [sys.executable, "-m", "twostamp", "download", "2018", str(tmp_path)]
    refused = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "'2018' is no night" in refused.stderr


@given(st.dates(pd.Timestamp("2018-06-01").date(), pd.Timestamp("2026-01-01").date()), st.integers(0, 40))
def test_ranges_hold_every_night_once(first, length):
    last = pd.Timestamp(first) + pd.Timedelta(days=length)
    nights = parse_nights(f"{first:%Y%m%d}-{last:%Y%m%d},{first:%Y-%m-%d}")
    assert len(nights) == length + 1
    assert nights == sorted(set(nights))


def test_a_night_that_is_there_needs_no_network(tmp_path):
    with serve(PublicArchive()) as server:
        archive = open_archive(server, attempts=1)
        download_nights(archive, ["20180601"], tmp_path)
        download_nights(archive, ["20180602"], tmp_path, objects={"ZTF18a1"})
    assert download_nights(archive, ["20180601"], tmp_path).done_before == ["20180601"]
    assert download_nights(archive, ["20180602"], tmp_path, objects={"ZTF18a1"}).done_before == ["20180602"]
    with pytest.raises(requests.ConnectionError):
        download_nights(archive, ["20180602"], tmp_path, objects={"ZTF18a1", "ZTF18a2"})
    with pytest.raises(requests.ConnectionError):
        download_nights(archive, ["20180601", "20180604"], tmp_path)


def test_objects_that_were_added_are_fetched(tmp_path):
    with serve(PublicArchive()) as server:
        archive = open_archive(server)
        download_nights(archive, ["20180601"], tmp_path, objects={"ZTF18a1"})
        before = len(list(tmp_path.rglob("*.avro")))
        report = download_nights(archive, ["20180601"], tmp_path, objects={"ZTF18a1", "ZTF18a2"})
        assert report.downloaded == ["20180601"]
        assert len(list(tmp_path.rglob("*.avro"))) > before
        assert download_nights(archive, ["20180601"], tmp_path, objects={"ZTF18a2", "ZTF18a1"}).downloaded == []
    assert list_sources(str(tmp_path)) == [str(tmp_path / "ztf_public_20180601")]


@pytest.mark.parametrize("objects", [None, {"ZTF18a1"}], ids=["whole", "sifted"])
@pytest.mark.parametrize(
    "marks",
    [{}, {"checksums": False}, {"checksums": False, "etag": False, "date": True}],
    ids=["MD5SUMS", "ETag", "Last-Modified"],
)
def test_a_night_that_was_published_anew_is_fetched_again(tmp_path, objects, marks):
    public = PublicArchive(**marks)
    with serve(public) as server:
        archive = open_archive(server)
        download_nights(archive, ["20180601"], tmp_path, objects=objects)
        public.files["ztf_public_20180601.tar.gz"] = NIGHTS["20180602"]
        assert download_nights(archive, ["20180601"], tmp_path, objects=objects).downloaded == ["20180601"]
        assert download_nights(archive, ["20180601"], tmp_path, objects=objects).done_before == ["20180601"]


@pytest.mark.parametrize("objects", [None, {"ZTF18a1"}], ids=["whole", "sifted"])
def test_a_night_whose_version_nobody_tells_counts_as_there(tmp_path, objects):
    public = PublicArchive(checksums=False, etag=False)
    with serve(public) as server:
        archive = open_archive(server)
        download_nights(archive, ["20180601"], tmp_path, objects=objects)
        del public.files["ztf_public_20180601.tar.gz"]
        assert download_nights(archive, ["20180601"], tmp_path, objects=objects).done_before == ["20180601"]
    assert download_nights(archive, ["20180601"], tmp_path, objects=objects).done_before == ["20180601"]


def test_a_kill_before_the_new_version_is_whole_leaves_the_old_one_outdated(tmp_path):
    public = PublicArchive(checksums=False)
    with serve(public) as server:
        archive = open_archive(server)
        download_nights(archive, ["20180601"], tmp_path)
        public.files["ztf_public_20180601.tar.gz"] = NIGHTS["20180602"]
        server.faults[path_of("20180601")] = ["truncated"] + ["reset"] * 3
        # the request for the version meets no fault: only then is the night asked for
        server.faults[path_of("20180601")].insert(0, "")
        assert download_nights(archive, ["20180601"], tmp_path).failed == {"20180601": "no connection"}
        assert download_nights(archive, ["20180601"], tmp_path).downloaded == ["20180601"]
    assert contents(tmp_path) == {"ztf_public_20180601.tar.gz": NIGHTS["20180602"]}


def test_a_range_that_runs_backwards_is_refused():
    with pytest.raises(ValueError, match="'20180603-20180601' is no night"):
        parse_nights("20180603-20180601")
