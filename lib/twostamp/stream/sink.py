"""Output of the stream: one SQLite file; a transaction writes predictions, states of objects and next offsets.

A process that dies leaves the file as it was between two batches, and the next one resumes from there. The file also
holds the counts: `Sink.check_account` reports where they do not balance.
"""

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path
from secrets import token_hex
from typing import Any

from twostamp.stream.night import COLUMNS, FORMAT, create_tables, deflate, inflate, probability_columns
from twostamp.stream.payloads import Extent, Payload, Place, name_payload
from twostamp.stream.scorer import (
    DUPLICATE,
    FIRST,
    KINDS,
    QUARANTINED,
    READ,
    SECOND,
    Alert,
    Known,
    Quarantined,
    Scored,
    Seen,
)
from twostamp.utils.files import write_file

_TABLES = (
    "CREATE TABLE alerts (object_id TEXT, k INTEGER, candid INTEGER, jd REAL, PRIMARY KEY (object_id, k))",
    "CREATE TABLE seen (candid INTEGER PRIMARY KEY, jd REAL NOT NULL)",
    "CREATE TABLE places (topic TEXT, partition INTEGER, content TEXT, first INTEGER, next INTEGER, high INTEGER, "
    "before INTEGER, messages INTEGER, lost INTEGER, skipped INTEGER, PRIMARY KEY (topic, partition))",
    "CREATE TABLE counts (name TEXT PRIMARY KEY, n INTEGER NOT NULL)",
    "CREATE TABLE quarantine (topic TEXT, partition INTEGER, offset INTEGER, record INTEGER, candid INTEGER, "
    "reason TEXT, alerts INTEGER, file TEXT)",
    "CREATE UNIQUE INDEX bad ON quarantine (topic, partition, COALESCE(candid, file), record, reason)",
)
_PLACE = "topic, partition, content, first, next, high, before, messages, lost, skipped"
_PAYLOADS, FORGOTTEN = "payloads", "objects forgotten"
_PASSED, UNREAD, _MESSAGES, LOST, _SKIPPED = _OFFSETS = (
    "offsets passed", "unread", "messages", "lost to retention", "offsets without a message"
)  # fmt: skip
_PIECE = 900  # values of a query


class SinkError(RuntimeError):
    """The file cannot be written, or has another purpose; the message is one sentence."""


