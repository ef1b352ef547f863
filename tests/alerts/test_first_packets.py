"""First packets of every object of a folder: paired across sources, by the rule of the extraction."""

import io
import logging
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.conftest import STAMP
from twostamp.alerts.archive import ArchiveError
from twostamp.alerts.first_packets import read_first_packets

Packet = Callable[..., bytes]


def candids(archive: Path, n_alerts: int = 2) -> dict[str, list[int]]:
    return {
        name: [p["candid"] for p in packets]
        for name, packets in read_first_packets(str(archive), n_alerts).objects.items()
    }


def write(folder: Path, packet: bytes, name: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.avro").write_bytes(packet)


def test_packets_are_paired_over_folders_and_tarballs_in_the_order_of_time(tmp_path: Path, make_packet: Packet) -> None:
    write(tmp_path / "b", make_packet("ZTF18b", 2, 2458003.5), "z")
    write(tmp_path / "a" / "deep", make_packet("ZTF18b", 7, 2458001.5), "y")
    write(tmp_path / "a", make_packet("ZTF18a", 5, 2458002.5), "x")
    with tarfile.open(tmp_path / "night.tar.gz", "w:gz") as tar:
        for candid, jd in ((8, 2458001.5), (9, 2458009.5)):
            entry, data = tarfile.TarInfo(f"{candid}.avro"), make_packet("ZTF18a", candid, jd)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    assert candids(tmp_path) == {"ZTF18a": [8, 5], "ZTF18b": [7, 2]}
    assert candids(tmp_path / "a" / "deep", 1) == {"ZTF18b": [7]}
    assert candids(tmp_path / "a" / "deep", 2) == {}


def test_an_exposure_counts_once_and_a_bad_stamp_not_at_all(tmp_path: Path, make_packet: Packet) -> None:
    write(tmp_path, make_packet("ZTF18a", 1, 2458001.5, stamps=(STAMP, None, STAMP)), "1")
    write(tmp_path, make_packet("ZTF18a", 2, 2458002.5), "2")
    write(tmp_path, make_packet("ZTF18a", 3, 2458002.5), "3")
    write(tmp_path, make_packet("ZTF18a", 4, 2458003.5, stamps=(b"none", STAMP, STAMP)), "4")
    write(tmp_path, make_packet("ZTF18a", 5, 2458004.5), "5")
    write(tmp_path, make_packet("ZTF18a", 6, 2458005.5), "6")
    write(tmp_path, make_packet("ZTF18b", 7, 2458005.5, stamps=(None,) * 3), "7")
    assert candids(tmp_path) == {"ZTF18a": [2, 5]}


def test_members_of_one_name_keep_the_packets_of_their_own_objects(tmp_path: Path, make_packet: Packet) -> None:
    fine: dict[str, Any] = {}
    unusable = {"stamps": (None,) * 3}
    members = [("a", 1, fine), ("b", 2, fine), ("b", 2, unusable), ("c", 3, unusable)]
    with tarfile.open(tmp_path / "nights.tar", "w") as tar:
        for name, candid, changed in members:
            entry, data = tarfile.TarInfo("part-0.avro"), make_packet(f"ZTF18{name}", candid, 2458001.5, **changed)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    read = read_first_packets(str(tmp_path), 1)
    found = {name: (packet["objectId"], packet["candid"]) for name, (packet,) in read.objects.items()}
    assert found == {"ZTF18a": ("ZTF18a", 1), "ZTF18b": ("ZTF18b", 2)}
    assert read.left_out["objectId"].tolist() == ["ZTF18c"]


def test_what_is_damaged_is_logged_and_left_out(
    tmp_path: Path, make_packet: Packet, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path, make_packet("ZTF18a", 1, 2458001.5), "a")
    write(tmp_path, make_packet("ZTF18a", 2, 2458002.5), "b")
    write(tmp_path, b"Obj", "c")
    (tmp_path / "night.tar").write_bytes(b"x" * 100)
    with caplog.at_level(logging.WARNING):
        assert candids(tmp_path) == {"ZTF18a": [1, 2]}
    assert "c.avro" in caplog.text
    assert "night.tar is damaged" in caplog.text
    left_out = read_first_packets(str(tmp_path)).left_out
    assert left_out["member"].tolist() == ["c.avro", ""]
    assert left_out["source"].str.contains("night.tar").tolist() == [False, True]
    assert left_out["reason"].str.len().min() > 10


def test_files_that_look_like_alerts_and_are_not_read_are_named(tmp_path: Path, make_packet: Packet) -> None:
    write(tmp_path, make_packet("ZTF18a", 1, 2458001.5), "1")
    (tmp_path / "._1.avro").write_bytes(b"AppleDouble")
    (tmp_path / "night.tar.zst").write_bytes(b"other")
    left_out = read_first_packets(str(tmp_path), 1).left_out
    assert left_out["source"].map(lambda name: Path(name).name).tolist() == ["._1.avro", "night.tar.zst"]
    assert left_out["reason"].str.len().min() > 10


def test_fewer_alerts_than_wanted_are_given_where_they_are_enough(tmp_path: Path, make_packet: Packet) -> None:
    write(tmp_path, make_packet("ZTF18a", 1, 2458001.5), "1")
    write(tmp_path, make_packet("ZTF18a", 2, 2458002.5), "2")
    write(tmp_path, make_packet("ZTF18b", 3, 2458002.5), "3")
    write(tmp_path, make_packet("ZTF18c", 4, 2458002.5, stamps=(STAMP, None, STAMP)), "4")
    read = read_first_packets(str(tmp_path), 2, fewest=1)
    assert {name: len(packets) for name, packets in read.objects.items()} == {"ZTF18a": 2, "ZTF18b": 1}
    assert read.left_out[["member", "objectId"]].to_numpy().tolist() == [["4.avro", "ZTF18c"]]


def test_nothing_to_read_is_said_and_no_whole_pair_gives_none(tmp_path: Path, make_packet: Packet) -> None:
    with pytest.raises(ArchiveError, match="holds no"):
        read_first_packets(str(tmp_path))
    write(tmp_path, b"Obj", "c")
    assert read_first_packets(str(tmp_path)).objects == {}


@pytest.mark.slow
def test_real_packets_are_paired_as_their_index_says(real_alerts: Path) -> None:
    if not (real_alerts / "pairs.csv").exists():
        pytest.skip("the real packets have no pairs.csv")
    pairs = pd.read_csv(real_alerts / "pairs.csv")
    expected = dict(zip(pairs["objectId"], pairs[["candid1", "candid2"]].to_numpy().tolist()))
    assert candids(real_alerts) == expected
