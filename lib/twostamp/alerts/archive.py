"""Alert archives: nightly tarballs, folders of Avro files and object stores, always in the same order (thesis, 3.2).

ZTF's public archive is one ``.tar.gz`` a night, with one Avro file an alert. A *source* is what one task reads: a
tarball, a folder that holds ``.avro`` files, or a single ``.avro`` file.
"""

import re
import tarfile
import zlib
from collections.abc import Container, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from gzip import BadGzipFile
from pathlib import PurePosixPath
from typing import IO, Any

import fsspec
from isal import igzip, isal_zlib
from tqdm.auto import tqdm

_TARBALLS = (".tar.gz", ".tgz", ".tar")
_TAR_BLOCK = 512
_DAMAGE = (EOFError, BadGzipFile, zlib.error, isal_zlib.error, tarfile.HeaderError)


class ArchiveError(ValueError):
    """An archive without alerts, or a source that is damaged; the message names it."""


@dataclass(frozen=True)
class Member:
    """One Avro file of a source: usually one alert."""

    source: str
    name: str
    data: bytes


def measure_sources(archive: str) -> dict[str, int]:
    """Find the sources of an archive and their sizes.

    Parameters
    ----------
    archive : str
        Folder (searched to its full depth), tarball or Avro file: a path or any URL that fsspec knows (``s3://...``).

    Returns
    -------
    dict
        Source -> bytes, sorted by source.

    Raises
    ------
    ArchiveError
        If there is nothing to read.
    """
    filesystem, root = fsspec.core.url_to_fs(archive)
    sizes: dict[str, int] = {}
    for path, entry in filesystem.find(root, detail=True).items():
        if "/." in path.removeprefix(root):  # half written, see `twostamp.utils.files.replacing`
            continue
        if path.endswith(".avro") and path != root:
            path = path.rpartition("/")[0]
        elif not path.endswith((*_TARBALLS, ".avro")):
            continue
        source = filesystem.unstrip_protocol(path).removeprefix("file://")
        sizes[source] = sizes.get(source, 0) + entry["size"]
    if not sizes:
        raise ArchiveError(
            f"{archive} holds no .tar.gz, .tar or .avro file: set `archive` to a folder or URL of alerts"
        )
    return dict(sorted(sizes.items()))


def list_sources(archive: str) -> list[str]:
    """List the sources of an archive, sorted; arguments and errors of `measure_sources`."""
    return list(measure_sources(archive))


def read_members(source: str, names: Container[str] | None = None) -> Iterator[Member]:
    """Read the Avro files of one source, in the order of the tarball or of their names.

    Parameters
    ----------
    source : str
        As `list_sources` gives it.
    names : container of str, optional
        Members to give; the others are passed over. Default: all.

    Raises
    ------
    ArchiveError
        At the end, when the tarball is cut short or damaged: whatever could be read before has been given by then.
    OSError
        When the store fails, so that the task can be tried again: not a property of the data.
    """
    if not source.endswith(_TARBALLS):
        yield from _read_files(source, names)
        return
    with _open(source) as raw:
        yield from read_tarball(raw, source, names)


def read_tarball(raw: IO[bytes], source: str, names: Container[str] | None = None) -> Iterator[Member]:
    """Read the Avro files of a tarball from a stream that is only read forwards, as `read_members` does.

    The name of the `source` says whether it is compressed: it ends in ``gz`` if so.
    """
    with _gunzip(raw) if source.endswith("gz") else nullcontext(raw) as stream:
        try:
            for name, data in _walk_tar(stream):
                if name.endswith(".avro") and (names is None or name in names):
                    yield Member(source, name, data)
        except _DAMAGE as error:  # type: ignore[misc]  # the stub of isal's error is no class
            raise ArchiveError(f"{source} is damaged: {error or type(error).__name__}") from error


def iter_members(archive: str, progress: bool = True) -> Iterator[Member]:
    """Read a whole archive, source by source in sorted order, with a progress bar.

    Raises
    ------
    ArchiveError
        At the very end, naming every damaged source; the sound ones have all been read by then.
    """
    damage = []
    for source in tqdm(list_sources(archive), unit="source", disable=not progress):
        try:
            yield from read_members(source)
        except ArchiveError as error:
            damage.append(str(error))
    if damage:
        raise ArchiveError("; ".join(damage))


def _open(source: str) -> IO[bytes]:
    # fsspec's wrapper of local files costs a seventh of the rate.
    return fsspec.open(source, "rb").open() if "://" in source else open(source, "rb")  # noqa: PTH123


def _gunzip(raw: IO[bytes]) -> Any:
    return igzip.IGzipFile(fileobj=raw)


def _read_files(source: str, names: Container[str] | None) -> Iterator[Member]:
    filesystem, root = fsspec.core.url_to_fs(source)
    paths = [root] if source.endswith(".avro") else sorted(filesystem.ls(root, detail=False))
    for path in paths:
        name = PurePosixPath(path).name
        if name.endswith(".avro") and (names is None or name in names):
            yield Member(source, name, filesystem.cat_file(path))


def _walk_tar(stream: IO[bytes]) -> Iterator[tuple[str, bytes]]:
    """Walk a tar stream's headers; faster than `tarfile`, which also ends in silence at a bad header."""
    long_name = ""
    while (header := _take(stream, _TAR_BLOCK)) != bytes(_TAR_BLOCK):
        entry = _read_plain_entry(header) or tarfile.TarInfo.frombuf(header, "utf-8", "surrogateescape")
        data = _take(stream, entry.size) if entry.size else b""
        _take(stream, -entry.size % _TAR_BLOCK)
        if entry.type == tarfile.GNUTYPE_LONGNAME:
            long_name = data.rstrip(b"\0").decode("utf-8", "surrogateescape")
        elif entry.type == tarfile.XHDTYPE:
            match = re.search(rb"(?:^|\n)\d+ path=([^\n]*)\n", data)
            long_name = match[1].decode("utf-8", "surrogateescape") if match else ""
        elif entry.isreg():
            yield long_name or entry.name, data
            long_name = ""
    while stream.read(1 << 20):  # the checksum of a gzip stream is compared at its end
        pass


def _read_plain_entry(header: bytes) -> tarfile.TarInfo | None:
    """Read the header of a regular file of a short name; `tarfile` takes six times as long, and reads the others."""
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
