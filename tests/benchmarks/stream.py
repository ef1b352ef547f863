"""Rows of the stream: alerts answered from tarballs and from Kafka, and how long an alert waits for its answer."""

import itertools
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from tests.benchmarks import inputs
from tests.benchmarks.measure import Row, bound, compare, rate_of
from twostamp.stream import ArchiveSource, KafkaSource, NightModel, Scorer, name_topics, open_sink, score_stream
from twostamp.stream.payloads import Extent, Payload, Place, Source

ALERTS = inputs.sized(600, 16)
RATE, STEADY, BURST = 33.0, inputs.sized(400, 16), inputs.sized(10_000, 64)
"""Alerts a second of ZTF's stream; alerts measured at that rate, and of a burst (Rubin sends as many at once)."""
_PLACE = Place("bench", 0)


class PacedSource:
    """Alerts that come at given seconds."""

    def __init__(self, packets: Sequence[bytes], seconds: Sequence[float]) -> None:
        self.packets, self.seconds, self.damage = packets, seconds, list[str]()

    def read(self, _: object) -> Iterator[Payload | Extent | None]:
        yield Extent(_PLACE, 0, len(self.packets))
        start = time.time()
        for number, (packet, due) in enumerate(zip(self.packets, self.seconds, strict=True)):
            time.sleep(max(start + due - time.time(), 0))
            yield Payload(_PLACE, number, packet, start + due)


def score(make_source: Callable[[], Source], model: NightModel) -> np.ndarray:
    """Score a source into a new file; gives the seconds from arrival to answer, of each."""
    with tempfile.TemporaryDirectory() as folder, open_sink(Path(folder) / "tonight.sqlite", model) as sink:
        score_stream(make_source(), Scorer(model), sink, threading.Event())
        assert not sink.check_account()
        rows = sink.answers_after(0, 1 << 30)
    return np.array([row["scored"] - row["received"] for _, row in rows])


def stream() -> Iterator[Row]:
    """Answers a second beside ``twostamp classify`` of the same tarball, which gives an object one answer, not two."""
    from tests.broker import run_broker  # an optional package, which these rows alone need

    model, pairs = NightModel.load(), inputs.make_pairs(ALERTS // 2)
    nights = {"one alert": (inputs.read_alerts()[:ALERTS], ALERTS)}
    nights["two alerts"] = ([*itertools.chain(*pairs)], len(pairs))
    with tempfile.TemporaryDirectory() as folder, run_broker() as broker:
        for number, (what, (packets, objects)) in enumerate(nights.items()):
            path = Path(folder) / f"ztf_public_2018060{number}.tar.gz"
            inputs.write_tarball(path, packets)
            topic = broker.make_topic(f"ztf_bench{number}_programid1")
            broker.send(topic, [(0, None, packet) for packet in packets])
            batch = rate_of(objects, partial(model.second.predict_folder, path))
            kafka = partial(KafkaSource, broker.servers, partial(name_topics, topic, ["20180601"]))
            for name, source in (("tarballs", partial(ArchiveSource, str(path))), ("Kafka", kafka)):
                ours = rate_of(ALERTS, partial(score, source, model))
                row = f"stream from {name} / twostamp classify, {what} an object"
                yield compare(row, "answers/s", ours, batch, 0.7)


def arrival() -> Iterator[Row]:
    """Seconds from arrival to answer at ZTF's rate, and in a burst: as long as until the next of that size at most."""
    model, packets = NightModel.load(), inputs.read_alerts()
    score(partial(PacedSource, packets[:64], [0.0] * 64), model)  # the graph is traced
    for what, n, seconds, limits in (
        (f"at {RATE:g} alerts/s", STEADY, np.arange(STEADY) / RATE, (1.0, 3.0)),
        (f"in a burst of {BURST} alerts", BURST, np.zeros(BURST), (BURST / RATE / 2, BURST / RATE)),
    ):
        copies = [
            inputs.copy_packet(packets[i % len(packets)], i, f"ZTF19b{i:06}", 2458300.5 + i * 1e-5) for i in range(n)
        ]
        waited = score(partial(PacedSource, copies, seconds), model)
        for name, quantile, limit in zip(("p50", "p99"), (0.5, 0.99), limits, strict=True):
            row = f"stream, arrival to answer {what}, {name}"
            yield bound(row, "s", [float(np.quantile(waited, quantile))], limit)
