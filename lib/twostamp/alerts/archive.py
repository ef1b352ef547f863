"""Alert archives: nightly tarballs, folders of Avro files and object stores, always in the same order (thesis, 3.2).

ZTF's public archive is one ``.tar.gz`` a night, with one Avro file an alert. A *source* is what one task reads: a
tarball, a folder that holds Avro files, or a single Avro file. What looks like alerts and is not read is named.
"""

import os
import re
from collections.abc import Container, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

import fsspec
from fsspec.implementations.local import LocalFileSystem
from tqdm.auto import tqdm

from twostamp.alerts.tarballs import DAMAGE, is_packet, is_tarball, looks_like_alerts, read_packet, read_tar

_VERSIONS = ("ETag", "LastModified", "md5Hash", "mtime", "created")
"""What stores say of a file's content."""


class ArchiveError(ValueError):
    """An archive without alerts, or a source that is damaged; the message names it."""


@dataclass(frozen=True)
class Member:
    """One Avro file of a source: usually one alert.

    ``fault`` says why it was passed over, with no data read, where its name promises alerts and it holds none.
    """

    source: str
    name: str
    data: bytes
    fault: str = ""


def measure_sources(archive: str) -> dict[str, int]:
    """Find the sources of an archive and their sizes.

    Parameters
    ----------
    archive : str
        Folder (searched to its full depth, through links), tarball or Avro file: a path or any URL that fsspec knows
        (``s3://...``).

    Returns
    -------
    dict
        Source -> bytes, sorted by source.

    Raises
    ------
    ArchiveError
        If there is nothing to read.
    """
    return survey_archive(archive)[0]


def survey_archive(archive: str) -> tuple[dict[str, int], dict[str, str]]:
    """Find the sources of an archive, and what looks like alerts and cannot be read.

    Returns
    -------
    sizes : dict
        As of `measure_sources`, with its errors.
    passed_over : dict
        Path -> why it is no source, sorted.
    """
    filesystem, root = fsspec.core.url_to_fs(archive)
    sizes: dict[str, int] = {}
    passed_over: dict[str, str] = {}
    for path, size in filter(lambda file: looks_like_alerts(file[0]), _find_files(filesystem, root)):
        if reason := _why_not_read(path, root, size):
            passed_over[filesystem.unstrip_protocol(_find_hidden(path, root) or path).removeprefix("file://")] = reason
            continue
        source = path.rpartition("/")[0] if is_packet(path) and path != root else path
        source = filesystem.unstrip_protocol(source).removeprefix("file://")
        sizes[source] = sizes.get(source, 0) + (size or 0)
    if not sizes:
        others = "".join(f"; {path}: {reason}" for path, reason in sorted(passed_over.items())[:3])
        raise ArchiveError(
            f"{archive} holds no .tar.gz, .tar or .avro file: set `archive` to a folder or URL of alerts{others}"
        )
    return dict(sorted(sizes.items())), dict(sorted(passed_over.items()))


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
    filesystem, path = fsspec.core.url_to_fs(source)
    folder = filesystem.isdir(path)
    if folder or is_packet(path):
        yield from _read_files(filesystem, path, folder, source, names)
        return
    with _open(source) as raw:
        yield from read_tarball(raw, source, names)


def read_tarball(raw: IO[bytes], source: str, names: Container[str] | None = None) -> Iterator[Member]:
    """Read the Avro files of a tarball from a stream that is only read forwards, as `read_members` does."""
    try:
        for name, data, fault in read_tar(raw, names):
            yield Member(source, name, data, fault)
    except DAMAGE as error:  # type: ignore[misc]  # the stub of isal's error is no class
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
    try:
        return fsspec.open(source, "rb").open() if "://" in source else open(source, "rb")  # noqa: PTH123
    except (FileNotFoundError, PermissionError) as error:
        raise ArchiveError(f"{source} cannot be opened: {error.strerror or error}") from error


def _read_files(
    filesystem: Any, root: str, folder: bool, source: str, names: Container[str] | None
) -> Iterator[Member]:
    for path in sorted(filesystem.ls(root, detail=False)) if folder else [root]:
        name = PurePosixPath(path).name
        if not is_packet(name) or (folder and name.startswith(".")) or not (names is None or name in names):
            continue
        try:
            data, fault = read_packet(name, filesystem.cat_file(path))
        except IsADirectoryError:  # a folder of its own, whatever its name
            continue
        except (FileNotFoundError, PermissionError) as error:
            data, fault = b"", f"it cannot be opened: {error.strerror or error}"
        yield Member(source, name, data, fault)


def _find_files(filesystem: Any, root: str) -> Iterator[tuple[str, int | None]]:
    """Find all files below a folder, through links, with their sizes; None for a link that leads nowhere."""
    if not isinstance(filesystem, LocalFileSystem):
        yield from ((path, entry["size"]) for path, entry in filesystem.find(root, detail=True).items())
        return
    for path in _walk(Path(root)) if Path(root).is_dir() else [Path(root)]:
        if path.exists() or path.is_symlink():
            yield str(path), path.stat().st_size if path.exists() else None


def _walk(root: Path) -> Iterator[Path]:
    for folder, inner, files in os.walk(root, followlinks=True):  # fsspec takes a link to a folder for no folder
        inner[:] = [name for name in inner if not _leads_back(Path(folder, name))]
        yield from map(Path(folder).joinpath, files)


def _leads_back(folder: Path) -> bool:
    """Whether a folder is a link to one that holds it, which would never end."""
    return folder.is_symlink() and folder.resolve() in folder.parent.resolve().joinpath("_").parents


def _find_hidden(path: str, root: str) -> str:
    """Find the topmost part of a path below `root` that is hidden; empty if none is."""
    hidden = re.search(r"/\.[^/]*", path[len(root) :])
    return path[: len(root) + hidden.end()] if hidden else ""


def _why_not_read(path: str, root: str, size: int | None) -> str:
    if _find_hidden(path, root):
        return "it is hidden"
    if size is None:
        return "it is a link that leads nowhere"
    return "" if is_packet(path) or is_tarball(path) else "its kind of file is not read: unpack it"
