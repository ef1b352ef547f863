"""A scored night in memory, of synthetic packets: as many objects as a test wants."""

import io
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from astropy.io import fits
from isal import igzip

from tests.conftest import make_alert
from twostamp.alerts import read_schema, write_packets
from twostamp.stream.night import create_tables, deflate
from twostamp.taxonomy import CLASSES

START = 2460000.5
TEMPLATES = 20


@cache
def make_stamps(seed: int, flux: float) -> tuple[bytes, bytes, bytes]:
    """A host and a point beside it, in science and difference."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[-31:32, -31:32]
    host = 400 * np.exp(-np.hypot(x - rng.normal(0, 4), (y - rng.normal(0, 4)) / 0.7) / 4)
    point = flux * np.exp(-(x**2 + y**2) / 3)
    images = [150 + host + point, 150 + host, point]
    return tuple(_compress(image + rng.normal(0, 12, image.shape)) for image in images)  # type: ignore[return-value]


def _compress(image: Any) -> bytes:
    stream = io.BytesIO()
    fits.PrimaryHDU(image.astype(">f4")).writeto(stream)
    return igzip.compress(stream.getvalue())


def make_object(number: int, n_alerts: int = 2, **candidate: Any) -> list[dict[str, Any]]:
    """The alerts of one object, a rising source with limits before it, the second with the first in its past."""
    rng = np.random.default_rng(number)
    name, faint = f"ZTF26{''.join(chr(97 + number // 26**i % 26) for i in range(6))}", 19.6 + rng.normal(0, 0.3)
    history: list[dict[str, Any]] = []
    exposure = {"pid": 1, "programid": 1, "rbversion": "", "diffmaglim": 20.4}
    for day in (-9.0, -6.1, -3.0):
        history.append(exposure | {"jd": START + day, "fid": int(rng.integers(1, 3))})
    alerts = []
    for k in range(n_alerts):
        mag = faint - 0.3 * k
        own = {"jd": START + 3 * k, "magpsf": mag, "sigmapsf": 0.08, "diffmaglim": 20.4, "fid": 2, "isdiffpos": "t"}
        own |= {"ra": float(number % 360), "dec": 20.0, "ndethist": k + 1, "ncovhist": 40 + k, "rb": 0.9}
        own |= candidate | {"stamps": make_stamps(number % TEMPLATES, 300.0 * (k + 1))}
        alert = make_alert(name, 10**15 + 10 * number + k, **own)  # type: ignore[arg-type]
        alert["prv_candidates"] = list(history)
        alerts.append(alert)
        seen = ("jd", "fid", "magpsf", "sigmapsf", "isdiffpos", "programid")
        history.append(exposure | {field: alert["candidate"][field] for field in seen})
    return alerts


class FakeNight:
    """What `twostamp.stream.Night` gives, of `n` objects; every third has one alert only.

    Parameters
    ----------
    n : int
    simulated : bool
    objects : sequence, optional
        Alerts of each object, instead of `n` synthetic ones.
    """

    classes, night = CLASSES, "20230225"

    def __init__(self, n: int = 30, *, simulated: bool = True, objects: Sequence[list[dict[str, Any]]] = ()) -> None:
        self.simulated = simulated
        self.objects = list(objects) or [make_object(number, 1 if number % 3 == 0 else 2) for number in range(n)]
        self._alerts = {alert["candid"]: alert for alerts in self.objects for alert in alerts}

    def answers(self) -> pd.DataFrame:
        rng = np.random.default_rng(0)
        rows = []
        for alerts in self.objects:
            for k in range(len(alerts)):
                p = rng.dirichlet([0.7] * len(CLASSES))
                rows.append(self._answer(alerts[: k + 1], dict(zip(CLASSES, p))))
        return pd.DataFrame(rows).astype({"candid_2": "Int64", "supersedes": "Int64"})

    def _answer(self, alerts: list[dict[str, Any]], p: dict[str, float]) -> dict[str, Any]:
        ranking = sorted(p, key=p.__getitem__, reverse=True)
        first, last = (alert["candidate"] for alert in (alerts[0], alerts[-1]))
        flags = {"first_unseen": last["ndethist"] > len(alerts), "near_star": bool(last["sgscore1"])}
        flags |= {"solar_system_match": last["ssdistnr"] is not None, "negative_difference": last["isdiffpos"] == "f"}
        return {
            "object_id": alerts[0]["objectId"],
            "revision": len(alerts),
            "supersedes": pd.NA if len(alerts) == 1 else 1,
            "n_alerts": len(alerts),
            "candid_1": alerts[0]["candid"],
            "candid_2": alerts[1]["candid"] if len(alerts) > 1 else pd.NA,
            **{"jd_1": first["jd"], "jd": last["jd"], "deltajd": last["jd"] - first["jd"], "night": self.night},
            **{name: last[name] for name in ("ra", "dec", "fid", "magpsf")},
            **flags,
            **{"ranking": ",".join(ranking), "conformal": ",".join(ranking[:2]), "class": ranking[0]},
            **{"model": "test", "model_version": "0123abcd", "received": 0.0, "scored": 0.1, "has_packets": True},
            **{f"p_{name}": value for name, value in p.items()},
        }

    def alert(self, candid: int) -> dict[str, Any]:
        return self._alerts[candid]

    def packet(self, candid: int) -> bytes:
        return write_packets([self._alerts[candid]], read_schema())


def write_night(night: FakeNight, path: Path) -> None:
    """Write it as the file that `twostamp.stream.Night` reads."""
    path.parent.mkdir(parents=True, exist_ok=True)
    meta = {"classes": night.classes, "model": "test 0123abcd", "simulated": night.simulated}
    with closing(sqlite3.connect(path)) as connection, connection:
        create_tables(connection, meta | {"keep_class": "SN", "keep_above": 0.0})
        answers = night.answers().drop(columns=["class", "has_packets"])
        answers.astype({"candid_2": object}).to_sql("answers", connection, if_exists="append", index=False)
        for alerts in night.objects:
            rows = [(alert["candid"], alert["objectId"], deflate(night.packet(alert["candid"]))) for alert in alerts]
            connection.executemany("INSERT INTO packets VALUES (?, ?, ?)", rows)
