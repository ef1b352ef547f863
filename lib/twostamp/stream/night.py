"""Predictions of a night in one SQLite file: a fixed format for its readers (hunter, notebooks, SQL).

`Night` reads files of `FORMAT`:

- **answers**: one row per prediction, never changed or deleted. An object's first alert gives revision 1. Its second
  gives revision 2, whose ``supersedes`` names the revision that it replaces. An earlier alert that arrives late makes
  one more.
- **packets**: the payloads of every object's first two alerts as received, compressed, until the object is forgotten.
  Payloads of candidates stay: objects with a prediction of ``keep_above`` or more for ``keep_class``.
- **meta**: name -> JSON (classes, model, simulated, keep_class, keep_above; a random id of the file; by night, the
  state of the last export).

The columns of **answers** are `COLUMNS`, then ``p_<class>`` and ``night_<class>`` for each class. The first is the
model's probability. The second is tempered and corrected to the class mix of a night, or null if the model's folder has
no calibration. ``ranking`` and ``conformal`` are class names separated by commas, the most probable first.
``conformal`` is empty if the model cannot tell, and null without a calibration. A flag of `FLAGS` is 0 or 1 and removes
nothing.

``received`` and ``scored`` are Unix seconds; the first is when the alert reached this machine. All other columns depend
only on the alerts, their order and the model. The scoring process writes (`twostamp.stream.sink`). Readers open the
file read-only, also while it is written (WAL) and in a folder that they cannot write.
"""

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
from isal import isal_zlib

from twostamp.alerts.packet import find_candid, read_packets

FORMAT = 1
FLAGS = ("first_unseen", "solar_system_match", "near_star", "negative_difference")
"""``first_unseen``: the packet lists earlier detections that never arrived here, so the prediction does not use the
first two alerts. The other three flags describe the latest alert. ``solar_system_match``: ``ssdistnr`` is given;
``near_star``: a star (sgscore1 > 0.5) within 1 arcsec; ``negative_difference``: science minus template is negative."""
COLUMNS: dict[str, str] = {
    "object_id": "TEXT NOT NULL",
    "revision": "INTEGER NOT NULL",
    "supersedes": "INTEGER",
    "n_alerts": "INTEGER NOT NULL",
    "candid_1": "INTEGER NOT NULL",
    "candid_2": "INTEGER",
    "jd_1": "REAL NOT NULL",
    "jd": "REAL NOT NULL",
    "deltajd": "REAL",
    "night": "TEXT NOT NULL",
    "ra": "REAL NOT NULL",
    "dec": "REAL NOT NULL",
    "fid": "INTEGER",
    "magpsf": "REAL",
    **dict.fromkeys(FLAGS, "INTEGER NOT NULL"),
    "ranking": "TEXT NOT NULL",
    "conformal": "TEXT",
    "model": "TEXT NOT NULL",
    "model_version": "TEXT NOT NULL",
    "received": "REAL NOT NULL",
    "scored": "REAL NOT NULL",
}
"""Columns of ``answers`` before the probabilities. Those of jd (days), position (degrees), filter and magnitude
describe the latest alert. The night is its UTC date YYYYMMDD; deltajd is in days."""
_WHOLE = ("supersedes", "candid_2", "fid")  # integers that may be null; a candid is too long for a float
CLOCK = ("received", "scored")
"""Columns that differ when the same alerts are scored again."""


class NightError(ValueError):
    """A file without a night, a night without predictions, or a packet that was not kept; one sentence."""


def probability_columns(classes: tuple[str, ...]) -> tuple[str, ...]:
    """Name the columns of the probabilities, from the model and corrected to a night's mix."""
    return (*(f"p_{name}" for name in classes), *(f"night_{name}" for name in classes))


def create_tables(connection: sqlite3.Connection, meta: dict[str, Any]) -> None:
    """Create the tables of this format in an empty file.

    Parameters
    ----------
    connection : sqlite3.Connection
    meta : dict
        classes (list of str), model (name and version), simulated (bool, None before the first alert), keep_class (str)
        and keep_above (float).
    """
    columns = [f'"{name}" {kind}' for name, kind in COLUMNS.items()]
    columns += [f'"{name}" REAL' for name in probability_columns(tuple(meta["classes"]))]
    connection.execute(f"CREATE TABLE answers ({', '.join(columns)}, PRIMARY KEY (object_id, revision))")
    connection.execute("CREATE INDEX answers_by_night ON answers (night)")
    connection.execute("CREATE TABLE packets (candid INTEGER PRIMARY KEY, object_id TEXT NOT NULL, data BLOB NOT NULL)")
    connection.execute("CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL)")
    rows = [(name, json.dumps(value)) for name, value in ({"format": FORMAT} | meta).items()]
    connection.executemany("INSERT INTO meta VALUES (?, ?)", rows)


