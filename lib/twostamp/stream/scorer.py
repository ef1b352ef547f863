"""Scoring of a batch: payloads and the state of their objects in, predictions out; no files are read or written.

An object's first two alerts have the two smallest distinct ``jd`` among alerts with valid values and stamps. For
several alerts of one exposure the smallest candid counts. This is the rule of the extraction (decisions D1 and D9),
applied to the alerts received so far. An alert that becomes one of the two makes a new revision; the others are
counted. The result depends on the alerts and their order, never on the limits of batches.
"""

import contextlib
import time
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from twostamp.alerts.avro import PacketError, collecting_reasons, count_records
from twostamp.alerts.first_packets import open_packet
from twostamp.alerts.packet import SENTINEL, AlertKey, find_candid, find_candidate, read_packets, try_keys
from twostamp.alerts.values import MissingField, read_isdiffpos, read_number
from twostamp.stream.payloads import Payload
from twostamp.utils.dates import night_of
from twostamp.utils.typing import Floats

if TYPE_CHECKING:
    from twostamp.stream.night_model import NightModel

READ, FIRST, SECOND, LATER, DUPLICATE, PROGRAM, QUARANTINED = KINDS = (
    "read", "first", "second", "later", "duplicate", "not our programid", "quarantined",
)  # fmt: skip
"""Counts: alerts read, then the outcome of each."""
_STAR, _NEAR = 0.5, 1.0  # sgscore1, and distpsnr1 in arcsec: ALeRCE's rules
_SECOND_OF_TIME = 1 / 86_400


class Seen(NamedTuple):
    """Stored fields of one alert of an object."""

    jd: float
    candid: int


@dataclass(frozen=True)
class Known:
    """State of an object: its first alerts so far (at most two), their payloads by candid, and its last revision."""

    alerts: tuple[Seen, ...] = ()
    packets: Mapping[int, bytes] = field(default_factory=dict)
    revision: int = 0


@dataclass(frozen=True)
class Quarantined:
    """A payload, or one alert of it, that cannot be used, with the reason."""

    payload: Payload
    record: int
    candid: int | None
    reason: str
    alerts: int


@dataclass
class Scored:
    """Result of a batch.

    Attributes
    ----------
    answers : list of dict
        Rows of the table ``answers``.
    states : dict of str to Known
        States of the changed objects.
    packets : list of tuple
        candid, objectId and payload of the alerts used in predictions.
    seen : list of Seen
        Alerts that are no longer new.
    quarantined : list of Quarantined
    counts : Counter
        Counts by `KINDS`.
    origins : set of bool
        Whether alerts are marked as simulated.
    """

    answers: list[dict[str, Any]] = field(default_factory=list)
    states: dict[str, Known] = field(default_factory=dict)
    packets: list[tuple[int, str, bytes]] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    quarantined: list[Quarantined] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    origins: set[bool] = field(default_factory=set)

    def quarantine(self, payload: Payload, record: int, candid: int | None, reason: str, alerts: int = 1) -> None:
        """Record an unusable payload or alert, and the number of alerts lost."""
        self.counts[QUARANTINED] += alerts
        self.quarantined.append(Quarantined(payload, record, candid, reason, alerts))


@dataclass(frozen=True)
class Alert:
    """An alert to score, and its index in a payload."""

    key: AlertKey
    payload: Payload
    record: int

    @property
    def seen(self) -> Seen:
        return Seen(self.key.jd, self.key.candid)


@dataclass(frozen=True)
class _Question:
    alert: Alert
    state: Known
    packets: list[dict[str, Any]]  # decoded alerts of the state, without history
    kind: str


