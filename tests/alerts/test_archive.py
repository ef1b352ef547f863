"""Archives: the same alerts whatever the container, damage named and never silent."""

import bz2
import gzip
import io
import lzma
import os
import tarfile
from itertools import islice
from pathlib import Path

import fsspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from twostamp.alerts.archive import Member, iter_members, list_shares, read_members
from twostamp.alerts.archive_listing import ArchiveError, list_sources, measure_sources, survey_archive
from twostamp.alerts.extraction_tasks import scan_source
from twostamp.alerts.tarballs import NOT_READ, Share, begins_as_alerts, read_tar

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
        with pytest.raises(ArchiveError, match="name a folder or URL of alerts"):
            list_sources(str(archive))


def test_real_nights_agree_with_tarfile(real_alerts):
    for source in list_sources(str(real_alerts))[::10]:
        with tarfile.open(source) as archive:
            expected = [(entry.name, archive.extractfile(entry).read()) for entry in archive]
        assert [(member.name, member.data) for member in read_members(source)] == expected


def name_passed_over(archive):
    return {path.removeprefix(f"{archive}/"): reason for path, reason in survey_archive(str(archive))[1].items()}


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("n.tar.bz2", make_tar(mode="w:bz2")),
        ("n.tar.xz", make_tar(mode="w:xz")),
        ("N.TAR.GZ", make_tar(mode="w:gz")),
        ("n.tar.gz", make_tar()),  # a server may have unpacked it
        ("n.tgz", gzip.compress(make_tar())),
        ("joined.tar", make_tar() + make_tar({"6.avro": b"joined"})),
        ("joined.tar.gz", make_tar(mode="w:gz") + make_tar({"6.avro": b"joined"}, mode="w:gz")),
    ],
)
def test_every_usual_form_of_a_tarball_is_read(tmp_path, name, data):
    (tmp_path / name).write_bytes(data)
    expected = ALERTS | ({"6.avro": b"joined"} if "joined" in name else {})
    assert {member.name: member.data for member in iter_members(str(tmp_path), progress=False)} == expected


def test_packets_that_are_compressed_or_spelt_otherwise(tmp_path):
    (tmp_path / "night").mkdir()
    files = {"1.avro.gz": gzip.compress(b"one"), "2.AVRO": b"two", "3.avro.bz2": bz2.compress(b"three")}
    files |= {"4.avro.gz": b"no gzip", "5.avro.xz": lzma.compress(b"five")[:-9]}
    for name, data in files.items():
        (tmp_path / "night" / name).write_bytes(data)
    (tmp_path / "night.tar").write_bytes(make_tar(files))
    members = list(iter_members(str(tmp_path), progress=False))
    assert len(members) == 2 * len(files)
    for member in members:
        expected = {"1.avro.gz": b"one", "2.AVRO": b"two", "3.avro.bz2": b"three", "4.avro.gz": b"no gzip"}
        assert member.data == expected.get(member.name, b"")
        assert ("cannot be decompressed" in member.fault) == (member.name == "5.avro.xz")


def read_shares(source, count):
    """Members of all shares of a source, with what is said of damage."""
    members, errors = [], []
    for number in range(count):
        try:
            members += read_members(source, share=Share(number, count))
        except ArchiveError as error:
            errors.append(str(error))
    return members, errors


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 3000), max_size=12),
    count=st.integers(1, 7),
    cut=st.integers(0, 4000),
    flip=st.none() | st.integers(0, 10**6),
    form=st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]),
)
def test_shares_of_a_plain_tar_give_what_the_whole_gives(tmp_path_factory, sizes, count, cut, flip, form):
    """Long names, tars within, cut ends and bad headers among them; what is damaged is said once."""
    alerts = {f"{'long/' * (30 * (n % 3 == 2))}{n}.avro": b"x" * size for n, size in enumerate(sizes)}
    data = bytearray(make_tar(alerts | {"inner.tar": make_tar(), "README": b"none"}, format=form))
    if flip is not None:
        data[flip % len(data)] ^= 255
    source = str(tmp_path_factory.mktemp("shares") / "night.tar")
    Path(source).write_bytes(data[: len(data) - cut])
    whole, error = read_until_damage(Path(source))
    members, errors = read_shares(source, count)
    assert members == whole
    assert errors == ([error] if error else [])


