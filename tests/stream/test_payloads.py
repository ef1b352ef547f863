"""An archive as a stream: positions, resuming, nights."""

import io
import tarfile

import pytest

from twostamp.alerts.archive import ArchiveError
from twostamp.stream.payloads import ArchiveSource, Extent, Payload, Place


def write_tar(path, packets):
    with tarfile.open(path, "w:gz") as tar:
        for name, data in packets.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return str(path)


def read(source, progress=()):
    return [(item.offset, item.data, item.fault) for item in source.read(dict(progress)) if isinstance(item, Payload)]


@pytest.fixture
def night(tmp_path):
    return write_tar(tmp_path / "ztf_public_20180601.tar.gz", {f"{n}.avro": b"%d" % n for n in range(4)})


def test_an_archive_goes_on_where_it_stopped(night, tmp_path):
    source = ArchiveSource(str(tmp_path))
    (extent, *items) = source.read({})
    assert extent == Extent(Place(night, 0), 0, 0, extent.content)
    assert [(item.place, item.offset, item.data) for item in items] == [
        (Place(night, 0), n, b"%d" % n) for n in range(4)
    ]
    assert read(source, {Place(night, 0): (3, extent.content)}) == [(3, b"3", "")]
    assert len(read(source, {Place(night, 0): (3, "another")})) == 4


def test_a_folder_that_has_grown_is_read_again(tmp_path):
    (tmp_path / "b.avro").write_bytes(b"1")
    source = ArchiveSource(str(tmp_path))
    content = next(iter(source.read({}))).content
    (tmp_path / "a.avro").write_bytes(b"2")
    assert [data for _, data, _ in read(source, {Place(str(tmp_path), 0): (1, content)})] == [b"2", b"1"]


def test_only_the_nights_that_are_asked_for(night, tmp_path):
    other = write_tar(tmp_path / "ztf_public_20180602.tar.gz", {"a.avro": b"x"})
    (tmp_path / "loose").mkdir()
    (tmp_path / "loose" / "c.avro").write_bytes(b"y")
    (tmp_path / "ztf_public_20180603").mkdir()  # as `twostamp fetch` names it
    (tmp_path / "ztf_public_20180603" / "d.avro").write_bytes(b"z")
    assert ArchiveSource(str(tmp_path), ["20180603"]).sources == [
        str(tmp_path / "loose"),
        str(tmp_path / "ztf_public_20180603"),
    ]
    assert ArchiveSource(str(tmp_path), ["20180602"]).sources == [str(tmp_path / "loose"), other]
    with pytest.raises(ArchiveError, match="20190101"):
        ArchiveSource(night, ["20190101"])


def test_what_cannot_be_read_says_why_and_where(night, tmp_path):
    whole = tmp_path / "ztf_public_20180601.tar.gz"
    write_tar(tmp_path / "other_20180603.tar.gz", {"._1.avro": b"x", "1.avro": b"y"})
    whole.write_bytes(whole.read_bytes()[:-40])
    source = ArchiveSource(str(tmp_path))
    assert [fault for _, _, fault in read(source)][-1:] != ["it is hidden"]
    assert "it is hidden" in [fault for _, _, fault in read(source)]
    assert "is damaged" in source.damage[0]
