"""From a planned object to the Avro packets of its alerts."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from twostamp.alerts.cutouts import CENTRE
from twostamp.alerts.packet import SENTINEL, prepare_schema, read_schema, write_packets
from twostamp.simulation import constants as c
from twostamp.simulation.conditions import TO_ECLIPTIC, Sources, Visit, draw_field, rotate
from twostamp.simulation.images import Triplet, cut_at_chip_edges, encode_stamp, expose, render
from twostamp.simulation.light_curves import Change, draw_change
from twostamp.simulation.neighbours import Catalogue, describe_neighbours, make_catalogue, offset_position
from twostamp.simulation.photometry import measure
from twostamp.simulation.schedule import NIGHT_HOURS, Nights, Target, processing_id
from twostamp.utils.dates import julian_midnight

_HISTORY_DAYS = 30.0
Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Alert:
    """One packet: its night (YYYYMMDD), candid and Avro bytes."""

    night: str
    candid: int
    data: bytes


@dataclass(slots=True)
class _Object:
    """What an object's packets share."""

    target: Target
    change: Change
    sources: Sources
    catalogue: Catalogue
    recurrence: float
    field: Record


@cache
def _schema() -> Record:
    return prepare_schema(read_schema())


@cache
def _field_names(record: str) -> tuple[str, ...]:
    fields = {field["name"]: field["type"] for field in read_schema()["fields"]}
    kind = fields[record]
    while not (isinstance(kind, dict) and kind["type"] == "record"):
        kind = kind["items"] if isinstance(kind, dict) else next(k for k in kind if k != "null")
    return tuple(field["name"] for field in kind["fields"])


