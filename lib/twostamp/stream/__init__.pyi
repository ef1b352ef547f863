from .command import FILE, describe_account, open_sink, run_tonight
from .exports import export_night
from .frames import SchemaRegistry
from .kafka import BrokerError, KafkaSource, Publisher, name_topics
from .night import Night, NightError
from .night_model import NightModel
from .options import add_options
from .payloads import ArchiveSource
from .scorer import Scorer
from .sink import Sink, SinkError
from .tonight import score_stream

__all__ = [
    "FILE",
    "ArchiveSource",
    "BrokerError",
    "KafkaSource",
    "Night",
    "NightError",
    "NightModel",
    "Publisher",
    "SchemaRegistry",
    "Scorer",
    "Sink",
    "SinkError",
    "add_options",
    "describe_account",
    "export_night",
    "name_topics",
    "open_sink",
    "run_tonight",
    "score_stream",
]
