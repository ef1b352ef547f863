"""Alerts from a Kafka broker, and predictions to one: the only module that uses Kafka (extra ``stream``).

The sink stores the offsets with the predictions; none is committed to the cluster. Topics have one name per UTC night.
They are listed again while the stream waits, since ZTF creates one at the night's first alert.
"""

import json
import logging
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient

from twostamp.alerts.avro import PacketError
from twostamp.stream.frames import SchemaRegistry, unframe
from twostamp.stream.payloads import Extent, Payload, Place
from twostamp.stream.sink import Sink

_log = logging.getLogger(__name__)
_FETCHED = 256  # messages per call
_WAIT = 0.1  # seconds
_TIMEOUT = 10.0
_ABSENT = (KafkaError._UNKNOWN_PARTITION, KafkaError._UNKNOWN_TOPIC, KafkaError.UNKNOWN_TOPIC_OR_PART)
WINDOW = 7
"""Nights for which ZTF keeps a topic; these are read if no night is named."""
_OPTIONS: dict[str, Any] = {
    "auto.offset.reset": "error",  # a deleted offset is reported here
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "enable.partition.eof": True,
    "isolation.level": "read_committed",
    "queued.max.messages.kbytes": 16_384,  # of each partition, read ahead
    "log_level": 3,
}


class BrokerError(RuntimeError):
    """A broker does not respond, or has none of the topics; the message is one sentence."""


def name_topics(template: str, nights: Sequence[str]) -> list[str]:
    """Name the topics of some nights, by default of the last `WINDOW` days.

    Examples
    --------
    >>> name_topics("ztf_{night}_programid1", ["20180601", "20180602"])
    ['ztf_20180601_programid1', 'ztf_20180602_programid1']
    """
    today = datetime.now(UTC)
    window = [f"{today - timedelta(days=days):%Y%m%d}" for days in range(WINDOW - 1, -1, -1)]
    return list(dict.fromkeys(template.format(night=night) for night in nights or window))


@dataclass
class _Partition:
    """State of a partition that is read."""

    content: str
    next: int
    ended: bool = False


