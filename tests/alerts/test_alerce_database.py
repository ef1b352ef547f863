"""The database queries on a real PostgreSQL with q3c and a million objects; answers equal to plain arithmetic."""

import json
import os
from contextlib import nullcontext

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sql

from tests.postgres import MISSING, find_binaries, run_postgres
from twostamp.alerts import alerce_database as module
from twostamp.alerts.alerce_database import (
    AlerceDatabase,
    AlerceDatabaseError,
    _select_asteroids,
    _select_cone,
    find_connection,
    search_cones,
)
from twostamp.analysis.unlabelled_sky import cone_centres

READER = "quiet-reader-secret"
N = 1_000_000
TABLES = f"""
CREATE EXTENSION q3c;
CREATE TABLE object (oid varchar PRIMARY KEY, ndethist varchar, ncovhist integer, corrected boolean, stellar boolean,
    ndet integer, meanra double precision, meandec double precision, sigmara double precision, sigmadec double
    precision, deltajd double precision, firstmjd double precision, lastmjd double precision, step_id_corr varchar);
CREATE TABLE ss_ztf (oid varchar, candid bigint, ssdistnr double precision, ssmagnr double precision, ssnamenr varchar);
SELECT setseed(0.25);
INSERT INTO object (oid, ndet, meanra, meandec) SELECT 'ZTF18' || lpad(n::text, 7, '0'), 1 + mod(n, 4), 360 * random(),
    degrees(asin(2 * random() - 1)) FROM generate_series(1, {N}) AS n;
INSERT INTO object (oid, ndet, meanra, meandec) VALUES ('pole-n', 9, 77, 90), ('pole-s', 9, 0, -90), ('zero', 9, 0, 0),
    ('wrap', 9, 359.9999, 0);
INSERT INTO ss_ztf SELECT oid, 1, CASE WHEN random() < 0.5 THEN -999 ELSE 30 * random() END, 18, 'null' FROM object
    WHERE meandec BETWEEN -30 AND 5;
INSERT INTO ss_ztf VALUES ('pole-n', 1, 0.0, 18, 'Ceres'), ('pole-s', 1, 10.0, 18, 'null');
INSERT INTO ss_ztf SELECT oid, 2, ssdistnr + 0.5, 18, 'again' FROM ss_ztf WHERE oid < 'ZTF180001000';
CREATE INDEX object_q3c ON object (q3c_ang2ipix(meanra, meandec));
CREATE INDEX ss_oid ON ss_ztf (oid);
CREATE ROLE reader LOGIN PASSWORD '{READER}';
GRANT SELECT ON object, ss_ztf TO reader;
"""


@pytest.fixture(scope="module")
def database():
    """URL of a reader of a database filled like ALeRCE's."""
    if (binaries := find_binaries()) is None:
        if os.environ.get("TWOSTAMP_REQUIRE_POSTGRES"):
            pytest.fail(MISSING)
        pytest.skip(MISSING)
    with run_postgres(binaries) as (port, password):
        owner = sql.create_engine(
            sql.URL.create("postgresql+psycopg", "owner", password, "127.0.0.1", port, "postgres"),
            isolation_level="AUTOCOMMIT",
        )
        with owner.connect() as connection:
            for statement in filter(str.strip, TABLES.split(";")):
                connection.exec_driver_sql(statement)
            connection.exec_driver_sql("VACUUM ANALYZE")
        owner.dispose()
        yield f"postgresql://reader:{READER}@127.0.0.1:{port}/postgres"


@pytest.fixture(scope="module")
def catalog(database):
    return AlerceDatabase(database)


@pytest.fixture(scope="module")
def everything(catalog):
    with catalog._connect() as connection:
        objects = pd.read_sql(sql.text("SELECT oid, ndet, meanra, meandec FROM object"), connection)
        bodies = pd.read_sql(sql.text("SELECT oid, ssdistnr FROM ss_ztf"), connection)
    assert len(objects) == N + 4
    return objects, bodies


