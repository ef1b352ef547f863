"""Tar streams: any usual compression, concatenated or nested, read without seeking and faster than `tarfile`."""

import bz2
import io
import lzma
import re
import sys
import tarfile
import zlib
from collections.abc import Container, Iterator
from contextlib import suppress
from gzip import BadGzipFile
from typing import IO, Any, NamedTuple

from isal import igzip, isal_zlib

_TAR_BLOCK = 512
_END = bytes(_TAR_BLOCK)
_EXTENSIONS = (tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE, tarfile.GNUTYPE_LONGLINK, tarfile.XGLTYPE)
"""Headers that describe the file after them."""
_ANYWHERE = range(sys.maxsize)
DAMAGE = (EOFError, BadGzipFile, zlib.error, isal_zlib.error, lzma.LZMAError, tarfile.HeaderError)
_TARBALL = re.compile(r"\.(tar|tar\.(gz|bz2|xz)|tgz|tbz2?|txz)$", re.IGNORECASE)
_PACKET = re.compile(r"\.avro(\.(gz|bz2|xz))?$", re.IGNORECASE)
_ALERTS = re.compile(r"\.(avro|tar|tgz|tbz2?|txz|zip|7z|rar)(?![a-z\d])", re.IGNORECASE)
_NOTES = re.compile(r"\.(md5|sha\d+|version|asc|sig|csv|jsonl?|log|md|txt|ya?ml)$", re.IGNORECASE)
"""Endings of what people and downloads keep beside alerts."""
NOT_READ = "its kind of file is not read: unpack it, or let its name end in .avro or .tar.gz"


def is_tarball(path: str) -> bool:
    """Whether a file name is that of a readable tarball."""
    return bool(_TARBALL.search(path))


def is_packet(path: str) -> bool:
    """Whether a file name is that of an Avro file, perhaps compressed."""
    return bool(_PACKET.search(path))


def looks_like_alerts(path: str) -> bool:
    """Whether a file name may be that of alerts, also in a format that cannot be read."""
    return bool(_ALERTS.search(path.rpartition("/")[2]) and not _NOTES.search(path))


def begins_as_alerts(raw: IO[bytes]) -> bool:
    """Whether a file of any name begins as an Avro file or a tar does, compressed or not."""
    with suppress(OSError, *DAMAGE), _decompress(raw) as stream:  # type: ignore[misc, arg-type]
        start = stream.read(_TAR_BLOCK)
        return bool(start.startswith(b"Obj\x01") or start[257:262] == b"ustar")
    return False


class Share(NamedTuple):
    """One of several equal parts of a source, from 0."""

    number: int
    of: int

    def cut(self, length: int) -> tuple[int, int]:
        """Return the index of the first item of a sequence in this part, and of the first after it."""
        return self.number * length // self.of, (self.number + 1) * length // self.of


