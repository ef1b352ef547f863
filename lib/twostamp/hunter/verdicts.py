"""Verdicts of people on candidates: events in one SQLite file, which are only ever added."""

import getpass
import json
import sqlite3
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import astuple, dataclass, fields
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd

VERDICTS = ("SN", "bogus", "not SN", "unsure")
KINDS = ("dipole", "cosmic ray", "spike", "bad column", "hot pixel", "cold pixel")
"""Kinds of bogus, keys 1 to 6."""
COMMENT, UNDO = "comment", "undo"

_TYPES: dict[object, str] = {float: "REAL", bool: "INTEGER"}
_BUSY_SECONDS = 30.0


class VerdictError(ValueError):
    """An invalid verdict, or an unusable file of verdicts; the message is one sentence."""


@dataclass(frozen=True)
class Event:
    """One action of one person.

    Attributes
    ----------
    uuid, time : str
        The time is UTC, ISO 8601 to the microsecond, and later than that of the person's previous event.
    person, object_id : str
    candids : str
        Candids of the alerts shown, the earlier first; JSON.
    scores : str
        Probabilities shown, JSON; empty if they were hidden.
    model : str
        Hash of the model.
    verdict : str
        One of `VERDICTS`, ``comment`` or ``undo``.
    kind : str
        Kind of a bogus: one of `KINDS`, or empty.
    comment : str
    seconds : float
        Time from showing the candidate to the verdict.
    supersedes : str
        Event that this one replaces or undoes.
    repeated : bool
        The candidate was shown a second time, to check whether the person repeats her verdict.
    simulated : bool
        The alerts are simulated.
    """

    uuid: str
    time: str
    person: str
    object_id: str
    candids: str
    scores: str
    model: str
    verdict: str
    kind: str = ""
    comment: str = ""
    seconds: float = 0.0
    supersedes: str = ""
    repeated: bool = False
    simulated: bool = False


