"""What becomes of alerts, whatever the order in which they come and wherever a batch ends."""

import itertools

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import make_alert
from tests.stream.stub import CLASSES, StubModel, probabilities
from twostamp.alerts.first_two import first_two
from twostamp.alerts.packet import read_schema, write_packets
from twostamp.models.calibration import Calibration
from twostamp.stream.payloads import Payload, Place
from twostamp.stream.scorer import Scorer

PLACE = Place("topic", 0)


def payload(*alerts, offset=0, fault=""):
    """Alerts of one container, or bytes."""
    data = alerts[0] if isinstance(alerts[0], bytes) else write_packets(alerts, read_schema())
    return Payload(PLACE, offset, data, 0.0, fault)


class Stream:
    """Batches one after another, with the state between them in a dict."""

    def __init__(self, model=None, **options):
        self.scorer = Scorer(model or StubModel(), **options)
        self.known, self.seen, self.answers, self.quarantined = {}, set(), [], []
        self.counts = pd.Series(dtype=int)

    def take(self, *payloads):
        alerts, scored = self.scorer.screen(payloads)
        names, candids = {each.key.objectId for each in alerts}, {each.key.candid for each in alerts}
        known = {name: state for name, state in self.known.items() if name in names}
        self.scorer.score(alerts, known, self.seen & candids, scored)
        self.known |= scored.states
        self.seen |= {each.candid for each in scored.seen}
        self.answers += scored.answers
        self.quarantined += [(each.candid, each.reason) for each in scored.quarantined]
        self.counts = self.counts.add(pd.Series(scored.counts, dtype=int), fill_value=0).astype(int)
        return scored.answers

    @property
    def balance(self):
        return {name: n for name, n in self.counts.items() if n}


def test_the_first_alert_is_answered_and_the_second_revises():
    stream = Stream()
    first, second = make_alert("ZTF18a", 1, 2458001.5, ndethist=1), make_alert("ZTF18a", 2, 2458002.5, ndethist=2)
    (early,) = stream.take(payload(first))
    (late,) = stream.take(payload(second))
    assert (early["revision"], early["supersedes"], early["n_alerts"]) == (1, None, 1)
    assert (late["revision"], late["supersedes"], late["n_alerts"]) == (2, 1, 2)
    assert (late["candid_1"], late["candid_2"], late["deltajd"], late["night"]) == (1, 2, 1.0, "20170906")
    assert [late[f"p_{name}"] for name in CLASSES] == probabilities([first, second]).tolist()
    assert not early["first_unseen"]
    assert not late["first_unseen"]
    assert stream.balance == {"read": 2, "first": 1, "second": 1}


def test_a_third_alert_and_the_same_again_are_counted():
    stream = Stream()
    alerts = [make_alert("ZTF18a", candid, 2458000.5 + candid) for candid in (1, 2, 3)]
    stream.take(*map(payload, alerts), payload(alerts[2]))
    stream.take(payload(alerts[0]), payload(alerts[2]))
    assert len(stream.answers) == 2
    assert stream.balance == {"read": 6, "first": 1, "second": 1, "later": 1, "duplicate": 3}


def test_an_earlier_alert_that_comes_late_makes_a_new_revision():
    stream = Stream()
    a, b, early = (make_alert("ZTF18a", candid, jd) for candid, jd in ((1, 2458002.5), (2, 2458003.5), (3, 2458001.5)))
    stream.take(payload(a), payload(b))
    (row,) = stream.take(payload(early))
    assert (row["candid_1"], row["candid_2"], row["revision"], row["supersedes"]) == (3, 1, 3, 2)
    assert [row[f"p_{name}"] for name in CLASSES] == probabilities([early, a]).tolist()
    assert row["jd"] == 2458002.5


def test_of_one_exposure_the_smallest_candid_counts():
    stream = Stream()
    stream.take(*(payload(make_alert("ZTF18a", candid, jd)) for candid, jd in ((5, 2458001.5), (6, 2458002.5))))
    assert stream.take(payload(make_alert("ZTF18a", 7, 2458001.5))) == []
    (row,) = stream.take(payload(make_alert("ZTF18a", 4, 2458001.5)))
    assert (row["candid_1"], row["candid_2"]) == (4, 6)
    assert stream.balance == {"read": 4, "first": 2, "second": 1, "later": 1}