def test_shares_of_a_folder_and_of_what_cannot_be_shared(archive):
    sources = list_sources(str(archive))
    assert any(Path(source).is_dir() for source in sources)
    for source in sources:
        assert read_shares(source, 3)[0] == list(read_members(source))


def test_what_has_shares(monkeypatch):
    monkeypatch.setattr("twostamp.alerts.archive.SHARE_BYTES", 100)
    shared = {"/a/20200101": 250, "/a/n.tar": 101, "/a/all.avro": 300, "s3://b/20200101": 120}
    whole = {"/a/n.tar.gz": 999, "/a/m.tar": 100, "s3://b/n.tar": 999, "s3://b/all.avro": 999, "/a/1.avro.gz": 999}
    assert {name: len(list_shares(name, size)) for name, size in shared.items()} == dict(zip(shared, (3, 2, 3, 2)))
    assert {name: list_shares(name, size) for name, size in whole.items()} == {name: [None] for name in whole}


def test_names_in_a_plain_tar_are_found_without_reading_the_others(tmp_path):
    alerts = {f"{n}.avro": bytes(100_000) for n in range(50)}
    (tmp_path / "night.tar").write_bytes(make_tar(alerts))
    with CountingFile(tmp_path / "night.tar") as stream:
        (found,) = read_tar(stream, {"30.avro"})
    assert found[:2] == ("30.avro", alerts["30.avro"])
    assert stream.n_read < 200_000


class CountingFile(io.FileIO):
    n_read = 0

    def read(self, size=-1):
        data = super().read(size)
        self.n_read += len(data)
        return data


def test_links_and_nested_folders_are_followed(tmp_path):
    disk, archive = tmp_path / "disk", tmp_path / "archive"
    for folder in (disk, archive / "2018" / "06"):
        folder.mkdir(parents=True)
        for name, data in ALERTS.items():
            (folder / name).write_bytes(data)
    (disk / "n.tar").write_bytes(make_tar())
    (archive / "linked").symlink_to(disk)
    (archive / "n.tar").symlink_to(disk / "n.tar")
    (archive / "round").symlink_to(archive)
    (archive / "gone.tar.gz").symlink_to(disk / "gone")
    names = ["2018/06", "linked", "linked/n.tar", "n.tar"]
    assert list_sources(str(archive)) == [str(archive / name) for name in names]
    assert len(list(iter_members(str(archive), progress=False))) == 4 * len(ALERTS)
    assert name_passed_over(archive) == {"gone.tar.gz": "it is no file, or a broken link"}


def test_folders_called_like_files(tmp_path):
    for name in ("a.avro", "b.tar", "a.avro/c.avro"):
        (tmp_path / name).mkdir()
    for name, data in ALERTS.items():
        for folder in ("a.avro", "b.tar", "a.avro/c.avro"):
            (tmp_path / folder / name).write_bytes(data)
    assert len(list(iter_members(str(tmp_path), progress=False))) == 3 * len(ALERTS)


def test_what_looks_like_alerts_and_is_not_read_is_named(archive):
    for name in ("._1.avro", ".hidden.tar.gz", "night.tar.zst", "night.zip", "1.avro.lz4", "README.txt", "pairs.csv"):
        (archive / name).write_bytes(b"?")
    (archive / ".snapshot" / "deep").mkdir(parents=True)
    (archive / ".snapshot" / "deep" / "1.avro").write_bytes(b"?")
    hidden = dict.fromkeys(("._1.avro", ".hidden.tar.gz", ".snapshot"), "it is hidden")
    unread = dict.fromkeys(("night.tar.zst", "night.zip", "1.avro.lz4"), NOT_READ)
    assert name_passed_over(archive) == hidden | unread
    (archive / "night.tar").write_bytes(
        make_tar({"._1.avro": b"?", "1.avro.lz4": b"?", "README": b"?", "1.avro": b"!"})
    )
    members = {member.name: member for member in read_members(str(archive / "night.tar"))}
    assert {name: member.fault for name, member in members.items()} == {
        "._1.avro": "it is hidden",
        "1.avro.lz4": NOT_READ,
        "1.avro": "",
    }


