from .alerce_api import AlerceAPI, fetch_first_two
from .alerce_database import AlerceDatabase, search_cones
from .archive import ArchiveError, iter_members, list_sources
from .avro import CorruptPacket, PacketError
from .cutouts import read_stamp, repair_stamp
from .extraction import extract_first_two, read_objects
from .extraction_report import ExtractionReport
from .first_packets import read_first_packets
from .packet import AlertKey, BadStamp, MissingField, read_keys, read_packets, read_schema, write_packets
from .ztf_archive import ZTFArchive, download_nights, parse_nights

__all__ = [
    "AlerceAPI",
    "AlerceDatabase",
    "AlertKey",
    "ArchiveError",
    "BadStamp",
    "CorruptPacket",
    "ExtractionReport",
    "MissingField",
    "PacketError",
    "ZTFArchive",
    "download_nights",
    "extract_first_two",
    "fetch_first_two",
    "iter_members",
    "list_sources",
    "parse_nights",
    "read_first_packets",
    "read_keys",
    "read_objects",
    "read_packets",
    "read_schema",
    "read_stamp",
    "repair_stamp",
    "search_cones",
    "write_packets",
]
