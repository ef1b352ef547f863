"""Polite requests: one rate over all threads, back-off, and reasons that a person can read."""

import time

import pytest
import requests

from tests.local_server import serve
from twostamp.utils.http import PoliteSession, RateLimit, explain, redact, retry


def test_all_threads_keep_one_rate():
    with serve(lambda path, headers: (200, {}, b"{}")) as server:
        limit = RateLimit(40)
        sessions = [PoliteSession(limit) for _ in range(3)]
        start = time.monotonic()
        for n in range(9):
            sessions[n % 3].get(server.url)
        assert time.monotonic() - start >= 8 / 40  # a lower bound: no slow machine breaks it
        assert limit.requests == 9


def test_the_server_says_how_long_to_wait():
    answers = iter([(429, {"Retry-After": "1"}, b""), (200, {}, b"{}")])
    with serve(lambda path, headers: next(answers)) as server:
        start = time.monotonic()
        assert PoliteSession(RateLimit(1000), first_pause=0.001).get(server.url).status_code == 200
        assert time.monotonic() - start >= 1


def test_explanations_need_no_address():
    assert explain(requests.ConnectionError("HTTPConnectionPool(host='10.0.0.1')")) == "no connection"
    assert explain(ValueError()) == "ValueError"


class Flaky:
    def __init__(self, *errors):
        self.errors, self.calls = list(errors), 0

    def __call__(self):
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "answer"


def test_retry_asks_until_there_is_an_answer():
    ask = Flaky(KeyError(), ValueError())
    assert retry(ask, (KeyError, ValueError), attempts=3, first_pause=0) == "answer"
    assert ask.calls == 3


def test_retry_gives_up_with_the_last_error():
    ask = Flaky(*[ValueError(f"fault {n}") for n in range(5)])
    with pytest.raises(ValueError, match="fault 1"):
        retry(ask, (ValueError,), attempts=2, first_pause=0)
    assert ask.calls == 2


def test_retry_raises_other_errors_at_once():
    ask = Flaky(KeyError())
    with pytest.raises(KeyError):
        retry(ask, (ValueError,), attempts=5, first_pause=0)
    assert ask.calls == 1


def test_pauses_double(monkeypatch):
    pauses = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    retry(Flaky(*[ValueError()] * 3), (ValueError,), attempts=4, first_pause=2)
    assert pauses == [2, 4, 8]


@pytest.mark.parametrize(
    "url", ["https://me:hush@host/x.json", "postgresql://u:pa/hush@host/db", "s3://KEY:hush@bucket", "https://:hush@h/"]
)
def test_passwords_are_hidden(url):
    assert "hush" not in redact(f"no answer from {url}")
    assert "hush" not in explain(ValueError(f"{url} does not say"))


@pytest.mark.parametrize("url", ["https://host:8080/a@b", "https://host/user@example", "s3://bucket/a:b"])
def test_an_address_without_a_password_is_kept(url):
    assert redact(url) == url


@pytest.mark.parametrize(("kind", "tries"), [("text/html; charset=utf-8", 3), ("application/json", 1)])
def test_a_bad_request_in_html_is_asked_again(kind, tries):
    with serve(lambda path, headers: (400, {"Content-Type": kind}, b"<html>")) as server:
        session = PoliteSession(RateLimit(1e6), attempts=3, first_pause=0.001)
        assert session.get(server.url + "/x").status_code == 400
        assert len(server.log) == tries