def deflate(payload: bytes) -> bytes:
    """Compress a payload for the table ``packets``; any zlib decompresses it."""
    return isal_zlib.compress(payload, 1)


def inflate(data: bytes) -> bytes:
    """Decompress a payload of `deflate`."""
    return isal_zlib.decompress(data)


class Night:
    """Reads the predictions of a night.

    Parameters
    ----------
    path : Path or str
        SQLite file of ``twostamp tonight``.
    night : str, optional
        UTC date YYYYMMDD; by default the latest with a prediction.

    Raises
    ------
    NightError
        The file does not exist, has another purpose, or has the format of another version.
    """

    def __init__(self, path: Path | str, night: str = "") -> None:
        self.path = Path(path)
        try:
            with self._open() as connection:
                rows = connection.execute("SELECT name, value FROM meta").fetchall()
        except sqlite3.Error as error:
            raise NightError(f"{path} holds no scored night: {error}") from None
        self.meta: dict[str, Any] = {name: json.loads(value) for name, value in rows}
        if self.meta.get("format") != FORMAT:
            raise NightError(f"{path} is of format {self.meta.get('format')}, and this version reads {FORMAT}")
        self.classes: tuple[str, ...] = tuple(self.meta["classes"])
        self.simulated = bool(self.meta["simulated"])
        self._night = night

    @property
    def mark(self) -> str:
        """Return the mark for everything from this file: ``simulated survey``, or nothing."""
        return "simulated survey" if self.simulated else ""

    @property
    def nights(self) -> list[str]:
        """Return the nights with predictions, in order."""
        with self._open() as connection:
            return [night for (night,) in connection.execute("SELECT DISTINCT night FROM answers ORDER BY night")]

    @cached_property
    def night(self) -> str:
        """Return the night that is read."""
        nights = self.nights
        if not nights or (self._night and self._night not in nights):
            raise NightError(f"{self.path} has no answers of {self._night or 'any night'}")
        return self._night or nights[-1]

    def answers(self) -> pd.DataFrame:
        """Read all revisions of the objects with a prediction in this night, by object and revision.

        Returns
        -------
        DataFrame
            `COLUMNS` and the probabilities, flags as bool, ``class`` (the first of the ranking) and ``has_packets``
            (the packets of all alerts of the prediction are kept).
        """
        kept = (
            "EXISTS (SELECT 1 FROM packets WHERE candid = candid_1) AND "
            "(candid_2 IS NULL OR EXISTS (SELECT 1 FROM packets WHERE candid = candid_2)) AS has_packets"
        )
        query = (
            f"SELECT *, {kept} FROM answers WHERE object_id IN (SELECT object_id FROM answers WHERE night = ?) "
            "ORDER BY object_id, revision"
        )
        with self._open() as connection:
            cursor = connection.execute(query, (self.night,))
            names, rows = [column[0] for column in cursor.description], cursor.fetchall()
        columns = dict(zip(names, zip(*rows)))
        table = pd.DataFrame(
            {name: pd.array(values, "Int64") if name in _WHOLE else values for name, values in columns.items()}
        )
        table = table.astype(dict.fromkeys(("magpsf", "deltajd", *probability_columns(self.classes)), float))
        table = table.astype(dict.fromkeys((*FLAGS, "has_packets"), bool))
        return table.assign(**{"class": table["ranking"].str.partition(",")[0]})

    def latest(self) -> pd.DataFrame:
        """Read the current prediction of each object, sorted by object."""
        return self.answers().drop_duplicates("object_id", keep="last").reset_index(drop=True)

    def packet(self, candid: int) -> bytes:
        """Read the payload of an alert as received: an Avro container.

        Raises
        ------
        NightError
            The packet is not kept.
        """
        with self._open() as connection:
            row = connection.execute("SELECT data FROM packets WHERE candid = ?", (int(candid),)).fetchone()
        if row is None:
            raise NightError(f"the packet {candid} is not kept: its object was no candidate")
        return inflate(row[0])

    def alert(self, candid: int) -> dict[str, Any]:
        """Decode an alert with its history and stamps, as `twostamp.alerts.packet.read_packets` does."""
        return next(alert for alert in read_packets(self.packet(candid)) if find_candid(alert) == candid)

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        path = self.path.resolve()
        log = Path(f"{path}-wal")
        # SQLite opens a WAL file only where it can write beside it; without a log, nothing is lost by the other way
        complete = not os.access(path.parent, os.W_OK) and not (log.exists() and log.stat().st_size)
        address = f"{path.as_uri()}?{'immutable=1' if complete else 'mode=ro'}"
        with closing(sqlite3.connect(address, uri=True, timeout=30)) as connection:
            yield connection
