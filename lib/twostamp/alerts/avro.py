"""Avro containers: header, blocks and numbers, independent of the meaning of the records."""

import bz2
import contextlib
import io
import lzma
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import IO, Any, NamedTuple

import fastavro

from twostamp.utils.extras import naming_extras

_MAGIC = b"Obj\x01"
_KINDS = {
    b"\x1f\x8b": "gzip: decompress it first",
    b"BZh": "bzip2: decompress it first",
    b"PK\x03\x04": "a zip file: unpack it first",
    b"\x00\x05\x16\x07": "macOS metadata of a file (AppleDouble), not the file",
    b"\xfd7zXZ": "xz: decompress it first",
    b"(\xb5/\xfd": "zstandard: decompress it first",
    b"version https://git-lfs": "a pointer of Git LFS, not the file",
    b"PAR1": "Parquet",
    b"SIMPLE  =": "FITS",
    b"{": "JSON",
    b"[": "JSON",
    b"<": "HTML or XML",
}
_BEGINNING = 64
"""Bytes that distinguish most headers: they include the length of the schema."""
_HEADERS_KEPT = 64
_HEAD_BYTES = 1 << 20
"""More bytes than the header of any survey."""
_headers: dict[bytes, tuple[tuple[bytes, bytes, bytes], ...]] = {}
"""First bytes -> headers (up to the sync marker) that start with them, their schemas and codecs. Replaced and never
changed, since threads share it."""


class PacketError(ValueError):
    """A packet that cannot be used; ``reason`` becomes a row of the quarantine."""

    candid: int | None = None
    """Of the alert, where it is known."""

    @property
    def reason(self) -> str:
        return str(self)


class CorruptPacket(PacketError):  # noqa: N818
    """The bytes are truncated, damaged or not Avro."""


@contextlib.contextmanager
def collecting_reasons() -> Iterator[list[str]]:
    """Collect the errors of the block instead of raising them: one packet must not stop a night."""
    reasons: list[str] = []
    try:
        yield reasons
    except PacketError as error:
        reasons.append(error.reason)
    except Exception as error:
        reasons.append(f"it cannot be read: {type(error).__name__}: {error}")


class Container(NamedTuple):
    """Header of a container; ``start`` is the position of the first block."""

    schema: bytes
    codec: bytes
    sync: bytes
    start: int


def read_header(data: bytes) -> Container:
    """Read a container's header, or recognise a known one: a survey's packets share the first 20 kB."""
    global _headers
    known = _headers.get(beginning := data[:_BEGINNING], ())
    for header, schema, codec in known:
        if data.startswith(header) and len(data) >= (start := len(header) + 16):
            return Container(schema, codec, data[start - 16 : start], start)
    container = _parse_header(data)
    entry = data[: container.start - 16], container.schema, container.codec
    kept = _headers if len(_headers) < _HEADERS_KEPT else {}
    _headers = kept | {beginning: (entry, *known[: _HEADERS_KEPT - 1])}
    return container


def count_records(data: bytes) -> int | None:
    """Count the records that the readable blocks of a container announce; None if no block is readable."""
    counts = []
    with contextlib.suppress(PacketError, IndexError):
        at = read_header(data).start
        while at < len(data):
            count, at = read_long(data, at)
            size, at = read_long(data, at)
            counts.append(count if count <= size else 0)  # a record takes at least one byte
            at += max(size, 0) + 16
    return sum(counts) if counts and min(counts) > 0 else None


def cut_blocks(stream: IO[bytes], first: int, end: int) -> tuple[bytes, int]:
    """Cut out the blocks of a large container that begin in a range of its bytes.

    Returns
    -------
    data : bytes
        A container of these blocks; empty if there are none. Blocks after damage are not found.
    before : int
        Records before them.
    """
    head = stream.read(_HEAD_BYTES)
    try:
        container = read_header(head)
    except PacketError:  # its reader gives the reason
        return (head if first == 0 else b""), 0
    at, before, blocks = container.start, 0, b""
    with contextlib.suppress(PacketError, IndexError):
        while at < end:
            stream.seek(at)
            count, width = read_long(start := stream.read(20), 0)
            size, width = read_long(start, width)
            if size < 0:
                raise CorruptPacket("a block's size is negative")
            if at >= first:
                break
            before += count
            at += width + size + 16
    if first <= at < end:
        stream.seek(at)
        blocks = stream.read(end - at)
        blocks += stream.read(_find_end(blocks) - len(blocks))
    return (head[: container.start] + blocks if blocks else b""), before


