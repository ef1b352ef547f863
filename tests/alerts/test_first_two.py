"""The choice of two alerts agrees with the obvious loop over one object at a time."""

import json

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twostamp.alerts.first_two import bad_alerts, choose_alerts, count_outcomes, first_two

EMPTY = pd.DataFrame({"objectId": [], "candid": [], "jd": [], "reason": []})


def select_slowly(alerts):
    """Try an object's alerts in order of time and candid, until two of different exposures are whole."""
    used, bad = [], []
    for _, group in alerts.groupby("objectId"):
        kept = []
        for alert in group.sort_values(["jd", "candid"]).itertuples():
            if len(kept) == 2:
                break
            if alert.jd in [jd for jd, _ in kept]:
                continue
            if alert.whole:
                kept.append((alert.jd, alert.candid))
            else:
                bad.append(alert.candid)
        used += [candid for _, candid in kept]
    return used, sorted(bad)


def select(alerts):
    """What the extraction does, with packets opened in memory."""
    tried, effort = EMPTY, 1
    while len(left := choose_alerts(alerts, tried, effort)):
        opened = left.assign(reason=left["whole"].map({True: None, False: "bad"}))
        tried = pd.concat([frame for frame in (tried, opened) if len(frame)], ignore_index=True)
        effort *= 4
    return first_two(tried)["candid"].tolist(), sorted(bad_alerts(tried)["candid"]), len(tried)


@st.composite
def alert_tables(draw):
    rows = draw(st.lists(st.tuples(st.sampled_from("AB"), st.integers(1, 6), st.booleans()), min_size=1, max_size=24))
    table = pd.DataFrame(rows, columns=["objectId", "jd", "whole"]).astype({"jd": float})
    return table.assign(candid=draw(st.permutations(range(len(table)))))


@settings(max_examples=60, deadline=None)
@given(alert_tables())
def test_agrees_with_the_obvious_loop(alerts):
    used, bad, _ = select(alerts)
    assert (used, bad) == select_slowly(alerts)


def test_only_the_winners_are_opened():
    alerts = pd.DataFrame({"objectId": "A", "candid": range(50), "jd": [float(n) for n in range(50)], "whole": True})
    assert select(alerts) == ([0, 1], [], 2)


@pytest.mark.parametrize("n", [10, 1000])
def test_many_bad_stamps_take_few_rounds(n):
    alerts = pd.DataFrame({"objectId": "A", "candid": range(n), "jd": [float(i) for i in range(n)], "whole": False})
    rounds = 0
    tried = EMPTY
    while len(left := choose_alerts(alerts, tried, effort=4**rounds)):
        tried = pd.concat([frame for frame in (tried, left.assign(reason="bad")) if len(frame)], ignore_index=True)
        rounds += 1
    assert rounds <= 6
    assert len(bad_alerts(tried)) == n


def test_outcomes_are_counted_by_alert_and_by_object():
    rows = [  # object, jd, copies, opened: reason or None, stamps are square
        ("A", 1.0, 2, None, True),
        ("A", 1.0, 1, "", True),
        ("A", 2.0, 1, "bad", True),
        ("A", 900.0, 1, None, False),
        ("A", 901.0, 1, "", True),
        ("A", 900.0, 3, "", True),
        ("B", 5.0, 1, None, False),
        ("C", 6.0, 1, "bad", True),
        ("C", 7.0, 1, "", True),
        ("D", 1.0, 1, None, True),
        ("D", 1.5, 1, None, True),
    ]
    alerts = pd.DataFrame(rows, columns=["objectId", "jd", "copies", "reason", "square"])
    alerts["candid"] = range(len(alerts))
    classes = {"A": ("SN", "SN Ia"), "B": ("AGN", "QSO"), "C": ("SN", "SN II"), "D": ("SN", "SN Ia")}
    alerts["classALeRCE"] = alerts["objectId"].map(lambda name: classes[name][0])
    alerts["subclassALeRCE"] = alerts["objectId"].map(lambda name: classes[name][1])
    tried = alerts[alerts["reason"] != ""]
    counts = count_outcomes(alerts.drop(columns=["reason", "square"]), tried)
    found = {(row.what, row.name): row.n for row in counts.itertuples(index=False)}
    ia, ii, qso = (json.dumps(list(label)) for label in (classes["A"], classes["C"], classes["B"]))
    assert found == {
        ("state", "used"): 5,
        ("state", "quarantined"): 2,
        ("state", "same exposure"): 2,
        ("state", "later"): 1,
        ("state", "unexplained"): 1,
        ("copies", ""): 14,
        ("alerts", "2"): 2,
        ("alerts", "1"): 1,
        ("alerts", "0"): 1,
        ("square", "10"): 1,
        ("square", "11"): 1,
        ("found", ia): 2,
        ("found", qso): 1,
        ("pairs", ia): 2,
        ("contradicted", "A"): 1,
    }
    assert ii not in counts["name"].to_numpy()
    bare = count_outcomes(alerts[["objectId", "candid", "jd", "copies"]], tried)
    assert set(bare["what"]) == {"state", "copies", "alerts", "square"}
