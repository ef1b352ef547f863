"""The verdict store: nothing is lost or changed, files merge as sets do, undo is an event, clocks may lie."""

import shutil
import sqlite3
import tempfile
from contextlib import closing
from datetime import datetime
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twostamp.hunter import verdicts
from twostamp.hunter.verdicts import KINDS, UNDO, VERDICTS, VerdictError, VerdictStore, find_standing, list_comments

PEOPLE, OBJECTS = ("ana", "bo"), ("ZTF1", "ZTF2", "ZTF3")
ACTIONS = st.lists(st.tuples(st.sampled_from([*VERDICTS, UNDO]), st.sampled_from(OBJECTS)), max_size=6)


def act(store, actions):
    for verdict, name in actions:
        store.undo() if verdict == UNDO else store.add(name, verdict)


@pytest.fixture
def store(tmp_path):
    return VerdictStore(tmp_path / "verdicts.sqlite", "ana")


@given(ACTIONS, ACTIONS)
@settings(max_examples=12)
def test_a_merge_is_a_union_whatever_its_order_and_how_often(first, second):
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{person}.sqlite" for person in PEOPLE]
        stores = [VerdictStore(path, person) for path, person in zip(paths, PEOPLE)]
        for store, actions in zip(stores, (first, second)):
            act(store, actions)
        alone = [store.events() for store in stores]
        copies = [Path(shutil.copy(path, f"{path}.copy")) for path in paths]
        assert stores[0].merge(copies[1]) == len(alone[1])
        assert stores[1].merge(copies[0]) == len(alone[0])
        assert stores[0].merge(copies[1]) == stores[0].merge(paths[1]) == 0
        union = pd.concat(alone).sort_values(["time", "uuid"], ignore_index=True)
        for store in stores:
            pd.testing.assert_frame_equal(store.events(), union, check_dtype=False)
        pd.testing.assert_frame_equal(*(find_standing(store.events()) for store in stores))


@given(ACTIONS)
@settings(max_examples=12)
def test_undo_goes_back_step_by_step_and_forgets_nothing(actions):
    with tempfile.TemporaryDirectory() as folder:
        store = VerdictStore(Path(folder) / "verdicts.sqlite", "ana")
        states, expected = [find_standing(store.events())], 0
        for verdict, name in actions:
            if verdict != UNDO:
                store.add(name, verdict)
                states.append(find_standing(store.events()))
                expected += 1
            elif len(states) > 1:
                assert store.undo() is not None
                states.pop()
                expected += 1
            else:
                assert store.undo() is None
            pd.testing.assert_frame_equal(find_standing(store.events()), states[-1])
        assert len(store.events()) == expected


def test_an_event_holds_what_was_seen_and_what_it_replaces(store):
    first = store.add("ZTF1", "unsure", candids=[10**17 + 1, 10**17 + 2], scores={"SN": 0.25}, model="abc", seconds=2.5)
    store.add("ZTF1", "bogus", kind="dipole", comment=" odd ", simulated=True)
    before, after = store.events().itertuples()
    assert (before.candids, before.scores, before.model) == (f"[{10**17 + 1}, {10**17 + 2}]", '{"SN": 0.25}', "abc")
    assert (before.uuid, before.supersedes, after.supersedes) == (first, "", first)
    assert (after.kind, after.comment, after.scores, after.simulated) == ("dipole", "odd", "", True)
    assert before.time < after.time
    assert datetime.fromisoformat(after.time).utcoffset().total_seconds() == 0


def test_a_second_time_stands_beside_the_first(store):
    store.add("ZTF1", "SN")
    store.add("ZTF1", "bogus", repeated=True)
    events = store.events()
    assert find_standing(events)["verdict"].tolist() == ["SN"]
    assert find_standing(events, repeated=True)["verdict"].tolist() == ["bogus"]
    assert events["supersedes"].tolist() == ["", ""]


def test_comments_are_joined_and_can_be_undone(store):
    store.add("ZTF1", "comment", comment="a host")
    store.add("ZTF1", "SN", comment="blue")
    store.add("ZTF1", "comment", comment="wrong")
    assert store.undo()["comment"] == "wrong"
    assert list_comments(store.events()).to_dict() == {"ZTF1": "ana: a host; ana: blue"}
    assert find_standing(store.events())["verdict"].tolist() == ["SN"]


def test_people_undo_their_own_only(store):
    other = VerdictStore(store.path, "bo")
    other.add("ZTF1", "SN")
    assert store.undo() is None
    assert other.undo()["object_id"] == "ZTF1"


@pytest.mark.parametrize(
    ("verdict", "options"),
    [("nova", {}), ("SN", {"kind": "dipole"}), ("bogus", {"kind": "ghost"}), ("comment", {"comment": " "})],
)
def test_what_is_no_verdict_is_refused(store, verdict, options):
    with pytest.raises(VerdictError):
        store.add("ZTF1", verdict, **options)
    assert store.events().empty
    assert len(KINDS) == 6


def test_events_cannot_be_changed_or_deleted(store):
    store.add("ZTF1", "SN")
    with sqlite3.connect(store.path) as connection:
        for statement in ("UPDATE events SET verdict = 'bogus'", "DELETE FROM events"):
            with pytest.raises(sqlite3.IntegrityError, match="only added"):
                connection.execute(statement)


def test_a_clock_that_goes_back_does_not_change_the_order(store, monkeypatch):
    store.add("ZTF1", "SN")

    class Past(datetime):
        @classmethod
        def now(cls, zone=None):
            return datetime(2001, 1, 1, tzinfo=zone)

    monkeypatch.setattr(verdicts, "datetime", Past)
    store.add("ZTF1", "bogus")
    assert find_standing(store.events())["verdict"].tolist() == ["bogus"]


def test_a_file_that_was_changed_by_hand_is_not_merged(store, tmp_path):
    store.add("ZTF1", "SN")
    copy = Path(shutil.copy(store.path, tmp_path / "copy.sqlite"))
    with sqlite3.connect(copy) as connection:
        connection.execute("DROP TRIGGER no_update")
        connection.execute("UPDATE events SET verdict = 'bogus'")
    with pytest.raises(VerdictError, match="changed by hand"):
        store.merge(copy)
    with pytest.raises(VerdictError, match="there is no file"):
        store.merge(tmp_path / "absent.sqlite")


def test_a_file_of_another_kind_is_refused_and_stays_as_it_is(store, tmp_path):
    (tmp_path / "text").write_text("no database, but a text that is long enough to be read as one")
    (tmp_path / "empty").touch()
    with closing(sqlite3.connect(tmp_path / "night")) as connection:
        connection.execute("CREATE TABLE answers (object_id TEXT)")
    for name in ("text", "empty", "night"):
        before = (tmp_path / name).read_bytes()
        with pytest.raises(VerdictError, match="no file of verdicts"):
            store.merge(tmp_path / name)
        assert (tmp_path / name).read_bytes() == before
