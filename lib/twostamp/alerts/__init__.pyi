from .alerce_api import Broker, fetch_first_two
from .alerce_database import Catalog, search_cones
from .archive import ArchiveError, iter_members, list_sources
from .cutouts import read_stamp, repair_stamp
from .extraction import extract_first_two, read_objects
from .extraction_report import ExtractionReport
from .packet import (
    AlertKey,
    BadStamp,
    CorruptPacket,
    MissingField,
    PacketError,
    read_keys,
    read_packets,
    read_schema,
    write_packets,
)
from .ztf_archive import download_nights, parse_nights

__all__ = [
    "AlertKey",
    "ArchiveError",
    "BadStamp",
    "Broker",
    "Catalog",
    "CorruptPacket",
    "ExtractionReport",
    "MissingField",
    "PacketError",
    "download_nights",
    "extract_first_two",
    "fetch_first_two",
    "iter_members",
    "list_sources",
    "parse_nights",
    "read_keys",
    "read_objects",
    "read_packets",
    "read_schema",
    "read_stamp",
    "repair_stamp",
    "search_cones",
    "write_packets",
]
