"""Archives: the same alerts whatever the container, damage named and never silent."""

import gzip
import io
import tarfile
from itertools import islice

import fsspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twostamp.alerts.archive import ArchiveError, Member, iter_members, list_sources, measure_sources, read_members

ALERTS = {f"{n}.avro": bytes([n]) * (300 * n) for n in range(1, 6)}


def make_tar(alerts=ALERTS, mode="w", **options):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode, **options) as archive:
        for name, data in alerts.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return stream.getvalue()


def read_until_damage(source):
    members = []
    try:
        members.extend(read_members(str(source)))  # extend keeps what came before the error
    except ArchiveError as error:
        return members, str(error)
    return members, ""


@pytest.fixture
def archive(tmp_path):
    (tmp_path / "ztf_public_20200102.tar.gz").write_bytes(make_tar(mode="w:gz"))
    (tmp_path / "ztf_public_20200101.tar").write_bytes(make_tar())
    (tmp_path / "20200103").mkdir()
    for name, data in ALERTS.items():
        (tmp_path / "20200103" / name).write_bytes(data)
    (tmp_path / "labels.csv").write_text("objectId")
    return tmp_path


def test_every_kind_of_source_in_sorted_order(archive):
    names = ["20200103", "ztf_public_20200101.tar", "ztf_public_20200102.tar.gz"]
    sources = [str(archive / name) for name in names]
    assert list_sources(str(archive)) == sources
    assert measure_sources(str(archive))[sources[0]] == sum(map(len, ALERTS.values()))
    expected = [Member(source, name, data) for source in sources for name, data in ALERTS.items()]
    assert list(iter_members(str(archive), progress=False)) == expected


def test_what_a_killed_process_has_half_written_is_no_source(archive):
    sources = measure_sources(str(archive))
    for left in (archive / ".20200104.tar.gz.part", archive / "20200103" / ".6.avro.part"):
        left.mkdir()
        (left / f"1-{left.stem.removeprefix('.')}").write_bytes(b"half")
    assert measure_sources(str(archive)) == sources


def test_a_tarball_or_a_packet_alone_is_an_archive(archive):
    for path in (archive / "ztf_public_20200102.tar.gz", archive / "20200103" / "1.avro"):
        assert list_sources(str(path)) == [str(path)]
    (member,) = iter_members(str(path), progress=False)
    assert (member.name, member.data) == ("1.avro", ALERTS["1.avro"])


def test_only_the_wanted_members(archive):
    for source in list_sources(str(archive)):
        assert [member.name for member in read_members(source, {"2.avro", "4.avro"})] == ["2.avro", "4.avro"]


def test_object_stores():
    store = fsspec.filesystem("memory")
    store.pipe("/alerts/b.tar.gz", make_tar(mode="w:gz"))
    store.pipe("/alerts/a/1.avro", b"alert")
    assert list_sources("memory://alerts") == ["memory:///alerts/a", "memory:///alerts/b.tar.gz"]
    assert [member.name for member in iter_members("memory://alerts", progress=False)] == ["1.avro", *ALERTS]


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_tar_formats_and_long_names(tmp_path, form):
    folder = "" if form == tarfile.USTAR_FORMAT else "night/" + "x" * 120 + "/"
    alerts = {folder + name: data for name, data in ALERTS.items()} | {"README": b"not an alert", "last.avro": b"!"}
    (tmp_path / "a.tar").write_bytes(make_tar(alerts, format=form))
    members = list(read_members(str(tmp_path / "a.tar")))
    assert {member.name: member.data for member in members} == {n: d for n, d in alerts.items() if n != "README"}


@pytest.mark.parametrize("keep", [0, 100, 2000, -30, -4])
def test_a_truncated_tarball_gives_what_came_before(tmp_path, keep):
    source = tmp_path / "night.tar.gz"
    source.write_bytes(make_tar(mode="w:gz", compresslevel=0)[:keep])
    members, error = read_until_damage(source)
    assert str(source) in error
    assert "damaged" in error
    assert [member.data for member in members] == list(ALERTS.values())[: len(members)]


def test_a_tar_without_an_end_is_damaged(tmp_path):
    source = tmp_path / "night.tar"
    source.write_bytes(make_tar({"1.avro": b"alert"})[:1024])
    members, error = read_until_damage(source)
    assert [member.data for member in members] == [b"alert"]
    assert "ends early" in error


def test_a_page_saved_as_a_tarball(tmp_path):
    (tmp_path / "night.tar.gz").write_bytes(b"<html>404</html>")
    assert "damaged" in read_until_damage(tmp_path / "night.tar.gz")[1]


def test_damage_to_one_source_does_not_hide_the_others(archive):
    (archive / "20200101-bad.tar.gz").write_bytes(make_tar(mode="w:gz")[:-4])
    members = iter_members(str(archive), progress=False)
    assert len(list(islice(members, 20))) == 20
    with pytest.raises(ArchiveError, match=r"20200101-bad\.tar\.gz"):
        next(members)


@settings(max_examples=150, deadline=None)
@given(
    end=st.integers(1, len(make_tar())),
    flips=st.lists(st.tuples(st.integers(0, 10**6), st.integers(1, 255)), max_size=3),
    compress=st.booleans(),
)
def test_any_damage_gives_members_or_an_archive_error(tmp_path_factory, end, flips, compress):
    data = bytearray(gzip.compress(make_tar(), mtime=0) if compress else make_tar())
    for at, mask in flips:
        data[at % len(data)] ^= mask
    source = tmp_path_factory.mktemp("fuzz") / ("night.tar.gz" if compress else "night.tar")
    source.write_bytes(data[:end])
    members, error = read_until_damage(source)
    assert error or len(members) <= len(ALERTS)


def test_an_empty_archive_is_refused(tmp_path):
    for archive in (tmp_path, tmp_path / "absent"):
        with pytest.raises(ArchiveError, match=r"set `archive`"):
            list_sources(str(archive))


def test_real_nights_agree_with_tarfile(real_alerts):
    for source in list_sources(str(real_alerts))[::10]:
        with tarfile.open(source) as archive:
            expected = [(entry.name, archive.extractfile(entry).read()) for entry in archive]
        assert [(member.name, member.data) for member in read_members(source)] == expected