@pytest.mark.parametrize(
    ("earlier", "flagged"),
    [
        ({"ndethist": 1}, False),
        ({"ndethist": 2}, True),
        ({"ndethist": 1, "jdstarthist": 2458001.5}, False),
        ({"ndethist": 1, "jdstarthist": 2457001.5}, True),
    ],
)
def test_what_the_survey_saw_before_is_no_first_alert(earlier, flagged):
    (row,) = Stream().take(payload(make_alert("ZTF18a", 1, 2458001.5, **earlier)))
    assert row["first_unseen"] == flagged


def test_a_detection_in_the_history_that_never_came_is_told():
    (history,) = (field["type"] for field in read_schema()["fields"] if field["name"] == "prv_candidates")
    (kind,) = (kind for kind in history if kind != "null")
    fields = kind["items"]["fields"]
    empty = {field["name"]: None for field in fields} | {"jd": 2458000.5, "fid": 1, "pid": 1, "programid": 1}
    empty["rbversion"] = ""

    def answer(past, alert):
        return alert | {"prv_candidates": [empty | {"candid": candid} for candid in past]}

    stream = Stream()
    first, second = make_alert("ZTF18a", 1, 2458001.5), make_alert("ZTF18a", 2, 2458002.5)
    rows = stream.take(payload(answer([None], first)), payload(answer([None, 1], second)))
    assert [row["first_unseen"] for row in rows] == [False, False]
    (row,) = Stream().take(payload(answer([None, 9], first)))
    assert row["first_unseen"]


def test_rules_of_alerce_are_flags_beside_the_answer():
    names = ("solar_system_match", "near_star", "negative_difference")
    near, far = {"sgscore1": 0.9, "distpsnr1": 0.4}, {"sgscore1": 0.9, "distpsnr1": 4.0}
    for values, flags in (
        ({"ssdistnr": -999.0, "isdiffpos": "t", **far}, (False, False, False)),
        ({"ssdistnr": 3.0, "isdiffpos": "f", **near}, (True, True, True)),
        ({"ssdistnr": None, "sgscore1": -999.0, "distpsnr1": -999.0}, (False, False, False)),
    ):
        (row,) = Stream().take(payload(make_alert("ZTF18a", 1, 2458001.5, **values)))
        assert tuple(row[name] for name in names) == flags


def test_a_bad_packet_costs_no_other_its_answer():
    stream = Stream()
    good = [make_alert(f"ZTF18{letter}", number, 2458001.5) for number, letter in enumerate("abc")]
    stream.take(
        payload(good[0]),
        payload(b"Obj"),
        payload(make_alert("ZTF18d", 9, 2458001.5, stamps=(b"", None, b""))),
        payload(good[1]),
        payload(make_alert("ZTF18e", 10, 2458001.5, magpsf=1e6)),
        payload(b"", fault="it is hidden"),
        payload(good[2]),
    )
    assert [row["object_id"] for row in stream.answers] == ["ZTF18a", "ZTF18b", "ZTF18c"]
    assert stream.balance == {"read": 7, "first": 3, "quarantined": 4}
    assert [candid for candid, _ in stream.quarantined] == [None, None, 9, 10]
    assert stream.quarantined[1][1] == "it is hidden"


def test_a_bad_alert_leaves_its_place_to_the_next():
    stream = Stream()
    bad = make_alert("ZTF18a", 1, 2458001.5, stamps=(None,) * 3)
    stream.take(payload(bad), payload(make_alert("ZTF18a", 2, 2458002.5)))
    assert [row["candid_1"] for row in stream.answers] == [2]
    assert stream.balance == {"read": 2, "first": 1, "quarantined": 1}


def test_a_field_that_the_model_needs_is_asked_for():
    model = StubModel()
    model.fields = frozenset({"jd", "nosuch"})
    stream = Stream(model)
    stream.take(payload(make_alert()))
    assert "candidate.nosuch" in stream.quarantined[0][1]


