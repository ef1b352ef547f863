"""ALeRCE's database: the asteroids of thesis section 3.1.4 and the cones of section 6.6.

Parameters only name the connection: an environment variable or a file outside the repository holds it. No password is
printed, logged or passed to a notebook. Needs ``psycopg`` (``pip install "twostamp[database]"``).
"""

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import requests
import sqlalchemy as sql
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError
from tqdm.auto import tqdm

from twostamp.taxonomy import SSDISTNR_MAX
from twostamp.utils.files import write_file
from twostamp.utils.http import explain, redact, retry

ALERCE_READER = "https://raw.githubusercontent.com/alercebroker/usecases/master/alercereaduser_v4.json"
"""Address at which ALeRCE publishes its read-only account."""
DRIVER = "postgresql+psycopg"
_TRY_AGAIN = ("40001", "40P01", "57P01", "57P02", "57P03")  # conflict with recovery, deadlock, a server that restarts

_DTYPES: dict[str, Any] = dict.fromkeys(("ra", "dec", "ssdistnr"), float) | dict.fromkeys(("n_alerts", "ndet"), "int64")
_DTYPES["objectId"] = str
_OBJECT = sql.table("object", *map(sql.column, ("oid", "meanra", "meandec", "ndet")))
_SS_ZTF = sql.table("ss_ztf", *map(sql.column, ("oid", "ssdistnr")))


class AlerceDatabaseError(RuntimeError):
    """The database cannot be reached or queried; the message is one sentence, without a password."""


class _InterruptedError(AlerceDatabaseError):
    """A query that the server cancelled or that lost its connection, and may be repeated."""


def find_connection(database: str) -> sql.URL:
    """Find the connection of a database.

    Parameters
    ----------
    database : str
        URL ``postgresql://user@host/name``, or path or address of a JSON file; or a ``$VARIABLE`` with either in it.
        The URL's password comes from the variable, ``~/.pgpass`` or ``$PGPASSWORD``. The JSON file has the form of
        ALeRCE's (`ALERCE_READER`): ``{"params": {"dbname", "user", "host", "password"}}``.

    Returns
    -------
    sqlalchemy.URL
        Hides its password when it is printed.

    Raises
    ------
    AlerceDatabaseError
        If the variable is not set or holds no connection.

    Examples
    --------
    >>> find_connection("postgresql://reader:hush@db.example.org/ztf")
    postgresql+psycopg://reader:***@db.example.org/ztf
    """
    if database.startswith("$"):
        if not (value := os.environ.get(database[1:].strip("{}"), "")):
            raise AlerceDatabaseError(f"{database} is not set: put the database's URL or its JSON file's path there")
        database = value
    if database.startswith(("http://", "https://")) or database.endswith(".json"):
        return _read_json(database)
    try:
        return sql.make_url(database).set(drivername=DRIVER)
    except ArgumentError:
        raise AlerceDatabaseError("the database is neither a postgresql:// URL nor a .json file") from None


def _read_json(place: str) -> sql.URL:
    try:
        if place.startswith("http"):
            response = requests.get(place, timeout=30)
            response.raise_for_status()
            params = response.json()["params"]
        else:
            params = json.loads(Path(place).expanduser().read_text())["params"]
        return sql.URL.create(
            DRIVER,
            username=params["user"],
            password=params["password"],
            host=params["host"],
            port=int(params["port"]) if params.get("port") else None,
            database=params["dbname"],
        )
    except (OSError, ValueError, KeyError, TypeError) as error:  # requests' errors are OSErrors
        what = f"{error} is missing" if isinstance(error, KeyError) else explain(error)
        raise AlerceDatabaseError(f"{redact(place)} does not describe a connection: {what}") from None