def distances(objects, ra, dec):
    """Degrees between objects and a centre, by unit vectors."""

    def unit(ra, dec):
        ra, dec = np.radians(ra), np.radians(dec)
        return np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)])

    chord = np.linalg.norm(unit(objects["meanra"], objects["meandec"]).T - unit(ra, dec), axis=1)
    return np.degrees(2 * np.arcsin(chord / 2))


@pytest.mark.parametrize(
    ("ra", "dec", "radius"),
    [(0, 0, 3), (359.99, 0, 0.5), (0.001, 45, 2), (0, 90, 3), (200, 90, 1), (10, -90, 3), (350, 80, 7.0710678)],
)
@pytest.mark.parametrize("min_detections", [1, 2, 4])
def test_cones_equal_plain_arithmetic(catalog, everything, ra, dec, radius, min_detections):
    objects, _ = everything
    distance = distances(objects, ra, dec)
    edge = np.abs(distance - radius) < 1e-7
    inside = (distance < radius) & (objects["ndet"] >= min_detections)
    found = catalog.search_cone(ra, dec, radius, N, 1, min_detections=min_detections)
    assert set(objects.loc[inside & ~edge, "oid"]) == set(found["objectId"]) - set(objects.loc[edge, "oid"])
    assert len(found) >= 5
    assert found["n_alerts"].min() >= min_detections
    by_id = objects.set_index("oid").loc[found["objectId"]]
    np.testing.assert_array_equal(by_id[["meanra", "meandec"]], found[["ra", "dec"]])


def test_the_poles_and_the_meridian_are_not_lost(catalog):
    assert "pole-n" in set(catalog.search_cone(0, 90, 0.01, 10, 1)["objectId"])
    assert "pole-s" in set(catalog.search_cone(123, -90, 0.01, 10, 1)["objectId"])
    assert {"zero", "wrap"} <= set(catalog.search_cone(359.99995, 0, 0.001, 10, 1)["objectId"])


def test_the_index_of_q3c_is_used(catalog):
    query = _select_cone(10, 20, 1, 100, seed=1)
    with catalog._connect() as connection:
        statement = query.compile(connection, compile_kwargs={"render_postcompile": True})
        plan = "\n".join(row[0] for row in connection.exec_driver_sql(f"EXPLAIN {statement}", statement.params))
    assert "object_q3c" in plan
    assert "Seq Scan" not in plan


def test_asteroids_equal_plain_arithmetic(catalog, everything):
    objects, bodies = everything
    near = bodies[(bodies["ssdistnr"] >= 0) & (bodies["ssdistnr"] < 10)].groupby("oid")["ssdistnr"].min()
    expected = near[near.index.isin(objects.loc[objects["ndet"] >= 2, "oid"])].sort_index()
    found = catalog.sample_asteroids(N, seed=1)
    assert not found["objectId"].duplicated().any()
    pd.testing.assert_series_equal(
        found.set_index("objectId")["ssdistnr"].sort_index(), expected, check_names=False, check_index_type=False
    )
    assert "pole-n" in set(found["objectId"])  # ssdistnr 0 is near, 10 is not
    assert "pole-s" not in set(found["objectId"])
    assert set(catalog.sample_asteroids(N, 1, min_detections=4)["ndet"]) == {4, 9}


def test_samples_repeat_under_their_seed_and_only_then(catalog):
    first, again, other = (set(catalog.sample_asteroids(500, seed)["objectId"]) for seed in (1, 1, 2**40))
    assert first == again != other
    assert len(first) == len(other) == 500
    assert first < set(catalog.sample_asteroids(1000, 1)["objectId"])
    cones = [catalog.search_cone(100, 10, 5, 50, seed) for seed in (1, 1, 2)]
    pd.testing.assert_frame_equal(cones[0], cones[1])
    assert set(cones[0]["objectId"]) != set(cones[2]["objectId"])
    assert len(cones[2]) == 50


