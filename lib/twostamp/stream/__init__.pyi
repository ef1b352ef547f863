from .command import run_tonight
from .frames import SchemaRegistry
from .kafka import BrokerError, KafkaSource, Publisher, name_topics
from .night import Night, NightError
from .night_model import NightModel
from .options import add_options
from .sink import SinkError

__all__ = [
    "BrokerError",
    "KafkaSource",
    "Night",
    "NightError",
    "NightModel",
    "Publisher",
    "SchemaRegistry",
    "SinkError",
    "add_options",
    "name_topics",
    "run_tonight",
]
