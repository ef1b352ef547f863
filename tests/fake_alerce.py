"""ALeRCE as its client 2.3 knows it: routes and answers, for `local_server.serve`."""

import json
from urllib.parse import parse_qs, urlsplit

import numpy as np

from tests.conftest import STAMP, make_alert, make_stamp
from twostamp.alerts.packet import read_schema, write_packets

JD = 2458270.7
BAD = (STAMP, None, STAMP)
SMALL = (make_stamp(40, 40),) * 3


class Alerce:
    """The routes that the client uses, with answers of the real service's form."""

    def __init__(self, objects, classes=(), packets=None):
        self.objects, self.classes = objects, dict(classes)
        self.packets = packets or {
            (oid, alert["candid"]): write_packets([alert], read_schema())
            for oid, alerts in objects.items()
            for alert in alerts
        }

    def __call__(self, path, headers):
        parts = urlsplit(path)
        query = parse_qs(parts.query)
        if parts.path == "/get_avro":
            body = self.packets.get((query["oid"][0], int(query["candid"][0])))
            return (404, {}, b"no such packet") if body is None else (200, {}, body)
        if parts.path == "/ztf/v1/objects":
            return 200, {"Content-Type": "application/json"}, json.dumps(self.find(query)).encode()
        oid = parts.path.removeprefix("/ztf/v1/objects/").removesuffix("/detections")
        if oid not in self.objects:
            return 404, {}, json.dumps({"detail": "Object not found"}).encode()
        rows = [self.row(alert) for alert in self.objects[oid]]
        return 200, {"Content-Type": "application/json"}, json.dumps(rows).encode()

    @staticmethod
    def row(alert):
        candidate = alert["candidate"]
        return {
            "tid": "ztf",
            "mjd": candidate["jd"] - 2400000.5,
            "candid": str(alert["candid"]),
            "fid": candidate["fid"],
            "has_stamp": candidate["rb"] != -1,
            "parent_candid": None,
        }

    def find(self, query):
        names = self.classes.get(query["class"][0], [])
        page, size = int(query["page"][0]), int(query["page_size"][0])
        items = [{"oid": name, "probability": 0.99, "ndet": 5} for name in names[(page - 1) * size : page * size]]
        return {"total": None, "page": page, "next": page + 1, "has_next": False, "items": items}


def make_objects(n, seed=1):
    """Objects with one to five alerts: bad stamps, detections without stamps, two candids of one exposure."""
    rng, objects, candid = np.random.default_rng(seed), {}, 10**18
    for number in range(n):
        oid, alerts, jd = f"ZTF18aa{number:05d}", [], JD + rng.integers(0, 300)
        for _ in range(rng.integers(1, 6)):
            candid += 1
            jd += rng.choice([0.0, 0.04, 3.0], p=[0.15, 0.35, 0.5])
            kind = rng.choice(["whole", "bad", "small", "none"], p=[0.7, 0.1, 0.1, 0.1])
            stamps = {"bad": BAD, "small": SMALL}.get(kind, (STAMP,) * 3)
            alerts.append(make_alert(oid, candid, jd, stamps=stamps, rb=-1.0 if kind == "none" else 0.9))
        objects[oid] = [alerts[i] for i in rng.permutation(len(alerts))]
    return objects
