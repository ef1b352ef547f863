"""Message frames of brokers, converted to Avro containers, the input of all readers here.

ZTF sends whole containers. Confluent's frame has a zero byte, the number of a schema in a registry (int32, big-endian)
and a bare record. Fink sends a bare record, with its schema as JSON in the message's key.
"""

import json
import struct
from functools import lru_cache
from hashlib import md5
from pathlib import Path

import requests

from twostamp.alerts.avro import CorruptPacket, PacketError
from twostamp.utils.http import PoliteSession, RateLimit

_MAGIC = b"Obj\x01"
_FRAME = struct.Struct(">bi")


class SchemaRegistry:
    """Schemas by number: a registry's URL, or a folder with ``<number>.avsc`` (or ``.json``).

    Parameters
    ----------
    address : str
        Empty for none; Confluent's frames then cannot be read.
    """

    def __init__(self, address: str = "") -> None:
        self.address = address.rstrip("/")
        self._session = PoliteSession(RateLimit(5), timeout=10, attempts=3)
        self._schemas: dict[int, bytes] = {}

    def find(self, number: int) -> bytes:
        """Find a schema; each is requested once.

        Raises
        ------
        PacketError
            There is no schema of that number.
        requests.RequestException
            The registry does not respond, which is no fault of the alert.
        """
        if number not in self._schemas:
            self._schemas[number] = self._load(number)
        return self._schemas[number]

    def _load(self, number: int) -> bytes:
        if not self.address:
            raise PacketError(f"it needs schema {number} of a registry, and no registry is named")
        if not self.address.startswith(("http://", "https://")):
            paths = [Path(self.address, f"{number}.{ending}") for ending in ("avsc", "json")]
            if found := [path for path in paths if path.is_file()]:
                return found[0].read_bytes()
            raise PacketError(f"there is no schema {number} in {self.address}")
        answer = self._session.get(f"{self.address}/schemas/ids/{number}")
        if answer.status_code == requests.codes.not_found:
            raise PacketError(f"there is no schema {number} in {self.address}")
        answer.raise_for_status()
        return str(answer.json()["schema"]).encode()


def unframe(data: bytes, key: bytes | None, registry: SchemaRegistry) -> bytes:
    """Make the container of an alert from a message.

    Parameters
    ----------
    data : bytes
        The message's value.
    key : bytes or None
        The message's key.
    registry : SchemaRegistry

    Returns
    -------
    bytes
        `data` itself if it is a container, or in none of the three forms, which the reader then refuses.

    Raises
    ------
    PacketError
        The schema cannot be found.
    """
    if data.startswith(_MAGIC):
        return data
    if key and key.lstrip().startswith(b"{"):
        return _head(key) + _block(data, key)
    if data[:1] == b"\0" and len(data) > _FRAME.size:
        schema = registry.find(_FRAME.unpack_from(data)[1])
        return _head(schema) + _block(data[_FRAME.size :], schema)
    return data


@lru_cache(maxsize=64)
def _head(schema: bytes) -> bytes:
    """Make the header of an uncompressed container."""
    try:
        json.loads(schema)
    except ValueError:
        raise CorruptPacket("the schema of its frame is no JSON") from None
    pairs = b"".join(map(_sized, (b"avro.codec", b"null", b"avro.schema", schema)))
    return _MAGIC + _long(2) + pairs + _long(0) + _sync(schema)


def _block(record: bytes, schema: bytes) -> bytes:
    return _long(1) + _sized(record) + _sync(schema)


def _sync(schema: bytes) -> bytes:
    return md5(schema, usedforsecurity=False).digest()


def _sized(data: bytes) -> bytes:
    return _long(len(data)) + data


def _long(value: int) -> bytes:
    """Write a natural number as an Avro long."""
    value, out = 2 * value, bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