class AlerceDatabase:
    """Read-only access to the tables ``object`` and ``ss_ztf``.

    Parameters
    ----------
    database : str
        See `find_connection`.
    timeout : float
        Seconds that a query may take.
    attempts, first_pause
        Number of tries of a query that the server cancels or whose connection is lost, and seconds before the second.
        Every further pause is twice as long.
    """

    def __init__(self, database: str, *, timeout: float = 1800.0, attempts: int = 6, first_pause: float = 2.0) -> None:
        self.attempts, self.first_pause, self._reached = attempts, first_pause, False
        options = f"-c statement_timeout={int(1000 * timeout)} -c default_transaction_read_only=on"
        settings = {"options": options, "connect_timeout": 30}
        try:
            self._engine = sql.create_engine(find_connection(database), connect_args=settings)
        except (NoSuchModuleError, ModuleNotFoundError):
            raise AlerceDatabaseError('the database needs psycopg: pip install "twostamp[database]"') from None

    @property
    def digest(self) -> str:
        """Identify this database: a hash of server and name, the same for every user."""
        url = self._engine.url
        return hashlib.sha256(f"{url.host}:{url.port or 5432}/{url.database}".encode()).hexdigest()[:12]

    def sample_asteroids(self, limit: int, seed: int, *, min_detections: int = 2) -> pd.DataFrame:
        """Draw objects near a known body of the Solar System (section 3.1.4).

        The thesis draws with ``random()``, which is not reproducible. Here a hash of objectId and seed gives the order,
        the same on every server.

        Parameters
        ----------
        limit : int
            Objects, at most.
        seed : int
        min_detections : int
            Of each object, at least.

        Returns
        -------
        DataFrame
            objectId, ssdistnr (arcsec), ndet; each object once, sorted by objectId.
        """
        return self._read(_select_asteroids(limit, seed, min_detections)).sort_values("objectId", ignore_index=True)

    def search_cone(
        self, ra: float, dec: float, radius: float, limit: int, seed: int, *, min_detections: int = 2
    ) -> pd.DataFrame:
        """List the objects in a cone (section 6.6), at most `limit` of them, drawn by a hash of objectId and seed.

        Parameters
        ----------
        ra, dec, radius : float
            Degrees.
        limit, seed, min_detections
            As for `sample_asteroids`.

        Returns
        -------
        DataFrame
            objectId, ra, dec (degrees, mean), n_alerts (detections), sorted by objectId.
        """
        query = _select_cone(ra, dec, radius, limit, seed, min_detections)
        return self._read(query).sort_values("objectId", ignore_index=True)

    def _read(self, query: sql.Select[Any]) -> pd.DataFrame:
        table = retry(lambda: self._ask(query), (_InterruptedError,), self.attempts, self.first_pause)
        return table.astype({name: kind for name, kind in _DTYPES.items() if name in table})

    def _ask(self, query: sql.Select[Any]) -> pd.DataFrame:
        with self._connect() as connection:
            try:
                result = connection.execute(query)
                return pd.DataFrame(result.all(), columns=list(result.keys()))
            except SQLAlchemyError as error:
                kind = _InterruptedError if _may_help(error) else AlerceDatabaseError
                raise kind(f"the database refuses the query: {_first_line(error)}") from None

    def _connect(self) -> sql.Connection:
        try:
            connection = self._engine.connect()
        except SQLAlchemyError as error:
            kind = _InterruptedError if self._reached or _may_help(error) else AlerceDatabaseError
            raise kind(f"no connection to {self._engine.url!r}: {_first_line(error)}") from None
        self._reached = True  # from now on, a server that cannot be reached is one that restarts
        return connection


