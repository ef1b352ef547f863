"""Contents of an archive: its sources, their sizes and versions, and files that look like alerts but are not read.

Folders are listed one by one, so that a cluster can share the work: a bucket may hold one object per alert.
"""

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import fsspec
from fsspec.implementations.local import LocalFileSystem

from twostamp.alerts.tarballs import NOT_READ, begins_as_alerts, is_packet, is_tarball, looks_like_alerts
from twostamp.utils.extras import naming_extras
from twostamp.utils.fingerprints import pick_changes

_HASH = 2**64


class ArchiveError(ValueError):
    """An archive without alerts, or a source that is damaged; the message names it."""


class Source(NamedTuple):
    """Size of a source in bytes, and a number that changes with its files: their names, sizes, and times or tags."""

    size: int
    version: int

    def __add__(self, other: "Source") -> "Source":  # type: ignore[override]
        return Source(self.size + other.size, (self.version + other.version) % _HASH)


class _Folder(NamedTuple):
    sources: dict[str, Source]
    passed_over: dict[str, str]
    folders: list[str]


Spread = Callable[[Callable[[str], _Folder], Sequence[str]], list[_Folder]]


def measure_sources(archive: str) -> dict[str, int]:
    """Find the sources of an archive and their sizes.

    Parameters
    ----------
    archive : str
        Folder (searched to its full depth, through links), tarball or Avro file: a path or any URL that fsspec supports
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
    return {name: source.size for name, source in survey_archive(archive)[0].items()}


def list_sources(archive: str) -> list[str]:
    """List the sources of an archive, sorted; arguments and errors of `measure_sources`."""
    return list(measure_sources(archive))


def survey_archive(archive: str, spread: Spread | None = None) -> tuple[dict[str, Source], dict[str, str]]:
    """Find the sources of an archive, and the files that look like alerts but cannot be read.

    Parameters
    ----------
    archive : str
        As for `measure_sources`, with its errors.
    spread : callable, optional
        Function that lists several folders at a time; its arguments are a function and the folders. Default: one by
        one.

    Returns
    -------
    sources : dict
        Name -> `Source`, sorted.
    passed_over : dict
        Path -> reason why it is no source, sorted.
    """
    work = partial(_list_folder, root=archive)
    sources: dict[str, Source] = {}
    passed_over: dict[str, str] = {}
    folders = [archive]
    while folders:
        level = spread(work, folders) if spread else [work(folder) for folder in folders]
        for found in level:
            sources |= found.sources
            passed_over |= found.passed_over
        folders = [folder for found in level for folder in found.folders]
    if not sources:
        if "://" not in archive and not Path(archive).exists():
            raise ArchiveError(f"there is no {archive}: name a folder or URL of alerts")
        others = "".join(f"; {path}: {reason}" for path, reason in sorted(passed_over.items())[:3])
        raise ArchiveError(f"{archive} holds no .tar.gz, .tar or .avro file: name a folder or URL of alerts{others}")
    return dict(sorted(sources.items())), dict(sorted(passed_over.items()))


def is_folder(filesystem: Any, path: str) -> bool:
    """Whether a path is a folder. What looks like a file is not requested from a web server, which would send all of
    it."""
    return not (is_packet(path) or is_tarball(path)) if "http" in filesystem.protocol else filesystem.isdir(path)


def find_filesystem(url: str) -> tuple[Any, str]:
    """Find the file system of a path or URL, and the path within it.

    Raises
    ------
    MissingExtraError
        The library for such URLs is not installed.
    """
    with naming_extras():
        try:
            return fsspec.core.url_to_fs(url)
        except ImportError as error:  # fsspec's own message names no extra
            raise (error.__cause__ or error) from None


def _list_folder(folder: str, root: str) -> _Folder:
    """List the direct contents of a folder, or `folder` itself if it is a file."""
    filesystem, path = find_filesystem(folder)
    top = find_filesystem(root)[1]
    found = _Folder({}, {}, [])
    for name, size, version in _list_entries(filesystem, path, found.folders):
        if not (looks_like_alerts(name) or (size and _begins_as_alerts(filesystem, name))):
            continue
        if reason := _why_not_read(name, top, size):
            hidden = _find_hidden(name, top) or name
            found.passed_over[_to_url(filesystem, hidden)] = reason
            continue
        source = _to_url(filesystem, name.rpartition("/")[0] if is_packet(name) and name != top else name)
        digest = hashlib.sha256(f"{name} {size} {version}".encode()).digest()
        new = Source(size or 0, int.from_bytes(digest[:8], "little"))
        found.sources[source] = found.sources[source] + new if source in found.sources else new
    found.folders[:] = sorted(_to_url(filesystem, name) for name in found.folders)
    return found


def _list_entries(filesystem: Any, path: str, folders: list[str]) -> Iterator[tuple[str, int | None, Any]]:
    """Yield the files of a folder: path, bytes (None for a broken link, or what is no file) and version.

    Subfolders are added to `folders`.
    """
    if isinstance(filesystem, LocalFileSystem):
        for file in Path(path).iterdir() if Path(path).is_dir() else [Path(path)]:
            if file.is_dir():
                folders += [] if _leads_back(file) else [str(file)]
            elif file.is_file():
                status = file.stat()
                yield str(file), status.st_size, (status.st_mtime_ns, status.st_ino)
            else:
                yield str(file), None, None
        return
    try:
        entries = filesystem.ls(path, detail=True) if is_folder(filesystem, path) else [filesystem.info(path)]
    except FileNotFoundError:
        return
    filesystem.invalidate_cache()  # which would keep every entry
    for entry in entries:
        name = entry["name"].rstrip("/")
        if name != path.rstrip("/") and not name.startswith(path.rstrip("/") + "/"):  # a page links to anywhere
            continue
        if entry["type"] == "directory":
            folders.append(name)
        else:
            entry = filesystem.info(name) if entry["size"] is None and looks_like_alerts(name) else entry
            yield name, entry["size"] or 0, sorted(pick_changes(entry).items())


def _to_url(filesystem: Any, path: str) -> str:
    return filesystem.unstrip_protocol(path).removeprefix("file://")


def _leads_back(folder: Path) -> bool:
    """Whether a folder is a link to one of its parents, which would never end."""
    return folder.is_symlink() and folder.resolve() in folder.parent.resolve().joinpath("_").parents


def _find_hidden(path: str, root: str) -> str:
    """Find the topmost hidden part of a path below `root`; empty if none is hidden."""
    hidden = re.search(r"/\.[^/]*", path[len(root) :])
    return path[: len(root) + hidden.end()] if hidden else ""


def _why_not_read(path: str, root: str, size: int | None) -> str:
    if _find_hidden(path, root):
        return "it is hidden"
    if size is None:
        return "it is no file, or a broken link"
    return "" if is_packet(path) or is_tarball(path) else NOT_READ


def _begins_as_alerts(filesystem: Any, path: str) -> bool:
    """Whether a local file is one of alerts whose name does not say so; a store would be asked for every file."""
    if not isinstance(filesystem, LocalFileSystem):
        return False
    with suppress(OSError), Path(path).open("rb") as stream:
        return begins_as_alerts(stream)
    return False
