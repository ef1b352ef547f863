"""Score a stream: a thread reads ahead, batches are scored and written one by one, until the end or a signal."""

import contextlib
import queue
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tqdm.auto import tqdm

from twostamp.stream.payloads import Extent, Payload, Source
from twostamp.stream.scorer import Scorer
from twostamp.stream.sink import Sink
from twostamp.utils.dates import julian_now

BATCH = 512
"""Largest number of alerts per transaction."""
LINGER = 0.2
"""Seconds that an alert waits for others to join its batch."""
_AHEAD = 2 * BATCH
_TICK = 0.1
_Item = Payload | Extent


def score_stream(
    source: Source,
    scorer: Scorer,
    sink: Sink,
    stop: threading.Event,
    publish: Callable[[Sink], object] | None = None,
    batch: int = BATCH,
) -> float:
    """Score all alerts of a source.

    A source faster than the scoring waits. `stop` ends the stream between two batches; the rest stays unread.

    Parameters
    ----------
    source : Source
    scorer : Scorer
    sink : Sink
    stop : threading.Event
    publish : callable, optional
        Function called after each transaction.
    batch : int
        Largest number of payloads per transaction.

    Returns
    -------
    float
        Julian date of the newest alert, 0 without one.
    """
    last, reader = 0.0, _Reader(source, sink, stop)
    if publish:  # what the previous process did not publish
        publish(sink)
    with tqdm(unit="alert", desc="tonight") as progress:
        for items in reader.batches(batch):
            newest = process_batch(items, scorer, sink)
            if publish:
                publish(sink)
            progress.update(sum(isinstance(item, Payload) for item in items))
            if newest:
                progress.set_postfix_str(f"newest alert {_format_age(julian_now() - newest)} old")
            last = max(last, newest)
    return last


def process_batch(items: Sequence[_Item], scorer: Scorer, sink: Sink) -> float:
    """Score one batch; return the jd of its newest alert, 0 without one."""
    with sink.transaction():
        alerts, scored = scorer.screen(sink.advance(items))
        known, old = sink.look_up(alerts)
        scorer.score(alerts, known, old, scored)
        sink.write(scored)
    return max((alert.key.jd for alert in alerts), default=0.0)


@contextlib.contextmanager
def stopping_at_signals() -> Iterator[threading.Event]:
    """Set an event at SIGTERM or SIGINT, so that a batch can finish."""
    stop = threading.Event()
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Reader:
    """Reads a source in a thread, a bounded number of items ahead."""

    def __init__(self, source: Source, sink: Sink, stop: threading.Event) -> None:
        self.stop = stop
        self.error: BaseException | None = None
        self._items: queue.Queue[_Item] = queue.Queue(_AHEAD)
        self._thread = threading.Thread(target=self._read, args=(source, sink.progress()), daemon=True)
        self._done = threading.Event()

    def _read(self, source: Source, progress: Any) -> None:
        try:
            for item in source.read(progress):
                if item is not None:
                    self._put(item)
                if self.stop.is_set():
                    break
        except BaseException as error:  # raised by the other thread
            self.error = error
        finally:
            self._done.set()

    def _put(self, item: _Item) -> None:
        while not self.stop.is_set():
            with contextlib.suppress(queue.Full):
                self._items.put(item, timeout=_TICK)
                return

    def batches(self, size: int) -> Iterator[list[_Item]]:
        self._thread.start()
        while items := self._gather(size):
            yield items
        self._thread.join()
        if self.error:
            raise self.error

    def _gather(self, size: int) -> list[_Item]:
        """Wait for an item and, for `LINGER` seconds, for more; return none at the end."""
        items: list[_Item] = []
        deadline = None
        while len(items) < size and not self.stop.is_set():
            left = _TICK if deadline is None else deadline - time.monotonic()
            try:
                items.append(self._items.get(timeout=max(left, 0)))
                deadline = deadline or time.monotonic() + LINGER
            except queue.Empty:
                if deadline is not None or (self._done.is_set() and self._items.empty()):
                    break
        return items


def _format_age(days: float) -> str:
    for unit, length in (("d", 1), ("h", 1 / 24), ("min", 1 / 1440)):
        if days > 2 * length:
            return f"{days / length:.0f} {unit}"
    return f"{days * 86_400:.0f} s"
