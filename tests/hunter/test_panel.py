"""What the kernel says to the page: all of it JSON, nothing of the scores in blind mode, no verdict on a stale list."""

import json

import numpy as np
import pytest

from tests.hunter.night import FakeNight
from twostamp.hunter import Hunter
from twostamp.hunter.display import stretch
from twostamp.hunter.panel import Panel, make_panel


class Page:
    """A page that only listens."""

    def __init__(self, hunter, monkeypatch):
        self.heard = []
        monkeypatch.setattr(Panel, "send", lambda _, content, buffers=(): self.heard.append((content, buffers)))
        self.panel = Panel(hunter)

    def ask(self, **message):
        self.heard.clear()
        self.panel._receive(None, message, [])
        for content, _ in self.heard:
            json.dumps(content, allow_nan=False)
        return {content["type"]: content for content, _ in self.heard}


@pytest.fixture(scope="module")
def night():
    return FakeNight(12)


@pytest.fixture
def hunter(night, tmp_path):
    return Hunter(night, tmp_path / "verdicts.sqlite", person="ana")


@pytest.fixture
def page(hunter, monkeypatch):
    return Page(hunter, monkeypatch)


def test_a_page_that_opens_is_told_everything(page, hunter):
    hunter.go(3)
    said = page.ask(do="hello")
    assert list(said) == ["setup", "judged", "shown", "place"]
    assert said["setup"]["mark"] == "simulated survey"
    assert said["shown"]["rows"]["object_id"] == hunter.candidates["object_id"].tolist()
    assert said["place"]["place"] == 3
    (order,) = page.heard[2][1]
    assert np.frombuffer(order, np.int32).tolist() == list(range(12))


def test_what_is_shown_of_a_candidate(page, hunter):
    for how in ("zscale", "asinh"):
        hunter.stretch = how
        said = page.ask(do="want", rows=[2])["detail"]
        (pixels,) = page.heard[0][1]
        assert pixels == stretch(hunter.images(2), how).tobytes()
        assert len(said["alerts"]) == len(said["candids"]) == hunter.candidates["n_alerts"].iloc[2]
        assert said["alerts"][-1] == 0
        assert sum(said["answer"]["p"].values()) == pytest.approx(1, abs=0.01)
        assert [name for name, _ in said["links"]] == ["ALeRCE", "Fink", "TNS", "SIMBAD", "NED"]
        assert len(said["curve"]["day"]) == len(said["curve"]["mag"]) >= 4


def test_blind_mode_sends_no_score(page, hunter):
    hunter.blind()
    rows = page.ask(do="hello")["shown"]["rows"]
    assert all(set(rows[name]) == {None} for name in ("rank", "p", "p_first", "change"))
    assert None not in rows["mag"]
    assert page.ask(do="want", rows=[0])["detail"]["answer"] is None


def test_a_verdict_of_the_page_does_not_send_it_back_to_an_earlier_place(page, hunter):
    said = page.ask(do="verdict", place=0, row=0, verdict="bogus", kind="spike", seconds=2.0)
    assert list(said) == ["judged"]
    assert said["judged"]["judged"] == {0: ["bogus", "spike"]}
    assert hunter.place == 1
    said = page.ask(do="undo")
    assert list(said) == ["judged", "place", "undone"]
    assert said["judged"]["judged"] == {0: None}
    assert said["place"]["place"] == 0
    assert "nothing to undo" in page.ask(do="undo")["error"]["text"]
    page.ask(do="comment", place=4, row=4, text="odd")
    assert hunter.store.events()["comment"].iloc[-1] == "odd"
    assert list(page.ask(do="undo", known=True)) == ["judged", "undone"]  # the page went back before it asked


def test_no_verdict_is_noted_on_a_list_that_has_changed(page, hunter):
    hunter.order("mag")
    stale = int(hunter.rows[0][1])
    said = page.ask(do="verdict", place=0, row=stale, verdict="SN")
    assert "nothing was recorded" in said["error"]["text"]
    assert "nothing was recorded" in page.ask(do="comment", place=99, row=0, text="x")["error"]["text"]
    assert hunter.store.events().empty


def test_controls_drive_the_hunter(hunter, monkeypatch):
    monkeypatch.setattr(Panel, "send", lambda *_: None)
    row, said, _ = make_panel(hunter).children
    query, order, stretches, blind = row.children
    query.value = "n_alerts == 1"
    assert len(hunter.shown) == 4
    query.value = "beauty > 1"
    assert "beauty" in said.value
    assert len(hunter.shown) == 4
    order.value, stretches.value, blind.value = "rise", "asinh", True
    assert (hunter.stretch, hunter.is_blind, said.value) == ("asinh", True, "")
    assert hunter.shown["rise"].dropna().is_monotonic_decreasing