def test_a_sample_is_drawn_evenly(catalog, everything):
    objects, _ = everything
    number = objects.set_index("oid")["ndet"]
    drawn = catalog.search_cone(180, 0, 20, 3000, 5)["objectId"].map(number)
    np.testing.assert_allclose(drawn.value_counts(normalize=True)[[2, 3, 4]], 1 / 3, atol=0.04)


def test_an_empty_cone_has_columns(catalog):
    empty = catalog.search_cone(0, 0, 1e-9, 5, 1, min_detections=100)
    assert empty.empty
    assert empty.dtypes.astype(str).to_dict() == {
        "objectId": "object",
        "ra": "float64",
        "dec": "float64",
        "n_alerts": "int64",
    }


def test_the_grid_of_cones_resumes_and_gives_each_object_once(catalog, tmp_path, monkeypatch):
    centres = cone_centres(60, min_dec=-31)
    asked = []
    search = AlerceDatabase.search_cone

    def interrupted(self, ra, dec, *args, **kwargs):
        asked.append((ra, dec))
        if len(asked) == 5:
            raise KeyboardInterrupt
        return search(self, ra, dec, *args, **kwargs)

    monkeypatch.setattr(AlerceDatabase, "search_cone", interrupted)
    arguments = (centres, 8.0, 100, 3, tmp_path)
    with pytest.raises(KeyboardInterrupt):
        search_cones(catalog, *arguments)
    labelled = set(search(catalog, *centres[0], 8.0, 20, 3)["objectId"])
    selected, counts = search_cones(catalog, *arguments, leave_out=labelled)
    again = [tuple(centres[0])]  # as many more as are labelled
    assert asked == [tuple(c) for c in centres[:5]] + again + [tuple(c) for c in centres[4:]]
    plain = [search(catalog, *centre, 8.0, 120 if i == 0 else 100, 3) for i, centre in enumerate(centres)]
    expected = pd.concat(plain).drop_duplicates("objectId")
    assert set(selected["objectId"]) == set(expected["objectId"]) - labelled
    assert (selected["cone"] == 0).sum() == 100  # the labelled take no place
    assert selected["objectId"].is_monotonic_increasing
    assert counts["labelled"] == 20
    assert counts["objects drawn"] == sum(counts.values()) - counts["objects drawn"] == 100 * len(centres) + 20
    n = len(asked)
    search_cones(catalog, centres, 8.0, 101, 3, tmp_path)  # another cap is another search
    assert len(asked) == n + len(centres)


class FakeDatabase(AlerceDatabase):
    """A cone of some objects, without a server."""

    def __init__(self, database, objects):
        super().__init__(database)
        self.objects, self.asked = objects, []

    def search_cone(self, ra, dec, radius, limit, seed, *, min_detections=2):
        self.asked.append(limit)
        found = self.objects[:limit]
        return pd.DataFrame({"objectId": found, "ra": ra, "dec": dec, "n_alerts": 2})


def test_answers_are_kept_for_their_database(tmp_path):
    centres = np.array([[0.0, 0.0]])
    ours, theirs = (
        FakeDatabase(f"postgresql://me@{host}/ztf", objects) for host, objects in (("a", ["x", "y"]), ("b", ["z"]))
    )
    assert search_cones(ours, centres, 1.0, 5, 1, tmp_path)[0]["objectId"].tolist() == ["x", "y"]
    assert search_cones(theirs, centres, 1.0, 5, 1, tmp_path)[0]["objectId"].tolist() == ["z"]
    other_account = FakeDatabase("postgresql://you@a:5432/ztf", [])
    assert search_cones(other_account, centres, 1.0, 5, 1, tmp_path)[0]["objectId"].tolist() == ["x", "y"]


