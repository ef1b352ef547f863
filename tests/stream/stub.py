"""A stream without a network: a model that answers from candids alone, and a process that scores with it.

``python -m tests.stream.stub FILE ARCHIVE`` or ``... FILE SERVERS TOPIC`` scores slowly enough to be killed.
"""

import sys
import threading
import time
from functools import partial
from pathlib import Path

import numpy as np

from twostamp.stream.payloads import ArchiveSource
from twostamp.stream.scorer import Scorer
from twostamp.stream.sink import Sink
from twostamp.stream.tonight import score_stream

CLASSES = ("AGN", "SN", "VS")


class StubModel:
    """Probabilities that anyone can recompute: of the candids of the packets answered from."""

    classes, name, version, calibrations = CLASSES, "stub", "1", {}
    fields = frozenset({"jd", "magpsf"})

    def __init__(self, pause=0.0):
        self.pause = pause

    def answer(self, objects):
        time.sleep(self.pause * len(objects))
        return np.array([probabilities(packets) for packets in objects]).reshape(-1, len(CLASSES)), {}


def probabilities(packets):
    candids = [int(packet["candidate"]["candid"]) for packet in packets]
    values = np.random.default_rng(candids).random(len(CLASSES))
    return values / values.sum()


def make_sink(path, timeout=30.0):
    model = {"name": StubModel.name, "version": StubModel.version}
    return Sink(path, {"classes": list(CLASSES), "model": model, "keep_class": "SN", "keep_above": 0.4}, timeout)


def score(source, path, batch=64, pause=0.0, publish=None):
    """Score a source into a file; gives the account."""
    sink = make_sink(Path(path))
    try:
        score_stream(source, Scorer(StubModel(pause)), sink, threading.Event(), publish, batch)
        assert sink.check_account() == []
        return sink.account()
    finally:
        sink.close()


def kafka_source(servers, topic, **options):
    from twostamp.stream.kafka import KafkaSource, name_topics

    return KafkaSource(servers, partial(name_topics, topic, ["20180601"]), **options)


if __name__ == "__main__":
    path, *source = sys.argv[1:]
    score(ArchiveSource(*source) if len(source) == 1 else kafka_source(*source), path, batch=16, pause=0.003)