@pytest.mark.parametrize(
    "name",
    [
        *("night.tar.gz.1", "night.tar.gz.part", "night.tar.gz~", "night.tar (1)", "1.avro.bak", "1.avro_old"),
        *("3213262934615015018", "night", "night.gz", "data.bin"),
    ],
)
@pytest.mark.parametrize("data", [b"Obj\x01rest", make_tar(), make_tar(mode="w:gz"), gzip.compress(b"Obj\x01")])
def test_alerts_whose_names_do_not_say_so_are_named(archive, name, data):
    (archive / name).write_bytes(data)
    assert name_passed_over(archive) == {name: NOT_READ}
    (archive / "all.tar").write_bytes(make_tar({name: data, "1.avro": b"!"}))
    faults = {member.name: member.fault for member in read_members(str(archive / "all.tar"))}
    assert faults == {name: NOT_READ, "1.avro": ""}


def test_notes_beside_alerts_are_none(archive):
    notes = ["night.tar.gz.md5", ".night.tar.gz.version", "1.avro.txt", "MD5SUMS", "labels.csv.gz", "empty", "x.avsc"]
    for name in notes:
        (archive / name).write_bytes(b"" if name == "empty" else gzip.compress(b"oid,class"))
    assert name_passed_over(archive) == {}
    (archive / "all.tar").write_bytes(make_tar(dict.fromkeys(notes, b"oid,class") | {"1.avro": b"!"}))
    assert [member.name for member in read_members(str(archive / "all.tar"))] == ["1.avro"]


def test_what_is_no_file_is_named_and_not_waited_for(archive):
    os.mkfifo(archive / "1.avro")
    assert name_passed_over(archive) == {"1.avro": "it is no file, or a broken link"}


def test_tars_within_tars(tmp_path):
    nights = {"a.tar.gz": make_tar(mode="w:gz"), "b.tar": make_tar(), "c.tar.gz": make_tar(mode="w:gz")[:-80]}
    (tmp_path / "year.tar").write_bytes(make_tar(nights | {"last.avro": b"!"}))
    members = list(read_members(str(tmp_path / "year.tar")))
    whole = [f"{night}/{name}" for night in ("a.tar.gz", "b.tar") for name in ALERTS]
    assert [member.name for member in members[:10]] == whole
    assert members[-1].data == b"!"
    (damaged,) = [member for member in members if member.fault]
    assert damaged.name == "c.tar.gz"
    assert "the tar is damaged" in damaged.fault
    (one,) = read_members(str(tmp_path / "year.tar"), {"b.tar/2.avro"})
    assert one.data == ALERTS["2.avro"]
    (tmp_path / "year.tar").write_bytes(make_tar(nights)[:3000])
    assert "ends early" in read_until_damage(tmp_path / "year.tar")[1]


def test_a_compressed_tar_that_ends_within_an_inner_one_is_cut_and_the_inner_one_is_not_named(tmp_path):
    whole = make_tar({"1.tar": make_tar({"a.avro": b"Obj"})}, mode="w:gz")
    for end in range(90, len(whole) - 8):
        (tmp_path / "night.tar").write_bytes(whole[:end])
        members, fault = read_until_damage(tmp_path / "night.tar")
        assert fault
        assert [member.name for member in members if member.fault] == []


def test_a_link_within_a_tar_is_named(tmp_path):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        entry = tarfile.TarInfo("1.avro")
        entry.type, entry.linkname = tarfile.SYMTYPE, "../0.avro"
        archive.addfile(entry)
    (tmp_path / "n.tar").write_bytes(stream.getvalue())
    assert [member.fault for member in read_members(str(tmp_path / "n.tar"))] == ["it is a link to ../0.avro"]


