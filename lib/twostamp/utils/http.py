"""HTTP requests with a limited rate for all threads, retries with back-off, and time-outs."""

import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

import requests
from urllib3.exceptions import HTTPError, InvalidHeader
from urllib3.util import Retry

from twostamp.params import PASSWORD

_TRANSIENT = frozenset({429, 500, 502, 503, 504})
_FAULTS = (
    requests.ConnectionError,
    requests.Timeout,
    requests.exceptions.ChunkedEncodingError,  # a body that ends early
    requests.exceptions.ContentDecodingError,
)
_LONGEST_PAUSE = 300.0
"""Seconds."""

Answer = TypeVar("Answer")


class RateLimit:
    """Limit of requests per second, over all threads that share it.

    Parameters
    ----------
    per_second : float
        Requests.

    Attributes
    ----------
    requests, retries : int
        Requests so far, and those repeated after a fault.
    """

    def __init__(self, per_second: float) -> None:
        self._gap = 1 / per_second
        self._next = 0.0
        self._lock = threading.Lock()
        self.requests = self.retries = 0

    def wait(self, *, again: bool = False) -> None:
        """Wait for this thread's turn."""
        with self._lock:
            self.requests += 1
            self.retries += again
            now = time.monotonic()
            turn = max(now, self._next)
            self._next = turn + self._gap
        time.sleep(turn - now)

    def hold(self, seconds: float) -> None:
        """Pause the requests of all threads, as requested by the server."""
        with self._lock:
            self._next = max(self._next, time.monotonic() + seconds)


def retry(ask: Callable[[], Answer], faults: tuple[type[Exception], ...], attempts: int, first_pause: float) -> Answer:
    """Call a function until it raises none of `faults`, at most `attempts` times; every pause is twice the last."""
    for attempt in range(attempts - 1):
        try:
            return ask()
        except faults:
            time.sleep(min(first_pause * 2**attempt, _LONGEST_PAUSE))
    return ask()


class PoliteSession(requests.Session):
    """Session with a limited rate that retries after transient faults, with growing pauses.

    Transient faults are time-outs, lost connections, truncated bodies and the statuses of `_TRANSIENT`. If the server
    asks for a pause (``Retry-After``), all threads wait.

    Parameters
    ----------
    limit : RateLimit
    timeout : float
        Seconds without a byte from the server after which a request counts as lost.
    attempts : int
        Most requests for one object.
    first_pause : float
        Seconds before the second attempt; every further pause is twice as long.
    raise_errors : bool
        Raise for every status from 400 on. ALeRCE's client does so except for packets, where it would take an error
        page for a packet.
    """

    def __init__(
        self,
        limit: RateLimit,
        *,
        timeout: float = 30.0,
        attempts: int = 5,
        first_pause: float = 1.0,
        raise_errors: bool = False,
    ) -> None:
        super().__init__()
        self.limit = limit
        self.timeout, self.attempts, self.first_pause, self.raise_errors = timeout, attempts, first_pause, raise_errors
        self.headers["User-Agent"] = "twostamp"

    def request(self, method: str, url: str, *args: Any, **options: Any) -> requests.Response:  # type: ignore[override]
        """Make a request; arguments, response and errors are those of `requests.Session.request`."""
        options.setdefault("timeout", self.timeout)
        for attempt in range(self.attempts):
            self.limit.wait(again=attempt > 0)
            last = attempt + 1 == self.attempts
            pause = min(self.first_pause * 2**attempt, _LONGEST_PAUSE)
            try:
                response = super().request(method, url, *args, **options)
            except _FAULTS:
                if last:
                    raise
            else:
                if last or not _is_transient(response):
                    break
                if wanted := _retry_after(response):
                    self.limit.hold(pause := wanted)
            time.sleep(pause)
        if self.raise_errors:
            response.raise_for_status()
        return response


def explain(error: Exception) -> str:
    """Explain in a few words why a request failed, without addresses that change from run to run.

    Examples
    --------
    >>> explain(requests.ReadTimeout("HTTPConnectionPool(...)"))
    'no answer in time'
    """
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status is not None:
        return {404: "not known to the server (404)", 429: "too many requests (429)"}.get(status, f"status {status}")
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    if isinstance(error, requests.exceptions.ChunkedEncodingError | HTTPError):
        return "the answer ends early"
    if isinstance(error, requests.exceptions.JSONDecodeError):
        return "the answer is not JSON"
    if isinstance(error, requests.ConnectionError):
        return "no connection"
    return redact(str(error)) or type(error).__name__


def redact(text: str) -> str:
    """Hide passwords of URLs.

    Examples
    --------
    >>> redact("no answer from https://me:hush/hush@example.org/labels.csv")
    'no answer from https://***@example.org/labels.csv'
    """
    return PASSWORD.sub("***", text)


def _is_transient(response: requests.Response) -> bool:
    """Whether a retry may help: a fault of the server, also one that a proxy reports as a bad request in HTML."""
    page = "html" in response.headers.get("Content-Type", "")
    return response.status_code in _TRANSIENT or (response.status_code == 400 and page)


def _retry_after(response: requests.Response) -> float:
    """Read the pause that the server asks for, seconds; 0 if there is none or it cannot be read."""
    try:
        wanted = Retry().parse_retry_after(response.headers.get("Retry-After", "0"))
    except InvalidHeader:
        return 0.0
    return min(max(wanted, 0.0), _LONGEST_PAUSE)