@dataclass
class KafkaSource:
    """Topics of some nights.

    Attributes
    ----------
    servers : str
        host:port, separated by commas.
    name_topics : callable
        Returns the topics to read now.
    registry : SchemaRegistry
    follow : bool
        Wait for more messages after all are read.
    group : str
        Subscribe as a member of this group, for clusters that require it; otherwise partitions are assigned.
    options : mapping
        Options of librdkafka, for example ``security.protocol``.
    refresh : float
        Seconds between two searches for new topics, while there is nothing to read.
    patience : float
        Seconds to wait for a broker that does not respond.
    """

    servers: str
    name_topics: Callable[[], list[str]]
    registry: SchemaRegistry = field(default_factory=SchemaRegistry)
    follow: bool = False
    group: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    refresh: float = 5.0
    patience: float = 60.0
    damage: list[str] = field(default_factory=list)

    def read(self, progress: Mapping[Place, tuple[int, str]]) -> Iterator[Payload | Extent | None]:
        """Read as `twostamp.stream.payloads.Source.read`; the content of a partition is the id of its topic.

        Raises
        ------
        BrokerError
            No broker responds, or it has none of the topics (unless the stream follows them).
        """
        connection = {"bootstrap.servers": self.servers, **self.options}
        self._admin = AdminClient({"log_level": 3, **connection})
        self._consumer = Consumer({**_OPTIONS, **connection, "group.id": self.group or "twostamp"})
        self._partitions: dict[Place, _Partition] = {}
        self._subscribed: set[str] = set()
        self._progress = dict(progress)
        try:
            yield from self._read()
        except KafkaException as error:
            raise BrokerError(f"{self.servers}: {error.args[0].str()}") from error
        finally:
            self._consumer.close()

    def _read(self) -> Iterator[Payload | Extent | None]:
        yield from self._open()
        if not self._partitions and not self.follow:
            raise BrokerError(f"{self.servers} has none of the topics {', '.join(self.name_topics())}")
        looked = time.monotonic()
        while True:
            messages = self._consumer.consume(_FETCHED, _WAIT)
            for message in messages:
                yield from self._take(message)
            for place, partition in self._partitions.items() if messages else ():
                low, high = self._consumer.get_watermark_offsets(TopicPartition(*place), cached=True)
                yield Extent(place, max(low, 0), max(high, 0), partition.content)
            if messages:
                continue
            yield None
            if not self.follow and self._partitions and all(each.ended for each in self._partitions.values()):
                return
            if time.monotonic() - looked > self.refresh:
                yield from self._open()
                looked = time.monotonic()

    def _take(self, message: Message) -> Iterator[Payload | Extent]:
        place = Place(message.topic() or "", message.partition() or 0)
        error, partition = message.error(), self._partitions.get(place)
        if error is None and partition:
            partition.next, partition.ended = message.offset() + 1, False
            yield self._make_payload(place, message)
        elif error and error.code() == KafkaError._PARTITION_EOF and partition:
            partition.ended, partition.next = True, message.offset()
            yield Extent(place, 0, message.offset(), partition.content, reached=message.offset())
        elif error and error.code() == KafkaError._AUTO_OFFSET_RESET and partition:
            yield from self._start({place: partition.content}, gone=True)
        elif error and (error.fatal() or not (error.retriable() or (self.follow and error.code() in _ABSENT))):
            raise KafkaException(error)

    def _make_payload(self, place: Place, message: Message) -> Payload:
        value, key = message.value() or b"", message.key()
        data, fault = value if isinstance(value, bytes) else value.encode(), ""
        try:
            data = unframe(data, key.encode() if isinstance(key, str) else key, self.registry)
        except PacketError as error:
            fault = error.reason
        return Payload(place, message.offset() or 0, data, time.time(), fault)

    def _open(self) -> Iterator[Extent]:
        """List the topics; start reading those that are new or recreated."""
        found = self._find_partitions()
        fresh = {
            place: content
            for place, content in found.items()
            if place not in self._partitions or (content and self._partitions[place].content != content)
        }
        if fresh:
            yield from self._start(fresh)

    def _find_partitions(self) -> dict[Place, str]:
        """Find the partitions of our topics, and the id of each topic."""
        known = self._retry(self._admin.list_topics, timeout=min(_TIMEOUT, max(self.patience, 1))).topics
        topics = [name for name in self.name_topics() if name in known]
        ids = {name: self._find_id(name) for name in topics}
        return {Place(name, number): ids[name] for name in topics for number in known[name].partitions}

    def _retry(self, ask: Callable[..., Any], *what: Any, timeout: float) -> Any:
        """Ask the broker again until it answers: it may be down, or not know yet a topic that it has just made."""
        deadline = time.monotonic() + self.patience
        while True:
            try:
                return ask(*what, timeout=timeout)
            except KafkaException as error:
                if time.monotonic() > deadline:
                    raise BrokerError(f"{self.servers} does not answer: {error.args[0].str()}") from error
                time.sleep(_WAIT)

    def _find_id(self, topic: str) -> str:
        """Find the id that the cluster gave a topic; empty if it gives none."""
        try:
            found = self._admin.describe_topics(TopicCollection([topic]), request_timeout=_TIMEOUT)[topic].result()
        except KafkaException as error:
            _log.debug("%s: %s", topic, error)
            return ""
        return str(found.topic_id or "")

    def _start(self, places: Mapping[Place, str], gone: bool = False) -> Iterator[Extent]:
        """Read partitions from the next offset on, or from the first available one.

        The latter applies if offsets are `gone`, or belong to an earlier topic of that name.
        """
        for place, content in places.items():
            low, high = self._retry(self._consumer.get_watermark_offsets, TopicPartition(*place), timeout=_TIMEOUT)
            partition = self._partitions.get(place)
            new = low, content
            start, before = (partition.next, partition.content) if partition else self._progress.get(place, new)
            if gone and start > high:
                content = f"{before}+"
            if before != content:
                _log.warning("topic %s was recreated: it is read from its beginning", place.topic)
                start = low
            if start < low:
                _log.warning("%s, partition %d: %d alerts lost to retention", *place, low - start)
            self._partitions[place] = _Partition(content, max(start, low))
            yield Extent(place, low, high, content)
        self._assign()

    def _assign(self) -> None:
        offsets = [TopicPartition(*place, each.next) for place, each in self._partitions.items()]
        if not self.group:
            self._consumer.assign(offsets)
        elif (topics := {place.topic for place in self._partitions}) != self._subscribed:
            self._subscribed = topics
            self._consumer.subscribe(sorted(topics), on_assign=self._on_assign)
        else:
            self._consumer.assign(offsets)

    def _on_assign(self, consumer: Consumer, assigned: list[TopicPartition]) -> None:
        places = [Place(each.topic, each.partition) for each in assigned]
        self._partitions = {place: self._partitions[place] for place in places if place in self._partitions}
        consumer.assign([TopicPartition(*place, each.next) for place, each in self._partitions.items()])


class Publisher:
    """Publishes predictions as JSON messages of a topic, each exactly once.

    The cluster stores how far each file's are sent. The transaction that sends predictions also sets the number of the
    last one as offset of a consumer group, from which the next process resumes.

    Parameters
    ----------
    servers, topic : str
    options : mapping
        Options of librdkafka.
    sender : str
        Id of the file of predictions, ``meta["id"]`` of its `Sink`: a second process that sends it stops the first.
    """

    def __init__(self, servers: str, topic: str, options: Mapping[str, Any], sender: str) -> None:
        connection = {"bootstrap.servers": servers, "log_level": 3, **options}
        self.topic = topic
        self._mark = TopicPartition(topic, 0)
        group = f"twostamp-{topic}-{sender}"
        try:
            self._producer = Producer({**connection, "transactional.id": group})
            self._producer.init_transactions(_TIMEOUT)
            self._consumer = Consumer({**connection, "group.id": group})
            self.last = max(self._consumer.committed([self._mark], timeout=_TIMEOUT)[0].offset, 0)
        except KafkaException as error:
            raise BrokerError(f"{servers}, topic {topic}: {error.args[0].str()}") from error

    def publish(self, sink: Sink) -> int:
        """Send the predictions that are not sent yet; return their number."""
        sent = 0
        while rows := sink.answers_after(self.last, _FETCHED):
            self._producer.begin_transaction()
            try:
                for _, row in rows:
                    self._producer.produce(self.topic, json.dumps(row).encode(), key=row["object_id"].encode())
                mark = TopicPartition(self.topic, 0, rows[-1][0])
                self._producer.send_offsets_to_transaction([mark], self._consumer.consumer_group_metadata(), _TIMEOUT)
                self._producer.commit_transaction(_TIMEOUT)
            except (KafkaException, sqlite3.Error):
                self._producer.abort_transaction(_TIMEOUT)
                raise
            self.last, sent = rows[-1][0], sent + len(rows)
        return sent