_COLUMNS = [field.name for field in fields(Event)]
_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS events (
  {", ".join(f"{field.name} {_TYPES.get(field.type, 'TEXT')} NOT NULL" for field in fields(Event))},  PRIMARY KEY (uuid)
);
CREATE TRIGGER IF NOT EXISTS no_update BEFORE UPDATE ON events BEGIN SELECT RAISE(ABORT, 'events are only added'); END;
CREATE TRIGGER IF NOT EXISTS no_delete BEFORE DELETE ON events BEGIN SELECT RAISE(ABORT, 'events are only added'); END;
"""
_INSERT = f"INSERT INTO events VALUES ({', '.join('?' * len(_COLUMNS))})"


class VerdictStore:
    """File of events; several processes may write to it, and a copy made between two verdicts is complete.

    Parameters
    ----------
    path : Path
        SQLite file; created if missing.
    person : str
        Name of the person; by default the user of the computer.

    Raises
    ------
    VerdictError
        The file is no SQLite file.
    """

    def __init__(self, path: Path, person: str = "") -> None:
        self.path, self.person = Path(path), person or getpass.getuser()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with self._connect() as connection:
                connection.executescript(_SCHEMA)
        except sqlite3.DatabaseError as error:
            raise VerdictError(f"{path} is no file of verdicts: {error}") from None

    @contextmanager
    def _connect(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self.path, timeout=_BUSY_SECONDS)) as connection, connection:
            yield connection

    def events(self, object_id: str = "") -> pd.DataFrame:
        """Read all events of all people, or those on one object, in order of time; columns as in `Event`."""
        with self._connect() as connection:
            return _read_events(connection, object_id)

    def add(
        self,
        object_id: str,
        verdict: str,
        *,
        candids: Sequence[int] = (),
        scores: Mapping[str, float] | None = None,
        model: str = "",
        kind: str = "",
        comment: str = "",
        seconds: float = 0.0,
        repeated: bool = False,
        simulated: bool = False,
    ) -> str:
        """Add a verdict or a comment, and return its uuid; see `Event`.

        Raises
        ------
        VerdictError
            The verdict or kind does not exist, a kind is given for a verdict other than bogus, or a comment is empty.
        """
        if verdict not in (*VERDICTS, COMMENT):
            raise VerdictError(f"no verdict is called {verdict!r}; there are {', '.join(VERDICTS)}")
        if kind and (verdict != "bogus" or kind not in KINDS):
            raise VerdictError(f"{kind!r} is no kind of {verdict}; those of a bogus are {', '.join(KINDS)}")
        if verdict == COMMENT and not comment.strip():
            raise VerdictError("the comment is empty")
        before = find_standing(self.events(object_id), repeated=repeated)
        before = before[before["person"] == self.person]
        replaced = "" if verdict == COMMENT or before.empty else str(before["uuid"].iloc[-1])
        shown = "" if scores is None else json.dumps({name: float(value) for name, value in scores.items()})
        named = {"object_id": object_id, "candids": json.dumps([int(candid) for candid in candids]), "scores": shown}
        named |= {"model": model, "verdict": verdict, "kind": kind, "comment": comment.strip(), "supersedes": replaced}
        return self._append(**named, seconds=float(seconds), repeated=repeated, simulated=simulated)

    def undo(self) -> pd.Series | None:
        """Undo this person's latest event that is not undone yet, by an event; None if none is left."""
        events = _drop_undone(self.events())
        mine = events[events["person"] == self.person]
        if mine.empty:
            return None
        last = mine.iloc[-1]
        kept = {name: last[name] for name in ("object_id", "candids", "scores", "model")}
        flags = {name: bool(last[name]) for name in ("repeated", "simulated")}
        self._append(**kept, **flags, verdict=UNDO, supersedes=last["uuid"])
        return last

    def merge(self, other: Path) -> int:
        """Add the events of another file that this one lacks, and return their number; the other is only read.

        Raises
        ------
        VerdictError
            The other is no file of verdicts, or has a different version of an event.
        """
        if not Path(other).is_file():
            raise VerdictError(f"there is no file {other}")
        ours = self.events().set_index("uuid", drop=False)
        try:
            address = f"{Path(other).resolve().as_uri()}?mode=ro"
            with closing(sqlite3.connect(address, uri=True, timeout=_BUSY_SECONDS)) as connection:
                theirs = _read_events(connection).set_index("uuid", drop=False)
        except sqlite3.DatabaseError as error:
            raise VerdictError(f"{other} is no file of verdicts: {error}") from None
        common = theirs.index.intersection(ours.index)
        if not theirs.loc[common].equals(ours.loc[common]):
            raise VerdictError(f"{other} has an event that differs from {self.path}: one of them was changed by hand")
        new = theirs.drop(common)
        with self._connect() as connection:
            connection.executemany(_INSERT, new.to_numpy().tolist())
        return len(new)

    def _append(self, **values: object) -> str:
        with self._connect() as connection:
            connection.execute("BEGIN IMMEDIATE")  # no other process may use the same time
            mine = "SELECT max(time) FROM events WHERE person = ?"
            (last,) = connection.execute(mine, (self.person,)).fetchone()
            now = datetime.now(UTC)
            if last and now <= (before := datetime.fromisoformat(last)):  # the clock was set back, or is coarse
                now = before + timedelta(microseconds=1)
            event = Event(
                uuid=str(uuid.uuid4()),
                time=now.isoformat(timespec="microseconds"),
                person=self.person,
                **values,  # type: ignore[arg-type]
            )
            connection.execute(_INSERT, astuple(event))
        return event.uuid


def find_standing(events: pd.DataFrame, *, repeated: bool = False) -> pd.DataFrame:
    """Find the valid verdicts: the latest of each person on each object that is not undone, in order of time.

    Parameters
    ----------
    events : DataFrame
        Table from `VerdictStore.events`.
    repeated : bool
        Return the verdicts on repeats instead of those on first showings.
    """
    kept = _drop_undone(events)
    kept = kept[(kept["verdict"] != COMMENT) & (kept["repeated"] == repeated)]
    return kept.drop_duplicates(["person", "object_id"], keep="last")


def list_comments(events: pd.DataFrame) -> pd.Series:
    """Join the comments on each object, including those with a verdict; index object_id."""
    kept = _drop_undone(events)
    kept = kept[kept["comment"] != ""]
    return (kept["person"] + ": " + kept["comment"]).groupby(kept["object_id"]).agg("; ".join)


def _read_events(connection: sqlite3.Connection, object_id: str = "") -> pd.DataFrame:
    query = f"SELECT {', '.join(_COLUMNS)} FROM events WHERE ? IN ('', object_id) ORDER BY time, uuid"
    rows = connection.execute(query, (object_id,)).fetchall()
    return pd.DataFrame(rows, columns=_COLUMNS).astype({"repeated": bool, "simulated": bool, "seconds": float})


def _drop_undone(events: pd.DataFrame) -> pd.DataFrame:
    undoing = events["verdict"] == UNDO
    return events[~undoing & ~events["uuid"].isin(events.loc[undoing, "supersedes"])]