def make_alerts(target: Target, nights: Nights, seed: int) -> list[Alert]:
    """Simulate all alerts of an object, in time; the result depends on ``seed`` and the object only."""
    rng = np.random.default_rng([seed, 2, target.index])
    thing = _make_object(target, rng)
    history = [_upper_limit(visit, thing) for visit in _draw_history(target, nights, rng)]
    alerts = []
    for number, visit in enumerate(target.visits):
        candidate, triplet = _observe(thing, number, rng)
        past = [entry for entry in history if visit.jd - _HISTORY_DAYS <= entry["jd"] < visit.jd]
        packet = _make_packet(candidate, sorted(past, key=lambda entry: float(entry["jd"])), triplet, thing, visit)
        data = write_packets([packet], _schema())
        data = data[: len(data) // 2] if "truncated" in visit.fault else data
        alerts.append(Alert(visit.night, packet["candid"], data))
        history.append({name: candidate.get(name) for name in _field_names("prv_candidates")})
    return alerts


def _make_object(target: Target, rng: np.random.Generator) -> _Object:
    days_known = rng.uniform(0, c.KNOWN_SUPERNOVA_DAYS) if target.known and target.class_name == "SN" else 0.0
    change = draw_change(target.class_name, target.subclass, target.visits, rng, days_known)
    sources = draw_field(target.latitude, rng, target.reference.depth)
    if change.counterpart is not None:
        sources = change.counterpart + sources
    recurrence = _draw_recurrence(target, change, days_known, rng)
    start = 2458150.5 + rng.uniform(0, 60)
    dec_zone = int((target.dec + 31.5) / 7.2)
    field = {
        "field": 245 + 50 * dec_zone + int(target.ra / 360 * 50 * np.cos(np.radians(target.dec))),
        "jdstartref": start,
        "jdendref": start + rng.uniform(15, 75),
        "nframesref": int(rng.choice([15, 15, 15, 16, 19, 40])),
        "nmatches": int(200 * (len(sources.x) / 95) ** 0.9 * np.exp(rng.normal(0, 0.3))),
    }
    return _Object(target, change, sources, make_catalogue(sources, rng, target.reference.depth), recurrence, field)


def _draw_recurrence(target: Target, change: Change, days_known: float, rng: np.random.Generator) -> float:
    """Share of the visits before the first alert that detected something at its place."""
    if target.known and target.class_name in ("AGN", "VS"):
        return float(rng.beta(*c.KNOWN_RECURRENCE))
    if target.class_name == "SN" or change.counterpart is None:
        return days_known / (target.visits[0].jd - c.JD_START)
    near = np.hypot(change.counterpart.x, change.counterpart.y)[0] < 2
    return float(rng.exponential(c.RECURRENCE)) if near else 0.0


def _draw_history(target: Target, nights: Nights, rng: np.random.Generator) -> Iterator[Visit]:
    """Visits of the field that gave no alert, in the 30 days before the first alert and between the alerts."""
    taken = {visit.night for visit in target.visits}
    first, last = target.visits[0].jd - _HISTORY_DAYS, target.visits[-1].jd
    for night, day in enumerate(nights.days):
        if first <= julian_midnight(day) < last and f"{day:%Y%m%d}" not in taken:
            for _ in range(rng.choice([0, 1, 2], p=c.VISITS_A_NIGHT)):
                visit = nights.visit(night, rng.uniform(*NIGHT_HOURS), int(rng.choice([1, 2])), rng)
                if first <= visit.jd:
                    yield visit


def _exposure(visit: Visit, thing: _Object) -> Record:
    """Fields that identify the exposure."""
    rcid, number = thing.target.rcid, thing.field["field"]
    ccd, quadrant = divmod(rcid, 4)
    fraction = int((visit.jd + 0.5) % 1 * 1e6)
    name = f"ztf_{visit.night}{fraction:06d}_{number:06d}_z{c.FILTERS[visit.fid]}_c{ccd + 1:02d}_o_q{quadrant + 1}"
    return {
        "jd": visit.jd,
        "fid": visit.fid,
        "pid": processing_id(visit.jd, rcid),
        "diffmaglim": visit.limit,
        "pdiffimfilename": f"{name}_scimrefdiffimg.fits",
        "programpi": "Kulkarni",
        "programid": 1,
        "nid": int(visit.jd - 2457754.5),
        "rcid": rcid,
        "field": number,
        "magzpsci": visit.zeropoint,
        "rbversion": "t17_f5_c3",
    }


def _upper_limit(visit: Visit, thing: _Object) -> Record:
    return dict.fromkeys(_field_names("prv_candidates")) | _exposure(visit, thing)


def _observe(thing: _Object, number: int, rng: np.random.Generator) -> tuple[Record, Triplet]:
    """One alert: its images and everything measured on them, as ZTF's ``candidate`` record."""
    target, visit = thing.target, thing.target.visits[number]
    xpos, ypos = (
        float(np.clip(place + rng.normal(0, scatter), 5, size - 5))
        for place, scatter, size in zip(
            (target.xpos, target.ypos), c.POINTING_SCATTER, (c.CHIP_WIDTH, c.CHIP_HEIGHT)
        )
    )  # fmt: skip
    centre = (CENTRE + xpos - round(xpos), CENTRE + ypos - round(ypos))
    under = np.hypot(thing.sources.x - visit.dx, thing.sources.y - visit.dy) < 1.5
    star_flux = float(thing.sources.flux(visit.fid, visit.zeropoint)[under].sum())
    triplet, measured = _expose(thing, number, centre, star_flux, rng)
    error = rng.normal(0, c.POSITION_ERROR / c.PIXEL_SCALE, 2) * np.exp(rng.normal(0, 0.35))
    ra, dec = offset_position(target.ra, target.dec, visit.dx + error[0], visit.dy + error[1])
    record: Record = {"ra": ra, "dec": dec, "xpos": xpos, "ypos": ypos, "candid": visit.candid}
    record |= {"mindtoedge": min(xpos, ypos, c.CHIP_WIDTH - xpos, c.CHIP_HEIGHT - ypos)}
    record |= {"isdiffpos": "t" if triplet.positive else "f", "tblid": (visit.candid or 0) % 1000}
    record |= _exposure(visit, thing) | measured
    record |= describe_neighbours(thing.catalogue, visit.dx + error[0], visit.dy + error[1], visit.fid, ra, dec)
    record |= _detections(thing, number, rng) | _solar_system(visit, record, ra, dec, rng)
    record |= _calibration(thing, visit, rng)
    return {name: record[name] for name in _field_names("candidate")}, triplet


def _expose(
    thing: _Object, number: int, centre: tuple[float, float], star_flux: float, rng: np.random.Generator
) -> tuple[Triplet, Record]:
    """Images that pass ZTF's cuts on candidates; what never passes in a few exposures is sent as it is."""
    visit, flux = thing.target.visits[number], float(thing.change.flux[number])
    exposure = render(thing.sources, visit, centre, thing.target.reference)
    for _ in range(c.EXPOSURE_TRIES):
        triplet = expose(exposure, thing.change, flux, rng)
        measured = measure(triplet, visit, centre, star_flux, rng)
        if all(low <= measured[name] <= high for name, (low, high) in c.ALERT_CUTS.items()):
            break
    return triplet, measured


def _detections(thing: _Object, number: int, rng: np.random.Generator) -> Record:
    """How often the position was covered and detected since the survey began."""
    first, visit = thing.target.visits[0], thing.target.visits[number]
    start_jd = c.JD_START + thing.target.rejuvenation
    covered = max(1, round(thing.target.rate * (first.jd - start_jd)))
    earlier = np.random.default_rng([thing.target.index, 3]).binomial(covered, min(thing.recurrence, 0.95))
    now = max(covered + number, round(thing.target.rate * (visit.jd - start_jd)) + number)
    start = first.jd if earlier == 0 else c.JD_START + 60 + 0.5 * max(first.jd - c.JD_START - 60, 0)
    return {"ndethist": int(earlier + number + 1), "ncovhist": now, "jdstarthist": start, "jdendhist": visit.jd}


def _solar_system(visit: Visit, record: Record, ra: float, dec: float, rng: np.random.Generator) -> Record:
    latitude = rotate(np.array([ra]), np.array([dec]), TO_ECLIPTIC)[1][0]
    distance = visit.ssdistnr
    if distance < 0 and abs(latitude) < 15 and rng.random() < c.PASSING_ASTEROID:
        distance = float(rng.integers(10, 30))
    known = distance >= 0
    return {
        "ssdistnr": distance,
        "ssmagnr": round(float(record["magpsf"]) + rng.normal(-0.1, 0.3), 1) if known else SENTINEL,
        "ssnamenr": str(rng.integers(1, 300_000)) if known else "null",
    }


def _calibration(thing: _Object, visit: Visit, rng: np.random.Generator) -> Record:
    """Fields about the exposure's photometric calibration and provenance (no classifier here reads them)."""
    matches = thing.field["nmatches"]
    scatter = float(np.exp(rng.normal(np.log(0.05), 0.25)))
    coefficient = {1: -0.10, 2: 0.08, 3: 0.0}[visit.fid] + rng.normal(0, 0.03)
    return thing.field | {
        "tooflag": 0,
        "rfid": thing.field["field"] * 10**6 + 120_000 + visit.fid * 100 + thing.target.rcid,
        "magzpsciunc": 0.01 / matches,
        "magzpscirms": scatter,
        "clrcoeff": coefficient,
        "clrcounc": 0.016 / matches,
        "zpclrcov": -0.011 / matches,
        "zpmed": visit.zeropoint + 0.75 * coefficient,
        "clrmed": float(rng.normal(0.65, 0.07)),
        "clrrms": float(rng.normal(0.28, 0.04)),
        "exptime": 30.0,
        "drbversion": "d6_m7",
    }


def _make_packet(candidate: Record, past: list[Record], triplet: Triplet, thing: _Object, visit: Visit) -> Record:
    candid, pid = candidate["candid"], candidate["pid"]
    packet: Record = {
        "schemavsn": "3.3",
        "publisher": "Two-Stamp simulated survey",
        "objectId": thing.target.object_id,
        "candid": candid,
        "candidate": candidate,
        "prv_candidates": past or None,
    }
    names = {"Science": f"pid{pid}_targ_sci", "Template": "ref", "Difference": f"pid{pid}_targ_scimref"}
    for kind, name in names.items():
        image = cut_at_chip_edges(getattr(triplet, kind.lower()), candidate["xpos"], candidate["ypos"])
        image = image[:-3] if visit.fault == "odd shape" else image
        stamp = encode_stamp(image)
        stamp = stamp[: len(stamp) // 3] if visit.fault == "broken stamp" else stamp
        packet[f"cutout{kind}"] = {"fileName": f"candid{candid}_{name}.fits.gz", "stampData": stamp}
    if visit.fault == "missing stamp":
        packet["cutoutTemplate"] = None
    return packet
