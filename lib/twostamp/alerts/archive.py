"""Alert archives: nightly tarballs, folders of Avro files and object stores, always in the same order (thesis, 3.2).

ZTF's public archive has one ``.tar.gz`` per night, with one Avro file per alert. A *source* is what one task reads: a
tarball, a folder of Avro files, or a single Avro file. Files that look like alerts but are not read are reported.
"""

import io
from collections.abc import Container, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

import fsspec
from fsspec.implementations.local import LocalFileSystem
from tqdm.auto import tqdm

from twostamp.alerts.archive_listing import ArchiveError, find_filesystem, is_folder, list_sources
from twostamp.alerts.avro import cut_blocks
from twostamp.alerts.tarballs import DAMAGE, Share, is_packet, is_tarball, read_packet, read_tar

SHARE_BYTES = 512 << 20
"""Bytes that one task reads of a splittable source. Independent of the machine, so that another one can resume."""
_AT_ONCE = 64
"""Files requested from a store at the same time: each takes some hundredths of a second, whatever its size."""


@dataclass(frozen=True)
class Member:
    """One Avro file of a source: usually one alert.

    ``fault`` gives the reason if a file with the name of alerts was skipped without reading its data. ``first`` is the
    index of its first record in the container of which this is a part.
    """

    source: str
    name: str
    data: bytes
    fault: str = ""
    first: int = 0


def read_members(source: str, names: Container[str] | None = None, share: Share | None = None) -> Iterator[Member]:
    """Read the Avro files of one source, in the order of the tarball or by name.

    Parameters
    ----------
    source : str
        As returned by `list_sources`.
    names : container of str, optional
        Members to read; the others are skipped. Default: all.
    share : Share, optional
        Part of the source, as returned by `list_shares`; all parts together give the whole.

    Raises
    ------
    ArchiveError
        At the end, if the tarball is truncated or damaged; all readable members come first.
    OSError
        If the store fails. This is no property of the data, so the task can be repeated.
    """
    filesystem, path = find_filesystem(source)
    folder = is_folder(filesystem, path)
    if not folder and _is_large_container(source):
        yield from _read_blocks(source, share)
    elif folder or is_packet(path):
        yield from _read_files(filesystem, path, folder, source, names, share)
    else:
        with _open(source) as raw:
            yield from read_tarball(raw, source, names, share)


def list_shares(source: str, size: int) -> list[Share | None]:
    """List the parts of a source that tasks can read independently; None is the whole source.

    A folder has parts. So does a plain tar or Avro file, except in a store, where every seek is a request. A compressed
    tarball has none: the longest one limits a run.
    """
    folder = not is_tarball(source) and not is_packet(source)
    plain = "://" not in source and source.endswith((".tar", ".avro"))
    count = -(-size // SHARE_BYTES) if folder or plain else 1
    return [Share(number, count) for number in range(count)] if count > 1 else [None]


def read_tarball(
    raw: IO[bytes], source: str, names: Container[str] | None = None, share: Share | None = None
) -> Iterator[Member]:
    """Read the Avro files of a tarball as `read_members` does, from a stream without seeking."""
    try:
        for name, data, fault in read_tar(raw, names, share):
            yield Member(source, name, data, fault)
    except DAMAGE as error:  # type: ignore[misc]  # the stub of isal's error is no class
        raise ArchiveError(f"{source} is damaged: {error or type(error).__name__}") from error


def iter_members(archive: str, progress: bool = True) -> Iterator[Member]:
    """Read a whole archive, source by source in sorted order, with a progress bar.

    Raises
    ------
    ArchiveError
        At the very end, with the names of all damaged sources; the others have been read by then.
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
    try:
        return fsspec.open(source, "rb").open() if "://" in source else open(source, "rb")  # noqa: PTH123
    except (FileNotFoundError, PermissionError) as error:
        raise ArchiveError(f"{source} cannot be opened: {error.strerror or error}") from error


def _read_files(
    filesystem: Any, root: str, folder: bool, source: str, names: Container[str] | None, share: Share | None
) -> Iterator[Member]:
    paths = [path.rstrip("/") for path in filesystem.ls(root, detail=False)] if folder else [root]
    paths = sorted(path for path in paths if is_packet(path) and not (folder and _name(path).startswith(".")))
    paths = paths[slice(*share.cut(len(paths)))] if share else paths
    paths = [path for path in paths if names is None or _name(path) in names]
    at_once = 1 if isinstance(filesystem, LocalFileSystem) else _AT_ONCE
    for start in range(0, len(paths), at_once):
        batch = paths[start : start + at_once]
        for path, content in zip(batch, filesystem.cat_ranges(batch, None, None, on_error="return"), strict=True):
            if isinstance(content, IsADirectoryError):  # a folder in its own right, whatever its name
                continue
            if isinstance(content, FileNotFoundError | PermissionError):
                yield Member(source, _name(path), b"", f"it cannot be opened: {content.strerror or content}")
            elif isinstance(content, Exception):
                raise content
            else:
                yield Member(source, _name(path), *read_packet(path, content))


def _name(path: str) -> str:
    return PurePosixPath(path).name


def _is_large_container(source: str) -> bool:
    return "://" not in source and source.endswith(".avro") and Path(source).stat().st_size > SHARE_BYTES


def _read_blocks(source: str, share: Share | None) -> Iterator[Member]:
    """Read a container that may be larger than memory, some of its blocks at a time."""
    with Path(source).open("rb") as stream:
        size = stream.seek(0, io.SEEK_END)
        for part in [share] if share else list_shares(source, size):
            stream.seek(0)
            data, first = cut_blocks(stream, *(part or Share(0, 1)).cut(size))
            if data:
                yield Member(source, _name(source), data, first=first)