class Scorer:
    """Scores a stream with a model.

    Parameters
    ----------
    model : NightModel
    programs : collection of int
        Values of ``programid`` to score; 1 is the public survey.
    """

    def __init__(self, model: "NightModel", programs: Collection[int] = (1,)) -> None:
        self.model, self.programs = model, frozenset(programs)

    def screen(self, payloads: Iterable[Payload]) -> tuple[list[Alert], Scored]:
        """Read the keys of the alerts in payloads, and count the alerts that are not to be scored."""
        alerts, scored = list[Alert](), Scored()
        for payload in payloads:
            keys: list[AlertKey | PacketError] = []
            with collecting_reasons() as reasons:
                if payload.fault:
                    raise PacketError(payload.fault)
                keys = try_keys(payload.data)
            if reasons:
                scored.counts[READ] += (lost := count_records(payload.data) or 1)
                scored.quarantine(payload, 0, None, reasons[0], lost)
            for record, key in enumerate(keys):
                scored.counts[READ] += 1
                if isinstance(key, PacketError):
                    scored.quarantine(payload, record, key.candid, key.reason)
                elif key.programid not in self.programs:
                    scored.counts[PROGRAM] += 1
                else:
                    alerts.append(Alert(key, payload, record))
        return alerts, scored

    def score(self, alerts: Sequence[Alert], known: Mapping[str, Known], old: Collection[int], scored: Scored) -> None:
        """Score a batch of alerts.

        Parameters
        ----------
        alerts : sequence of Alert
            Alerts in order of arrival.
        known : mapping of Known
            State of their objects before the batch, by objectId.
        old : collection of int
            Candids received before the batch.
        scored : Scored
            Result of `screen`; the outcomes of the alerts are added.
        """
        seen, questions, opened = set(old), list[_Question](), dict[int, dict[str, Any]]()
        for alert in alerts:
            name, candid = alert.key.objectId, alert.key.candid
            state = scored.states.get(name) or known.get(name) or Known()
            if candid in seen:
                scored.counts[DUPLICATE] += 1
                continue
            merged = _merge(state.alerts, alert.seen)
            if alert.seen in merged:
                with collecting_reasons() as reasons:
                    opened[candid] = self._open(alert)
                if reasons:
                    scored.quarantine(alert.payload, alert.record, candid, reasons[0])
                    continue
                scored.origins.add("simulated" in str(opened[candid].get("publisher")).lower())
                packets = {candid: alert.payload.data, **state.packets}
                packets = {each.candid: packets[each.candid] for each in merged}
                scored.states[name] = Known(merged, packets, state.revision + 1)
                scored.packets.append((candid, name, alert.payload.data))
                decoded = [opened.get(each.candid) or _find(packets[each.candid], each.candid) for each in merged]
                kind = FIRST if merged[0] == alert.seen else SECOND
                questions.append(_Question(alert, scored.states[name], decoded, kind))
            else:
                scored.counts[LATER] += 1
            scored.seen.append(alert.seen)
            seen.add(candid)
        self._answer(questions, scored)

    def _open(self, alert: Alert) -> dict[str, Any]:
        packet = open_packet(alert.payload.data, alert.record)
        candidate = find_candidate(packet)
        for name in sorted(self.model.fields - candidate.keys()):
            raise MissingField(f"the packet has no candidate.{name}")
        return packet

    def _answer(self, questions: Sequence[_Question], scored: Scored) -> None:
        probabilities, failures = self.model.answer([question.packets for question in questions])
        now = time.time()
        additions = self._calibrate(questions, probabilities)
        for place, question in enumerate(questions):
            if place in failures:  # passed all checks, but failed in the preparation
                key = question.alert.key
                scored.quarantine(question.alert.payload, question.alert.record, key.candid, failures[place])
                continue
            scored.counts[question.kind] += 1
            values = probabilities[place]
            row = _describe(question) | {f"p_{name}": float(p) for name, p in zip(self.model.classes, values)}
            order = np.argsort(-values, kind="stable")
            row |= {"ranking": ",".join(self.model.classes[k] for k in order)} | additions[place]
            row |= {"model": self.model.name, "model_version": self.model.version, "scored": now}
            scored.answers.append(row)

    def _calibrate(self, questions: Sequence[_Question], probabilities: Floats) -> list[dict[str, Any]]:
        """Compute the conformal set and corrected probabilities of each prediction, if the model has a calibration."""
        classes = self.model.classes
        additions: list[dict[str, Any]] = [{"conformal": None} for _ in questions]
        for n_alerts, calibration in self.model.calibrations.items():
            places = [place for place, each in enumerate(questions) if len(each.packets) == n_alerts]
            if places:
                sets, corrected = (make(probabilities[places]) for make in (calibration.make_sets, calibration.correct))
            for i, place in enumerate(places):
                members = [k for k in np.argsort(-probabilities[place], kind="stable") if sets[i, k]]
                additions[place] = {"conformal": ",".join(classes[k] for k in members)}
                additions[place] |= {f"night_{name}": float(p) for name, p in zip(classes, corrected[i])}
        return additions