def read_tar(
    raw: IO[bytes], names: Container[str] | None = None, share: Share | None = None
) -> Iterator[tuple[str, bytes, str]]:
    """Read the Avro files of a tar stream, including those of nested tars.

    Parameters
    ----------
    raw : stream
        Compressed or not, as its first bytes show.
    names : container of str, optional
        Files to read. Default: all.
    share : Share, optional
        Part of the bytes whose files to read. Only a plain tar in a file can be split: the first share of a compressed
        one is all of it. Damage is reported by the share that it is in.

    Yields
    ------
    name : str
        Name of the file; in a nested tar it follows that tar's name: ``night.tar/1.avro``.
    data : bytes
        The Avro file, decompressed.
    fault : str
        Reason why a file that looks like alerts was skipped; empty for the others.

    Raises
    ------
    One of `DAMAGE`
        The stream is truncated or damaged; all files before the damage have been yielded.
    """
    with _decompress(raw) as stream:
        plain = stream is raw
        if share is None or not plain:
            if share is None or share.number == 0:
                yield from _walk_tar(stream, names, "", _ANYWHERE if plain else None)
            return
        first, end = (_TAR_BLOCK * block for block in share.cut(-(-stream.seek(0, io.SEEK_END) // _TAR_BLOCK)))
        stream.seek(0)
        last = share.number == share.of - 1
        try:
            yield from _walk_tar(stream, names, "", range(first, sys.maxsize if last else end))
        except DAMAGE:  # type: ignore[misc]
            at = stream.tell()
            if last if not stream.read(1) else first < at and (last or at <= end):  # truncation shows only at the end
                raise


def read_packet(name: str, data: bytes) -> tuple[bytes, str]:
    """Decompress an Avro file whose name shows that it is compressed; return bytes and the error, if any."""
    if name.lower().endswith(".avro"):
        return data, ""
    try:
        with _decompress(io.BytesIO(data)) as stream:
            return stream.read(), ""
    except (OSError, *DAMAGE) as error:  # type: ignore[misc]
        return b"", f"it cannot be decompressed: {error or type(error).__name__}"


def _decompress(raw: Any) -> Any:
    """Open a stream in the format of its first bytes, whatever its name."""
    if raw.seekable():
        start = raw.read(6)
        raw.seek(-len(start), io.SEEK_CUR)
    else:
        raw = io.BufferedReader(raw)
        start = raw.peek(6)
    if start.startswith(b"\x1f\x8b"):
        return igzip.IGzipFile(fileobj=raw)
    if start.startswith(b"BZh"):
        return _Bzip2(raw)
    return lzma.LZMAFile(raw) if start.startswith(b"\xfd7zXZ\0") else raw


class _Bzip2(bz2.BZ2File):
    def read(self, size: int | None = -1) -> bytes:
        try:
            return super().read(size)
        except OSError as error:
            if str(error) == "Invalid data stream":
                raise EOFError("its bzip2 is damaged") from None
            raise  # an error of the store


def _walk_tar(
    stream: IO[bytes], names: Container[str] | None, within: str, places: range | None = None
) -> Iterator[tuple[str, bytes, str]]:
    """Walk a tar stream's headers; `tarfile` is slower, and ends silently at a bad header.

    `places` are the positions of the headers of the files to read, in a stream that can skip the others.
    """
    long_name, ended = "", False
    while header := stream.read(_TAR_BLOCK):
        if ended := header == _END:  # another tar may be appended to this one
            continue
        if len(header) < _TAR_BLOCK:
            raise EOFError("it ends early")
        entry = _read_plain_entry(header) or tarfile.TarInfo.frombuf(header, "utf-8", "surrogateescape")
        if entry.size < 0:
            raise tarfile.HeaderError("a file's size is negative")
        name, data = within + (long_name or entry.name), b""
        plain = entry.isreg() and name.endswith(".avro")
        if places and entry.type not in _EXTENSIONS:
            elsewhere = stream.tell() - _TAR_BLOCK not in places
            if elsewhere or (plain and names is not None and name not in names):
                long_name = ""
                if stream.seek(entry.size + -entry.size % _TAR_BLOCK, io.SEEK_CUR) >= places.stop:
                    return
                continue
        if not plain and entry.isreg() and is_tarball(name) and not _is_hidden(name):
            part = _Part(stream, entry.size)
            yield from _read_inner(part, names, f"{name}/")
            part.drain()
        elif entry.size:
            data = _take(stream, entry.size)
        _take(stream, -entry.size % _TAR_BLOCK)
        if entry.type == tarfile.GNUTYPE_LONGNAME:
            long_name = data.rstrip(b"\0").decode("utf-8", "surrogateescape")
        elif entry.type == tarfile.XHDTYPE:
            match = re.search(rb"(?:^|\n)\d+ path=([^\n]*)\n", data)
            long_name = match[1].decode("utf-8", "surrogateescape") if match else ""
        elif entry.type not in _EXTENSIONS:
            long_name = ""
            if names is not None and name not in names:
                continue
            if plain and not _is_hidden(name):
                yield name, data, ""
            elif plain or _is_named(entry, name, data):
                yield (name, *_explain_entry(entry, name, data))
    if not ended:
        raise EOFError("it ends early")


def _read_inner(part: "_Part", names: Container[str] | None, within: str) -> Iterator[tuple[str, bytes, str]]:
    """Read a tar within a tar; damage to it does not affect the outer one."""
    found = False
    try:
        with _decompress(io.BufferedReader(part)) as stream:
            for entry in _walk_tar(stream, names, within):
                found = True
                yield entry
        if names is None and not found:
            yield within.rstrip("/"), b"", "it holds no alerts"
    except DAMAGE as error:  # type: ignore[misc]
        if part.cut:
            raise
        if names is None:
            yield within.rstrip("/"), b"", f"the tar is damaged: {error or type(error).__name__}"


def _explain_entry(entry: tarfile.TarInfo, name: str, data: bytes) -> tuple[bytes, str]:
    """Read an entry that is no plain ``.avro`` file: bytes, or the reason why there are none."""
    if _is_hidden(name):
        return b"", "it is hidden"
    if not entry.isreg():
        return b"", f"it is a link to {entry.linkname}" if entry.linkname else "it is no file"
    return read_packet(name, data) if is_packet(name) else (b"", NOT_READ)


def _is_named(entry: tarfile.TarInfo, name: str, data: bytes) -> bool:
    """Whether a file that is no plain ``.avro`` file may hold alerts, by its name or by how it begins."""
    if looks_like_alerts(name):
        return not is_tarball(name) and not entry.isdir()
    return entry.isreg() and begins_as_alerts(io.BytesIO(data))


def _is_hidden(name: str) -> bool:
    """Whether a file is hidden, for example macOS's metadata files (``._1.avro``)."""
    return name.rpartition("/")[2].startswith(".")


def _read_plain_entry(header: bytes) -> tarfile.TarInfo | None:
    """Read the header of a regular file with a short name, six times as fast as `tarfile`, which reads all others."""
    if header[156] != ord("0") or header[345]:
        return None
    try:
        checksum, size = int(header[148:154], 8), int(header[124:135], 8)
    except ValueError:
        return None
    if sum(header) - sum(header[148:156]) + 8 * ord(" ") != checksum:
        return None
    entry = tarfile.TarInfo(header[:100].partition(b"\0")[0].decode("utf-8", "surrogateescape"))
    entry.size = size
    return entry


def _take(stream: IO[bytes], size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise EOFError("it ends early")
    return data


class _Part(io.RawIOBase):
    """Next bytes of a stream, as a stream, so that a nested tar need not fit in memory."""

    def __init__(self, stream: IO[bytes], size: int) -> None:
        self.stream, self.left, self.cut = stream, size, False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            block = self.stream.read(min(len(buffer), self.left))
        except DAMAGE:  # type: ignore[misc]  # of what holds this part
            self.cut = True
            raise
        self.cut = not block and self.left > 0
        if self.cut:
            raise EOFError("it ends early")
        buffer[: len(block)] = block
        self.left -= len(block)
        return len(block)

    def drain(self) -> None:
        """Read the rest."""
        while self.left:
            self.readinto(bytearray(min(self.left, 1 << 20)))