@pytest.mark.parametrize("data", [make_tar({}, mode="w:gz"), gzip.compress(bytes(1024))])
def test_a_night_without_data_holds_nothing(tmp_path, data):
    (tmp_path / "night.tar.gz").write_bytes(data)
    assert list(read_members(str(tmp_path / "night.tar.gz"))) == []
    assert [(row["kind"], row["alerts"]) for row in scan_source(str(tmp_path / "night.tar.gz"))] == [("fields", 0)]


names = st.sampled_from(
    ["1.avro", "2.AVRO", "._3.avro", "4.avro.gz", "deep/5.avro", "x" * 120 + ".avro", "6.txt", "7.zip"]
)
nights = st.dictionaries(names, st.binary(max_size=700), max_size=6)


@settings(max_examples=100, deadline=None)
@example(parts=[{"6.txt": b"Obj\x01"}], mode="", nested=False)
@given(
    parts=st.lists(nights, min_size=1, max_size=3), mode=st.sampled_from(["", "gz", "bz2", "xz"]), nested=st.booleans()
)
def test_any_tarball_is_read_or_named(tmp_path_factory, parts, mode, nested):
    """Joined, compressed and nested: every file that looks like alerts gives one member."""
    data = b"".join(make_tar(part, mode=f"w:{mode}", format=tarfile.GNU_FORMAT) for part in parts)
    source = tmp_path_factory.mktemp("tars") / "night.tar"
    source.write_bytes(make_tar({"inner.tar": data}) if nested else data)
    within = "inner.tar/" if nested else ""
    files = [file for part in parts for file in part.items()]
    given = [(name, data) for name, data in files if name != "6.txt" or begins_as_alerts(io.BytesIO(data))]
    expected = [within + name for name, _ in given]
    members = list(read_members(str(source)))
    if nested and not expected:
        assert [(member.name, member.fault) for member in members] == [("inner.tar", "it holds no alerts")]
        return
    assert [member.name for member in members] == expected
    for member, (_, data) in zip(members, given, strict=True):
        assert member.fault or member.data == data


KINDS = st.sampled_from(["packet", "hidden", "link", "folder", "notes", "zipped", "empty tar", "inner tar"])


def add(archive, number, kind):
    """Add an entry to a tar; returns the names that have to be given, and whether they can be read."""
    names = {"hidden": f"._{number}.avro", "notes": f"{number}.txt", "zipped": f"{number}.avro.zst"}
    names |= {"folder": f"{number}", "empty tar": f"{number}.tar", "inner tar": f"{number}.tar"}
    entry, data = tarfile.TarInfo(names.get(kind, f"{number}.avro")), b"Obj" * number
    if kind in ("folder", "link"):
        entry.type = tarfile.DIRTYPE if kind == "folder" else tarfile.SYMTYPE
        entry.linkname, data = "elsewhere.avro" * (kind == "link"), b""
    if kind.endswith("tar"):
        data = make_tar({"a.avro": b"Obj"} if kind == "inner tar" else {"README": b"?"})
    entry.size = len(data)
    archive.addfile(entry, io.BytesIO(data))
    if kind in ("folder", "notes"):
        return []
    return [(entry.name + "/a.avro" * (kind == "inner tar"), kind in ("packet", "inner tar"))]


@settings(max_examples=100, deadline=None)
@given(st.lists(KINDS, max_size=8), st.sampled_from(["", "gz", "bz2", "xz"]), st.integers(0, 20_000))
def test_every_entry_is_read_or_named_and_a_cut_loses_only_what_follows(tmp_path_factory, kinds, mode, end):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=f"w:{mode}") as archive:
        expected = [found for number, kind in enumerate(kinds, start=1) for found in add(archive, number, kind)]
    source = tmp_path_factory.mktemp("tars") / "night.tar"
    source.write_bytes(stream.getvalue())
    members = list(read_members(str(source)))
    assert [(member.name, not member.fault) for member in members] == expected
    source.write_bytes(stream.getvalue()[:end])
    before, fault = read_until_damage(source)
    assert [member.name for member in before] == [member.name for member in members[: len(before)]]
    assert all(member.fault or member == whole for member, whole in zip(before, members, strict=False))
    assert fault or len(before) == len(members) or end == 0