@pytest.mark.parametrize(
    ("labelled", "asked"), [("", [3]), ("abc", [3, 6]), ("abcde", [3, 6, 8]), ("abcdefg", [3, 6, 9])]
)
def test_the_labelled_take_no_place_in_a_cone(tmp_path, labelled, asked):
    database = FakeDatabase("postgresql://me@a/ztf", list("abcdefgh"))
    selected, counts = search_cones(database, np.array([[0.0, 0.0]]), 1.0, 3, 1, tmp_path, leave_out=labelled)
    left = [name for name in "abcdefgh" if name not in labelled]
    assert selected["objectId"].tolist() == left[:3]
    assert database.asked == asked
    assert counts["objects drawn"] == len(selected) + counts["labelled"]


def test_the_account_can_only_read(database):
    url = find_connection(database)
    catalog = AlerceDatabase(database)
    for statement in ("DELETE FROM object", "CREATE TABLE mine (x integer)"):
        with pytest.raises(AlerceDatabaseError, match="read-only transaction"):
            catalog._read(sql.text(statement))
    assert READER not in repr(url)


def test_values_never_become_sql(catalog):
    with pytest.raises(ValueError, match="could not convert"):
        catalog.search_cone("0) OR (1=1", 0, 1, 5, 1)
    nasty = "1'; DROP TABLE object; --"
    assert len(catalog.search_cone(0, 0, 3, 5, nasty)) == 5
    assert "DROP" not in str(_select_asteroids(5, nasty))


def test_a_query_that_takes_too_long_ends(database):
    with pytest.raises(AlerceDatabaseError, match="statement timeout"):
        AlerceDatabase(database, timeout=0.001).sample_asteroids(N, 1)


def test_connection_by_variable_and_by_alerces_file(database, tmp_path, monkeypatch):
    url = find_connection(database)
    params = {"user": "reader", "password": READER, "host": "127.0.0.1", "port": url.port, "dbname": "postgres"}
    path = tmp_path / "reader.json"
    path.write_text(json.dumps({"params": params}))
    monkeypatch.setenv("TWOSTAMP_DATABASE", str(path))
    assert len(AlerceDatabase("$TWOSTAMP_DATABASE").search_cone(0, 0, 3, 5, 1)) == 5
    monkeypatch.setenv("TWOSTAMP_DATABASE", database)
    assert find_connection("${TWOSTAMP_DATABASE}") == find_connection(str(path)) == url


def test_a_refused_login_does_not_show_the_password(database, capsys):
    wrong = database.replace(READER, "wrong-secret")
    with pytest.raises(AlerceDatabaseError, match="password authentication failed") as caught:
        AlerceDatabase(wrong).search_cone(0, 0, 1, 5, 1)
    assert "wrong-secret" not in str(caught.value)
    assert "***" in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("$TWOSTAMP_NOT_SET", r"\$TWOSTAMP_NOT_SET is not set"),
        ("not a url", "neither a postgresql:// URL nor a .json file"),
        ("/nowhere/reader.json", "/nowhere/reader.json does not describe a connection"),
    ],
)
def test_no_connection_to_be_found(text, message):
    with pytest.raises(AlerceDatabaseError, match=message):
        find_connection(text)


@pytest.mark.parametrize("content", ["{", "[]", '{"params": {"user": "u", "host": "h", "dbname": "d"}}'])
def test_a_damaged_account_file(tmp_path, content):
    path = tmp_path / "reader.json"
    path.write_text(content)
    with pytest.raises(AlerceDatabaseError, match="does not describe a connection"):
        find_connection(str(path))


def test_a_server_that_is_not_there():
    with pytest.raises(AlerceDatabaseError, match="no connection to postgresql"):
        AlerceDatabase("postgresql://reader:hush@127.0.0.1:1/x").search_cone(0, 0, 1, 1, 1)