def test_what_only_the_network_refuses_is_quarantined():
    model = StubModel()
    model.answer = lambda objects: (StubModel().answer(objects)[0], {0: "no"})
    stream = Stream(model)
    stream.take(payload(make_alert("ZTF18a", 1)), payload(make_alert("ZTF18b", 2)))
    assert stream.balance == {"read": 2, "first": 1, "quarantined": 1}
    assert [row["object_id"] for row in stream.answers] == ["ZTF18b"]


def test_other_programs_are_counted_unless_they_are_ours():
    alerts = [make_alert(f"ZTF18{program}", program, programid=program) for program in (1, 2, 3)]
    stream = Stream()
    stream.take(*map(payload, alerts))
    assert stream.balance == {"read": 3, "first": 1, "not our programid": 2}
    assert len(Stream(programs=(1, 2, 3)).take(*map(payload, alerts))) == 3


def test_a_container_of_several_alerts_is_several_alerts():
    stream = Stream()
    rows = stream.take(payload(make_alert("ZTF18a", 1, 2458001.5), make_alert("ZTF18a", 2, 2458002.5)))
    assert [row["revision"] for row in rows] == [1, 2]
    (row,) = stream.take(payload(make_alert("ZTF18a", 3, 2458000.5)))
    assert row["candid_2"] == 1


def test_a_calibration_gives_sets_and_corrected_probabilities():
    model = StubModel()
    model.calibrations = {2: Calibration(1.0, (0.0, 0.9, 0.0), 0.9, (0.8, 0.1, 0.1))}
    alone, both = Stream(model).take(*(payload(make_alert("ZTF18a", n, 2458000.5 + n)) for n in (1, 2)))
    assert alone["conformal"] is None
    assert "night_SN" not in alone
    assert set(both["conformal"].split(",")) == {"AGN", "VS"}
    assert both["night_AGN"] > both["p_AGN"]
    assert sum(both[f"night_{name}"] for name in CLASSES) == pytest.approx(1)


def test_alerts_say_whether_they_are_simulated():
    scorer = Scorer(StubModel())
    for publisher, simulated in (("Two-Stamp simulated survey", True), ("ZTF", False)):
        alerts, scored = scorer.screen([payload(make_alert() | {"publisher": publisher})])
        scorer.score(alerts, {}, set(), scored)
        assert scored.origins == {simulated}


ALERTS = [
    make_alert(f"ZTF18{name}", candid, 2458000.5 + jd, **({"stamps": (None,) * 3} if bad else {}))
    for candid, (name, jd, bad) in enumerate(
        [
            *(("a", 1, 0), ("a", 2, 0), ("a", 3, 0), ("a", 2, 0), ("a", 0, 1)),
            *(("b", 1, 1), ("b", 1, 0), ("b", 4, 0), ("b", 5, 0), ("c", 1, 0), ("c", 1, 0)),
        ],
        start=1,
    )
]
PAYLOADS = [payload(alert) for alert in ALERTS]


@given(st.permutations(range(len(ALERTS))), st.sets(st.integers(0, len(ALERTS))))
def test_any_order_and_any_batches_end_at_the_batch_answer(order, cuts):
    """The same rows wherever batches end, and at the end the first two of all alerts (decisions D1 and D9)."""
    chosen = [PAYLOADS[number] for number in order]
    whole, cut = Stream(), Stream()
    whole.take(*chosen)
    for start, end in itertools.pairwise([0, *sorted(cuts), len(chosen)]):
        cut.take(*chosen[start:end])
    for row in (*whole.answers, *cut.answers):
        row.pop("scored")
    assert cut.answers == whole.answers
    assert cut.balance == whole.balance
    rows = [(a["objectId"], a["candid"], a["candidate"]["jd"], None if a["cutoutScience"] else "bad") for a in ALERTS]
    tried = pd.DataFrame(rows, columns=["objectId", "candid", "jd", "reason"])
    wanted = first_two(tried).groupby("objectId")["candid"].agg(tuple).to_dict()
    last = {row["object_id"]: (row["candid_1"], row["candid_2"]) for row in whole.answers}
    assert {name: tuple(filter(None, candids)) for name, candids in last.items()} == wanted
    assert {name: tuple(seen.candid for seen in state.alerts) for name, state in whole.known.items()} == wanted