def _merge(alerts: Sequence[Seen], new: Seen) -> tuple[Seen, ...]:
    """Choose an object's first two alerts: two exposures, with the smallest candid of each."""
    exposures: dict[float, Seen] = {}
    for alert in sorted({*alerts, new}):
        exposures.setdefault(alert.jd, alert)
    return tuple(exposures.values())[:2]


def _find(payload: bytes, candid: int, history: bool = False) -> dict[str, Any]:
    """Decode the alert with a candid in a payload."""
    return next(alert for alert in read_packets(payload, history) if find_candid(alert) == candid)


def _describe(question: _Question) -> dict[str, Any]:
    """Make the columns of a prediction that depend on the alerts alone."""
    alerts, candidate = question.state.alerts, find_candidate(question.packets[-1])
    first, last = alerts[0], alerts[-1]
    paired = len(alerts) == 2
    fid, star, distance = (_number(candidate, name) for name in ("fid", "sgscore1", "distpsnr1"))
    return {
        "object_id": question.alert.key.objectId,
        "revision": question.state.revision,
        "supersedes": question.state.revision - 1 or None,
        "n_alerts": len(alerts),
        "candid_1": first.candid,
        "candid_2": last.candid if paired else None,
        "jd_1": first.jd,
        "jd": last.jd,
        "deltajd": last.jd - first.jd if paired else None,
        "night": night_of(last.jd).replace("-", ""),
        "ra": _number(candidate, "ra"),
        "dec": _number(candidate, "dec"),
        "fid": None if fid is None else int(fid),
        "magpsf": _number(candidate, "magpsf"),
        "first_unseen": _was_seen_before(question),
        "solar_system_match": _number(candidate, "ssdistnr") is not None,
        "near_star": star is not None and star > _STAR and distance is not None and 0 <= distance < _NEAR,
        "negative_difference": read_isdiffpos(candidate.get("isdiffpos")) == 0,
        "received": question.alert.payload.received,
    }


def _number(candidate: Mapping[str, Any], name: str) -> float | None:
    """Read a number; None if ZTF gives none."""
    with contextlib.suppress(PacketError):
        number = read_number(name, candidate.get(name))
        return number if np.isfinite(number) and number != SENTINEL else None
    return None


def _was_seen_before(question: _Question) -> bool:
    """Whether a packet lists an earlier detection that is none of the alerts used."""
    alerts, payloads = question.state.alerts, question.state.packets
    for earlier, packet in enumerate(question.packets):
        candidate = find_candidate(packet)
        began = _number(candidate, "jdstarthist") or alerts[0].jd
        if (_number(candidate, "ndethist") or 1) - 1 > earlier or began < alerts[0].jd - _SECOND_OF_TIME:
            return True
    known = {None, *(alert.candid for alert in alerts)}
    with contextlib.suppress(PacketError):  # a damaged history must not cost a prediction
        for alert in alerts:
            packet = _find(payloads[alert.candid], alert.candid, history=True)
            if any(past.get("candid") not in known for past in packet.get("prv_candidates") or ()):
                return True
    return False