def search_cones(
    catalog: AlerceDatabase,
    centres: np.ndarray,
    radius: float,
    cap: int,
    seed: int,
    folder: Path,
    *,
    leave_out: Iterable[str] = (),
    min_detections: int = 2,
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Draw unlabelled objects from the grid of cones in the database (section 6.6, D6).

    Parameters
    ----------
    catalog : AlerceDatabase
    centres : ndarray, shape (n, 2)
        Right ascension and declination, degrees; see `twostamp.analysis.unlabelled_sky.cone_centres`.
    radius : float
        Of every cone, degrees.
    cap : int
        Objects drawn from a cone, at most, not counting labelled ones.
    seed : int
    folder : Path
        Stores the rows of each cone, by database, so that an interrupted search resumes.
    leave_out : iterable of str
        objectIds to exclude: the labelled ones.
    min_detections : int

    Returns
    -------
    selected : DataFrame
        objectId, ra, dec, n_alerts, cone (the first that drew it); each object once, sorted by objectId.
    counts : dict
        Objects drawn, drawn again by another cone, labelled, selected.
    """
    folder.mkdir(parents=True, exist_ok=True)
    labelled = set(leave_out)

    def ask(ra: float, dec: float, limit: int) -> pd.DataFrame:
        path = folder / f"{catalog.digest}_{ra:g}_{dec:g}_{radius:g}_{limit}_{seed}_{min_detections}.parquet"
        if not path.exists():
            table = catalog.search_cone(ra, dec, radius, limit, seed, min_detections=min_detections)
            write_file(path, table.to_parquet(index=False))
        return pd.read_parquet(path)

    tables = []
    for index, (ra, dec) in enumerate(tqdm(centres, unit="cone")):
        table, more = ask(ra, dec, cap), 0
        # Labelled objects are replaced by further draws, until the cone is exhausted.
        while len(table) == cap + more and (found := int(table["objectId"].isin(labelled).sum())) > more:
            table, more = ask(ra, dec, cap + found), found
        tables.append(table.assign(cone=index))
    drawn = pd.concat(tables, ignore_index=True)
    once = drawn.drop_duplicates("objectId")
    selected = once[~once["objectId"].isin(labelled)].sort_values("objectId", ignore_index=True)
    counts = {
        "objects drawn": len(drawn),
        "drawn by another cone as well": len(drawn) - len(once),
        "labelled": len(once) - len(selected),
        "selected": len(selected),
    }
    return selected, counts


def _may_help(error: SQLAlchemyError) -> bool:
    """Whether a query may be repeated: it conflicted with the server's own work, or the connection was lost."""
    state = getattr(getattr(error, "orig", None), "sqlstate", None) or ""
    lost = bool(getattr(error, "connection_invalidated", False))
    return lost or state in _TRY_AGAIN or state.startswith("08")


def _first_line(error: SQLAlchemyError) -> str:
    return redact(str(getattr(error, "orig", None) or error).strip().splitlines()[0])


def _shuffled(seed: int) -> Any:
    return sql.func.md5(sql.func.concat(_OBJECT.c.oid, str(seed)))


def _select_asteroids(limit: int, seed: int, min_detections: int = 2) -> sql.Select[Any]:
    """Build the query of `AlerceDatabase.sample_asteroids`."""
    distance = sql.func.min(_SS_ZTF.c.ssdistnr)
    return (
        sql.select(_OBJECT.c.oid.label("objectId"), distance.label("ssdistnr"), _OBJECT.c.ndet)
        .join(_SS_ZTF, _SS_ZTF.c.oid == _OBJECT.c.oid)
        .where(_SS_ZTF.c.ssdistnr >= 0, _SS_ZTF.c.ssdistnr < SSDISTNR_MAX, _OBJECT.c.ndet >= min_detections)
        .group_by(_OBJECT.c.oid, _OBJECT.c.ndet)
        .order_by(_shuffled(seed), _OBJECT.c.oid)
        .limit(limit)
    )


def _select_cone(
    ra: float, dec: float, radius: float, limit: int, seed: int, min_detections: int = 2
) -> sql.Select[Any]:
    """Build the query of `AlerceDatabase.search_cone`; q3c's function uses its index at any position on the sky."""
    near = sql.func.q3c_radial_query(_OBJECT.c.meanra, _OBJECT.c.meandec, float(ra), float(dec), float(radius))
    columns = [_OBJECT.c.oid.label("objectId"), _OBJECT.c.meanra.label("ra"), _OBJECT.c.meandec.label("dec")]
    return (
        sql.select(*columns, _OBJECT.c.ndet.label("n_alerts"))
        .where(near, _OBJECT.c.ndet >= min_detections)
        .order_by(_shuffled(seed), _OBJECT.c.oid)
        .limit(limit)
    )