def test_a_missing_driver_names_the_fix(monkeypatch):
    monkeypatch.setattr(module, "DRIVER", "postgresql+nosuchdriver")
    with pytest.raises(AlerceDatabaseError, match=r"twostamp\[database\]"):
        AlerceDatabase("postgresql://reader@host/x")


class _LostError(Exception):
    def __init__(self, sqlstate):
        super().__init__("canceling statement due to conflict with recovery")
        self.sqlstate = sqlstate


@pytest.mark.parametrize(("state", "asked"), [("40001", 3), ("57P01", 3), ("08006", 3), ("42501", 1), ("57014", 1)])
def test_a_query_that_the_server_cancels_is_asked_again(monkeypatch, state, asked):
    database = AlerceDatabase("postgresql://reader@127.0.0.1/none", attempts=3, first_pause=0.001)
    queries = []

    class Connection:
        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

        def execute(self, query):
            queries.append(query)
            raise sql.exc.OperationalError("SELECT", {}, _LostError(state))

    monkeypatch.setattr(database, "_connect", Connection)
    with pytest.raises(AlerceDatabaseError, match="refuses the query: canceling statement"):
        database.sample_asteroids(3, 1)
    assert len(queries) == asked


class _Server:
    """A server that says in order what becomes of connections and of queries: an answer, or an error."""

    def __init__(self, *outcomes):
        self.outcomes, self.url = list(outcomes), "postgresql://reader@host/ztf"

    def _next(self):
        if isinstance(outcome := self.outcomes.pop(0), Exception):
            raise outcome
        return outcome

    def connect(self):
        self._next()
        return nullcontext(self)

    def execute(self, query):
        return self._next()

    def all(self):
        return self._next()

    def keys(self):
        return ["objectId", "ssdistnr", "ndet"]


REFUSED = sql.exc.OperationalError("connect", {}, Exception("connection refused"))
STARTING = sql.exc.OperationalError("connect", {}, _LostError("57P03"))
DROPPED = sql.exc.OperationalError("SELECT", {}, Exception("server closed the connection"), connection_invalidated=True)
ROWS = [("ZTF18a", 1.0, 2)]


def ask_server(monkeypatch, *outcomes, attempts=4):
    database = AlerceDatabase("postgresql://reader@127.0.0.1/none", attempts=attempts, first_pause=0.001)
    server = _Server(*outcomes)
    for outcome in outcomes:
        if outcome == "answer":
            server.outcomes[server.outcomes.index(outcome)] = server
    monkeypatch.setattr(database, "_engine", server)
    return server, lambda: database.sample_asteroids(3, 1)["objectId"].tolist()


def test_a_connection_that_is_dropped_in_the_middle_of_a_list_is_made_again_while_the_server_restarts(monkeypatch):
    server, ask = ask_server(monkeypatch, None, "answer", DROPPED, REFUSED, STARTING, None, "answer", ROWS)
    assert ask() == ["ZTF18a"]
    assert server.outcomes == []


def test_a_server_that_has_never_answered_is_asked_once_unless_it_is_starting(monkeypatch):
    server, ask = ask_server(monkeypatch, REFUSED, None)
    with pytest.raises(AlerceDatabaseError, match=r"no connection to .*connection refused"):
        ask()
    assert server.outcomes == [None]
    _, ask = ask_server(monkeypatch, STARTING, None, "answer", ROWS)
    assert ask() == ["ZTF18a"]
    server, ask = ask_server(monkeypatch, *[STARTING] * 4, None)
    with pytest.raises(AlerceDatabaseError, match="no connection"):
        ask()
    assert server.outcomes == [None]


def test_a_password_is_in_no_error(monkeypatch):
    monkeypatch.setenv("DB", "https://u:topsecret@127.0.0.1:9/reader.json")
    with pytest.raises(AlerceDatabaseError, match="does not describe a connection") as caught:
        find_connection("$DB")
    assert "topsecret" not in str(caught.value)