class Sink:
    """File of predictions; created if there is none.

    Parameters
    ----------
    path : Path
        SQLite file; the folder ``quarantine`` is created next to it.
    meta : dict
        As for `twostamp.stream.night.create_tables`, without ``simulated``, which comes from the alerts. A file of
        other classes is refused, and so are alerts that would mix simulated with real ones.
    timeout : float
        Seconds to wait while another process writes.

    Raises
    ------
    SinkError
    """

    def __init__(self, path: Path, meta: Mapping[str, Any], timeout: float = 30.0) -> None:
        self.path, self.meta = path, dict(meta)
        self.quarantine = path.parent / "quarantine"
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._explaining():
            self._connection = sqlite3.connect(path, timeout=timeout, isolation_level=None)
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=NORMAL")
        with self.transaction():
            if not self._fetch("SELECT 1 FROM sqlite_master WHERE name = 'meta'"):
                create_tables(self._connection, {**self.meta, "simulated": None})
                for statement in _TABLES:
                    self._connection.execute(statement)
            self._check_meta()

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Run a block completely or not at all, with no other writer in between."""
        with self._explaining():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    @contextmanager
    def _explaining(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            said = str(error)
            why = "another process writes to it" if "locked" in said else said
            raise SinkError(f"{self.path}: {why}; earlier predictions are stored, and the next call resumes") from error

    def _fetch(self, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        return self._connection.execute(query, values).fetchall()

    def _check_meta(self) -> None:
        there = {name: json.loads(value) for name, value in self._fetch("SELECT name, value FROM meta")}
        if there["format"] != FORMAT:
            raise SinkError(f"{self.path} is of format {there['format']}, and this version writes {FORMAT}")
        for name in ("classes", "keep_class"):
            if there[name] != self.meta[name]:
                raise SinkError(f"{self.path} has {name} = {there[name]}, not {self.meta[name]}: choose another file")
        self.meta = {"id": token_hex(8)} | there | self.meta
        for name in ("id", "model", "keep_above"):
            self.set_meta(name, self.meta[name])

    def set_meta(self, name: str, value: Any) -> None:
        """Set a value of the table ``meta``, within a `transaction`."""
        self._connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, json.dumps(value)))
        self.meta[name] = value

    def _check_origin(self, simulated: bool) -> None:
        """Refuse to mix simulated and real alerts in one file."""
        if self.meta["simulated"] is None:
            self.set_meta("simulated", simulated)
        if self.meta["simulated"] != simulated:
            held, come = ("simulated", "real")[:: 1 if self.meta["simulated"] else -1]
            raise SinkError(f"{self.path} has answers to {held} alerts, and these are {come}: choose another file")

    def progress(self) -> dict[Place, tuple[int, str]]:
        """Return the next offset of each place, and its content."""
        rows = self._fetch("SELECT topic, partition, next, content FROM places")
        return {Place(topic, partition): (following, content) for topic, partition, following, content in rows}

    def look_up(self, alerts: Sequence[Alert]) -> tuple[dict[str, Known], set[int]]:
        """Read the states of the objects of some alerts, and which of the alerts are known."""
        names = sorted({alert.key.objectId for alert in alerts})
        seen = {row[0] for row in self._select("SELECT candid FROM seen", "candid", [a.key.candid for a in alerts])}
        firsts: dict[str, list[tuple[Seen, bytes]]] = {}
        query = "SELECT object_id, jd, a.candid, data FROM alerts a JOIN packets p USING (candid, object_id)"
        for name, jd, candid, data in self._select(query, "object_id", names, "ORDER BY object_id, k"):
            firsts.setdefault(name, []).append((Seen(jd, candid), data))
        revised = self._select("SELECT object_id, MAX(revision) FROM answers", "object_id", names, "GROUP BY object_id")
        known = {}
        for name, revision in revised:
            found = firsts.get(name, [])
            packets = {each.candid: inflate(data) for each, data in found}
            known[name] = Known(tuple(each for each, _ in found), packets, revision)
        return known, seen

    def _select(self, query: str, column: str, values: Sequence[Any], rest: str = "") -> Iterator[tuple[Any, ...]]:
        for start in range(0, len(values), _PIECE):
            piece = values[start : start + _PIECE]
            yield from self._fetch(f"{query} WHERE {column} IN ({', '.join('?' * len(piece))}) {rest}", piece)

    def advance(self, items: Iterable[Payload | Extent]) -> list[Payload]:
        """Advance the offsets of places, within a `transaction`.

        Returns
        -------
        list of Payload
            Payloads that no earlier transaction had.
        """
        places = {Place(*row[:2]): _Progress(*row[2:]) for row in self._fetch(f"SELECT {_PLACE} FROM places")}
        fresh = []
        for item in items:
            if isinstance(item, Extent):
                places.setdefault(item.place, _Progress(item.content, item.low, item.low)).extend(item)
            elif places[item.place].take(item.offset):
                fresh.append(item)
        rows = [(*place, *astuple(progress)) for place, progress in places.items()]
        self._connection.executemany(f"INSERT OR REPLACE INTO places ({_PLACE}) VALUES ({_marks(10)})", rows)
        self._count({_PAYLOADS: len(fresh)})
        return fresh

    def write(self, scored: Scored) -> None:
        """Write the result of a batch, within the `transaction` that advanced its offsets."""
        for simulated in scored.origins:
            self._check_origin(simulated)
        columns = (*COLUMNS, *probability_columns(tuple(self.meta["classes"])))
        names = ", ".join(f'"{name}"' for name in columns)
        answers = [tuple(row.get(name) for name in columns) for row in scored.answers]
        run = self._connection.executemany
        run(f"INSERT INTO answers ({names}) VALUES ({_marks(len(columns))})", answers)
        run("DELETE FROM alerts WHERE object_id = ?", [(name,) for name in scored.states])
        states = [(name, state) for name, state in scored.states.items()]
        firsts = [(name, k, *each) for name, state in states for k, each in enumerate(state.alerts, start=1)]
        run("INSERT INTO alerts (object_id, k, jd, candid) VALUES (?, ?, ?, ?)", firsts)
        packets = [(candid, name, deflate(data)) for candid, name, data in scored.packets]
        run("INSERT OR REPLACE INTO packets VALUES (?, ?, ?)", packets)
        run("INSERT OR IGNORE INTO seen (jd, candid) VALUES (?, ?)", scored.seen)
        known = sum(bad.alerts for bad in scored.quarantined if not self._quarantine(bad))
        self._count(scored.counts + Counter({DUPLICATE: known}) - Counter({QUARANTINED: known}))

    def _quarantine(self, bad: Quarantined) -> bool:
        """Store a payload and the reason; return whether it is new, and not read again at another offset."""
        payload, file = bad.payload, name_payload(bad.payload)
        row = (*payload.place, payload.offset, bad.record, bad.candid, bad.reason, bad.alerts, file)
        done = self._connection.execute(f"INSERT OR IGNORE INTO quarantine VALUES ({_marks(8)})", row)
        if done.rowcount:
            write_file(self.quarantine / file, payload.data)
        return bool(done.rowcount)

    def _count(self, counts: Mapping[str, int]) -> None:
        query = "INSERT INTO counts VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET n = n + excluded.n"
        self._connection.executemany(query, counts.items())

    def forget(self, jd: float) -> int:
        """Forget objects whose first two alerts are before a Julian date; packets of candidates and candids stay.

        Returns
        -------
        int
            Number of forgotten objects.
        """
        old = "SELECT object_id FROM alerts GROUP BY object_id HAVING MAX(jd) < ?"
        candidates = f'SELECT object_id FROM answers WHERE "p_{self.meta["keep_class"]}" >= ?'
        with self.transaction():
            names = self._fetch(old, (jd,))
            run = self._connection.executemany
            run(f"DELETE FROM packets WHERE object_id = ? AND object_id NOT IN ({candidates})",
                [(name, self.meta["keep_above"]) for name, in names])  # fmt: skip
            run("DELETE FROM alerts WHERE object_id = ?", names)
            self._count({FORGOTTEN: len(names)})
        return len(names)

    def account(self) -> dict[str, int]:
        """Return alerts by outcome and messages by place, summed over the life of the file."""
        counts = dict.fromkeys((*KINDS, _PAYLOADS, FORGOTTEN), 0) | dict(self._fetch("SELECT name, n FROM counts"))
        query = (
            "SELECT SUM(before + next - first), SUM(high - next), SUM(messages), SUM(lost), SUM(skipped) FROM places"
        )
        return counts | {name: n or 0 for name, n in zip(_OFFSETS, self._fetch(query)[0], strict=True)}

    def answers_after(self, number: int, most: int) -> list[tuple[int, dict[str, Any]]]:
        """Yield predictions after a number in the order in which they were written, each with its number."""
        query = "SELECT rowid, * FROM answers WHERE rowid > ? ORDER BY rowid LIMIT ?"
        cursor = self._connection.execute(query, (number, most))
        names = [column[0] for column in cursor.description][1:]
        return [(row[0], dict(zip(names, row[1:], strict=True))) for row in cursor]

    def count_nights(self) -> dict[str, int]:
        """Count predictions by night."""
        return dict(self._fetch("SELECT night, COUNT(*) FROM answers GROUP BY night"))

    def reasons(self) -> dict[str, int]:
        """Count quarantined alerts by reason, the most frequent first."""
        query = "SELECT reason, SUM(alerts) FROM quarantine GROUP BY reason ORDER BY 2 DESC, 1"
        return dict(self._fetch(query))

    def check_account(self) -> list[str]:
        """List where the counts do not balance, one sentence each; empty if all balance."""
        n = self.account()
        parts = sum(n[kind] for kind in KINDS if kind != READ)
        passed = n[_MESSAGES] + n[LOST] + n[_SKIPPED]
        answers, quarantined = (self._fetch(query)[0][0] for query in (
            "SELECT COUNT(*) FROM answers", "SELECT COALESCE(SUM(alerts), 0) FROM quarantine"))  # fmt: skip
        pairs = [
            ("alerts read, and the sum of what became of them", n[READ], parts),
            ("answers, and first and second alerts", answers, n[FIRST] + n[SECOND]),
            ("alerts in the quarantine, and those counted", quarantined, n[QUARANTINED]),
            ("payloads, and messages", n[_PAYLOADS], n[_MESSAGES]),
            ("offsets passed, and what was at them", n[_PASSED], passed),
        ]
        return [f"the books: {what}: {one} against {other}" for what, one, other in pairs if one != other]


@dataclass
class _Progress:
    """Progress of a place: offsets from `first` up to, but not including, `next`, and `before` of earlier contents."""

    content: str
    first: int
    next: int
    high: int = 0
    before: int = 0
    messages: int = 0
    lost: int = 0
    skipped: int = 0

    def extend(self, extent: Extent) -> None:
        if extent.content != self.content:
            self.before += self.next - self.first
            self.content, self.first, self.next, self.high = extent.content, extent.low, extent.low, 0
        self.lost += max(extent.low - self.next, 0)
        self.next = max(self.next, extent.low)
        self.skipped += max(extent.reached - self.next, 0)
        self.next = max(self.next, extent.reached)
        self.high = max(self.high, extent.high, self.next)

    def take(self, offset: int) -> bool:
        """Return whether the message at an offset is new; if so, advance."""
        if offset < self.next:
            return False
        self.skipped += offset - self.next
        self.messages += 1
        self.next = offset + 1
        self.high = max(self.high, self.next)
        return True


def _marks(n: int) -> str:
    return ", ".join("?" * n)
