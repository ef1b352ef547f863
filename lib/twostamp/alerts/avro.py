"""The container of Avro records that a packet is: header, blocks and numbers, without what the records mean."""

import io
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import fastavro

_MAGIC = b"Obj\x01"
_DECODERS: dict[bytes, Callable[[bytes], bytes]] = {
    b"null": bytes,
    b"deflate": lambda block: zlib.decompress(block, -15),
}
_headers: deque[tuple[bytes, bytes, bytes]] = deque(maxlen=8)
"""Headers (up to the sync marker), schemas and codecs seen last."""


class PacketError(ValueError):
    """A packet that cannot be used; ``reason`` becomes a row of the quarantine."""

    @property
    def reason(self) -> str:
        return str(self)


class CorruptPacket(PacketError):  # noqa: N818
    """The bytes are truncated, damaged or not Avro."""


class Container(NamedTuple):
    """What a container's header says; ``start`` is where the first block begins."""

    schema: bytes
    codec: bytes
    sync: bytes
    start: int


def read_header(data: bytes) -> Container:
    """Read a container's header, or recognise it: a survey's packets begin with the same 20 kB."""
    for header, schema, codec in _headers:
        if data.startswith(header) and len(data) >= (start := len(header) + 16):
            return Container(schema, codec, data[start - 16 : start], start)
    container = _parse_header(data)
    _headers.appendleft((data[: container.start - 16], container.schema, container.codec))
    return container


def read_blocks(data: bytes, container: Container) -> Iterator[tuple[int, io.BytesIO, int]]:
    """Give each block's number of records, a stream that stands at its beginning, and the position of its end."""
    if container.codec not in _DECODERS:
        raise CorruptPacket(f"the codec {container.codec!r} is not supported")
    at = container.start
    try:
        while at < len(data):
            count, at = read_long(data, at)
            size, at = read_long(data, at)
            end = at + size
            if not 0 <= size <= len(data) - at:
                raise CorruptPacket("the container ends early")
            if data[end : end + 16] != container.sync:
                raise CorruptPacket("a block's sync marker is wrong or missing")
            if container.codec == b"null":
                stream = io.BytesIO(data)  # shares the bytes; a copy of the block would cost as much as its key
                stream.seek(at)
                yield count, stream, end
            else:
                block = _DECODERS[container.codec](data[at:end])
                yield count, io.BytesIO(block), len(block)
            at = end + 16
    except (IndexError, zlib.error):
        raise CorruptPacket("a block is cut short or damaged") from None


def decode(stream: io.BytesIO, schema: dict[str, Any], reader_schema: dict[str, Any] | None = None) -> dict[str, Any]:
    """Decode one record of a parsed schema, and keep the fields of `reader_schema` where there is one."""
    try:
        return fastavro.schemaless_reader(stream, schema, reader_schema)
    except Exception as error:  # damaged bytes make fastavro fail in a dozen ways
        raise CorruptPacket(f"a record cannot be decoded: {type(error).__name__}") from error


def read_long(data: bytes, at: int) -> tuple[int, int]:
    """Read an Avro long (zigzag, base 128) and the position behind it."""
    shift = value = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (value >> 1) ^ -(value & 1), at
        shift += 7
        if shift > 63:
            raise CorruptPacket("a number in the container is longer than 64 bits")


def read_bytes(data: bytes, at: int) -> tuple[bytes, int]:
    """Read Avro bytes, or text, and the position behind them."""
    size, at = read_long(data, at)
    if not 0 <= size <= len(data) - at:
        raise CorruptPacket("the container ends early")
    return data[at : at + size], at + size


def _parse_header(data: bytes) -> Container:
    if not data.startswith(_MAGIC):
        raise CorruptPacket("not an Avro container")
    metadata, at = {}, len(_MAGIC)
    try:
        while (count := (step := read_long(data, at))[0]) != 0:
            at = step[1]
            if count < 0:  # a negative count is followed by the size of the block in bytes
                count, at = -count, read_long(data, at)[1]
            for _ in range(count):
                name, at = read_bytes(data, at)
                metadata[name], at = read_bytes(data, at)
        at = step[1]
        return Container(metadata[b"avro.schema"], metadata.get(b"avro.codec", b"null"), data[at : at + 16], at + 16)
    except IndexError:
        raise CorruptPacket("the container's header is cut short") from None
    except KeyError:
        raise CorruptPacket("the container's header has no schema") from None