def _find_end(blocks: bytes) -> int:
    """Find the end of the last block, which may be truncated."""
    at = 0
    with contextlib.suppress(PacketError, IndexError):
        while at < len(blocks):
            _, width = read_long(blocks, at)
            size, width = read_long(blocks, width)
            at = max(width + size + 16, width)
    return max(at, len(blocks))


def read_blocks(data: bytes, container: Container) -> Iterator[tuple[int, io.BytesIO, int]]:
    """Yield each block's number of records, a stream at its beginning, and the position of its end."""
    decompress = None if container.codec == b"null" else _find_codec(container.codec)
    at = container.start
    try:
        while at < len(data):
            if data.startswith(_MAGIC, at):
                raise CorruptPacket("another container is appended to this one: split them")
            count, at = read_long(data, at)
            size, at = read_long(data, at)
            end = at + size
            if not 0 <= size <= len(data) - at:
                raise CorruptPacket("the container ends early")
            if data[end : end + 16] != container.sync:
                raise CorruptPacket("a block's sync marker is wrong or missing")
            if decompress is None:
                stream = io.BytesIO(data)  # shares the bytes; copying the block would take as long as reading its key
                stream.seek(at)
                yield count, stream, end
            else:
                block = _decompress(data[at:end], decompress)
                yield count, io.BytesIO(block), len(block)
            at = end + 16
    except IndexError:
        raise CorruptPacket("a block is truncated or damaged") from None


def _find_codec(name: bytes) -> Callable[[bytes], bytes]:
    """Find the decompressor of a codec."""
    known: dict[bytes, Callable[[bytes], bytes]] = {
        b"deflate": lambda block: zlib.decompress(block, -15),
        b"bzip2": bz2.decompress,
        b"xz": lzma.decompress,
    }
    if name in known:
        return known[name]
    if name not in (b"snappy", b"zstandard"):
        raise CorruptPacket(f"its codec {name.decode(errors='replace')!r} is not one of Avro")
    try:
        with naming_extras():
            import cramjam
    except ModuleNotFoundError as error:
        raise PacketError(f"its codec is {name.decode()}: {error}") from None
    if name == b"zstandard":
        return lambda block: bytes(cramjam.zstd.decompress(block))
    return lambda block: bytes(cramjam.snappy.decompress_raw(block[:-4]))  # a checksum ends the block


def _decompress(block: bytes, decompress: Callable[[bytes], bytes]) -> bytes:
    try:
        return decompress(block)
    except Exception as error:  # each library raises its own errors
        raise CorruptPacket(f"a block is truncated or damaged: {type(error).__name__}") from None


def decode(stream: io.BytesIO, schema: dict[str, Any], reader_schema: dict[str, Any] | None = None) -> dict[str, Any]:
    """Decode one record of a parsed schema; keep only the fields of `reader_schema` if given."""
    try:
        return fastavro.schemaless_reader(stream, schema, reader_schema)
    except Exception as error:  # damaged bytes make fastavro fail in many ways
        raise CorruptPacket(f"a record cannot be decoded: {type(error).__name__}") from error


def read_long(data: bytes, at: int) -> tuple[int, int]:
    """Read an Avro long (zigzag, base 128) and the position after it."""
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
    """Read Avro bytes or text, and the position after them."""
    size, at = read_long(data, at)
    if not 0 <= size <= len(data) - at:
        raise CorruptPacket("the container ends early")
    return data[at : at + size], at + size


def _parse_header(data: bytes) -> Container:
    if not data.startswith(_MAGIC):
        raise CorruptPacket(f"not an Avro container{_name_kind(data)}")
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
        raise CorruptPacket("the container's header is truncated") from None
    except KeyError:
        raise CorruptPacket("the container's header has no schema") from None


def _name_kind(data: bytes) -> str:
    """Name the format of bytes that are no container, from their first bytes."""
    for magic, kind in _KINDS.items():
        if data.lstrip().startswith(magic):
            return f": it is {kind}"
    if data[:1] == b"\0" and len(data) > 5 and any(data[1:5]):
        number = struct.unpack(">i", data[1:5])[0]
        return f": it is a message in Confluent's Kafka frame (schema {number} of its registry), without the schema"
    return "" if data.strip(b"\0") else ": it is empty" if not data else ": it holds only zeros"
