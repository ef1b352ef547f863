"""The two passes over one source: containers of many alerts, read once and in parts."""

import io
from pathlib import Path
from typing import Any

import fastavro
import pytest

from tests.conftest import STAMP, make_alert
from twostamp.alerts import archive, extraction_tasks, first_packets
from twostamp.alerts.archive import list_shares
from twostamp.alerts.extraction_tasks import KEY, open_source, scan_source
from twostamp.alerts.packet import read_schema

N = 40


@pytest.fixture
def container(tmp_path: Path) -> Path:
    """Alerts of twenty objects in blocks of two or so, one of which lacks a stamp and one a place."""
    alerts = [make_alert(f"ZTF18a{n % 20:02d}", n + 1, 2458000.5 + n) for n in range(N)]
    alerts[7] = make_alert("ZTF18a07", 8, 2458007.5, stamps=(STAMP, None, STAMP))
    alerts[30] = make_alert("ZTF18a10", 31, 2458030.5, ra=float("nan"))
    stream = io.BytesIO()
    fastavro.writer(stream, read_schema(), alerts, codec="deflate", sync_interval=30_000)
    path = tmp_path / "all.avro"
    path.write_bytes(stream.getvalue())
    return path


def winners_of(rows: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Every alert of a container, as if all had won."""
    alerts = [row for row in rows if row["kind"] == "alert"]
    return {alerts[0]["member"]: [{name: row[name] for name in ("record", *KEY)} for row in alerts]}


def count_calls(monkeypatch: pytest.MonkeyPatch, module: Any) -> list[int]:
    """Count how often a module decodes a container."""
    calls, read = [], module.read_packets

    def read_and_count(data: bytes, **options: Any) -> Any:
        calls.append(len(data))
        return read(data, **options)

    monkeypatch.setattr(module, "read_packets", read_and_count)
    return calls


def test_a_container_is_decoded_once_for_all_that_win(container: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = list(scan_source(str(container)))
    assert [row["record"] for row in rows if row["kind"] in ("alert", "bad")] == list(range(N))
    calls = count_calls(monkeypatch, extraction_tasks)
    opened = list(open_source(str(container), winners_of(rows), {"fid": "int64"}))
    assert len(opened) == N - 1
    assert [row["candid"] for row in opened if row.get("reason")] == [8]
    assert len(calls) == 1
    calls = count_calls(monkeypatch, first_packets)
    found = first_packets.read_first_packets(str(container), fewest=1)
    assert len(found.objects) == 20
    assert len(calls) <= 3  # one for every round: the alert without a stamp asks for another


def test_parts_of_a_large_container_give_what_the_whole_gives(container: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = list(scan_source(str(container)))
    opened = list(open_source(str(container), winners_of(whole), {"fid": "int64"}))
    monkeypatch.setattr(archive, "SHARE_BYTES", 40_000)
    shares = list_shares(str(container), container.stat().st_size)
    assert len(shares) > 5
    parts = [row for share in shares for row in scan_source(str(container), share)]
    kept = [[row for row in rows if row["kind"] in ("alert", "bad")] for rows in (whole, parts)]
    assert kept[0] == kept[1]
    assert sum(row["alerts"] for row in parts if row["kind"] == "night") == N - 1
    calls = count_calls(monkeypatch, extraction_tasks)
    assert list(open_source(str(container), winners_of(whole), {"fid": "int64"})) == opened
    assert max(calls) < container.stat().st_size / 2


@pytest.mark.parametrize("damage", ["cut", "flipped"])
def test_damage_of_a_large_container_costs_its_part(
    container: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    data = bytearray(container.read_bytes())
    monkeypatch.setattr(archive, "SHARE_BYTES", 40_000)
    shares = list_shares(str(container), len(data))
    if damage == "cut":
        del data[-3000:]
    else:
        data[data.find(data[-16:], len(data) // 2)] ^= 255  # a sync marker
    container.write_bytes(data)
    rows = [row for share in shares for row in scan_source(str(container), share)]
    bad = [row for row in rows if row["kind"] == "bad" and "record" not in row]
    assert len(bad) == 1
    read = [row["record"] for row in rows if "record" in row]
    assert len(set(read)) == len(read)
    assert sum(row["alerts"] for row in bad) + len(read) in (N, N - 1, N + 1)
    assert len(read) >= N - 6
