"""What a night's file promises to its readers."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from twostamp.stream import Night, NightError
from twostamp.stream.night import CLOCK, COLUMNS, FLAGS, create_tables, deflate, probability_columns

CLASSES = ("AGN", "SN")
META = {
    "classes": list(CLASSES),
    "model": {"name": "m", "version": "0"},
    "simulated": True,
    "keep_class": "SN",
    "keep_above": 0.1,
}


def write_answer(connection, object_id, revision, night="20180602", **values):
    """Insert a row of zeros, but for what is given."""
    row = dict.fromkeys(COLUMNS, 0) | dict.fromkeys(probability_columns(CLASSES))
    row |= {"object_id": object_id, "revision": revision, "night": night, "ranking": "SN,AGN", "conformal": None}
    row |= {"supersedes": revision - 1 or None, "n_alerts": revision, "candid_2": None, "model": "m"} | values
    names = ", ".join(f'"{name}"' for name in row)
    connection.execute(f"INSERT INTO answers ({names}) VALUES ({', '.join('?' * len(row))})", list(row.values()))


@pytest.fixture
def path(tmp_path, make_packet):
    """One object of two nights, one of an earlier night alone; the packets of the first are kept."""
    path = tmp_path / "tonight.sqlite"
    with sqlite3.connect(path) as connection:
        create_tables(connection, META)
        write_answer(connection, "ZTF18a", 1, "20180601", candid_1=1, p_SN=0.4)
        write_answer(connection, "ZTF18a", 2, candid_1=1, candid_2=2**62 + 1, p_SN=0.6, near_star=1)
        write_answer(connection, "ZTF18b", 1, "20180601", candid_1=3)
        for candid in (1, 2**62 + 1):
            packet = deflate(make_packet("ZTF18a", candid))
            connection.execute("INSERT INTO packets VALUES (?, 'ZTF18a', ?)", (candid, packet))
    connection.close()
    return path


def test_answers_are_all_revisions_of_a_nights_objects(path):
    night = Night(path)
    table = night.answers()
    assert (night.night, night.nights, night.classes) == ("20180602", ["20180601", "20180602"], CLASSES)
    assert table["object_id"].tolist() == ["ZTF18a"] * 2
    assert table["candid_2"].tolist()[1] == 2**62 + 1
    assert table["supersedes"].isna().tolist() == [True, False]
    assert table["has_packets"].all()
    assert table["near_star"].tolist() == [False, True]
    assert table["class"].tolist() == ["SN", "SN"]
    assert table["p_SN"].tolist() == [0.4, 0.6]
    assert table["night_SN"].isna().all()
    assert night.latest()["revision"].tolist() == [2]
    assert {*COLUMNS, *CLOCK, *FLAGS} <= set(table)
    assert Night(path, "20180601").latest()["object_id"].tolist() == ["ZTF18a", "ZTF18b"]


def test_a_candidates_packets_are_there_as_they_came(path, make_packet):
    night = Night(path)
    assert night.packet(1) == make_packet("ZTF18a", 1)
    assert night.alert(2**62 + 1)["candid"] == 2**62 + 1
    with pytest.raises(NightError, match="not kept"):
        night.packet(3)


def test_what_is_simulated_says_so(path):
    night = Night(path)
    assert night.simulated
    assert night.mark == "simulated survey"


def test_other_files_are_refused_in_one_sentence(path, tmp_path):
    (tmp_path / "other").write_text("no database, and longer than a header of SQLite is")
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE meta SET value = '9' WHERE name = 'format'")
    for file, said in ((tmp_path / "other", "no scored night"), (tmp_path / "none", "no scored"), (path, "format 9")):
        with pytest.raises(NightError, match=said):
            Night(file)


def test_a_night_is_read_where_nothing_can_be_written(path, monkeypatch):
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
    shared = Path(f"{path}-shm")
    shared.symlink_to(shared)  # nothing can be created there, not even by root
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert Night(path).latest()["revision"].tolist() == [2]
    Path(f"{path}-wal").write_bytes(b"a prediction that only the log has")
    with pytest.raises(NightError, match="no scored night"):
        Night(path)


def test_a_night_without_answers_is_refused(path):
    with pytest.raises(NightError, match="20190101"):
        _ = Night(path, "20190101").night
