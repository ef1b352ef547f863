"""Fingerprints that show whether an input, or the code that reads it, has changed since a result was made."""

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path

import fsspec
import requests

_NOTES = {".csv", ".json", ".jsonl", ".md", ".txt"}
"""Endings of other files among alerts, for example reports that every download rewrites."""
_SMALL = 64 << 20
"""Largest size in bytes of a file identified by its content; larger ones by size, time of change and inode."""
_CHANGES = {"size", "etag", "contentmd5", "digest", "lastmodified", "mtime", "created", "contentlength", "generation"}
"""Fields reported by servers and file systems that change with a file's content."""
_TIMEOUT = 20  # seconds


def describe_input(name: str) -> str:
    """Describe a file, folder or URL by properties that change with its content.

    A small file is described by its hash. A large one, and the alerts in a folder, are described by size, time and
    inode. A file of a server is described by the server's report, for example its ETag. Notes in a folder (`_NOTES`)
    are ignored.

    Parameters
    ----------
    name : str
        Path or URL; empty for none.

    Returns
    -------
    str
        Description, equal as long as nothing changes; for an unreachable server it states only that.

    Examples
    --------
    >>> describe_input("nowhere/labels.csv")
    '"missing"'
    """
    if "://" in name:
        return json.dumps(_describe_remote(name), sort_keys=True)
    path = Path(name)
    if path.is_file() and path.stat().st_size <= _SMALL:
        return json.dumps(hashlib.sha256(path.read_bytes()).hexdigest())
    if path.is_file():
        return json.dumps(_describe_status(path))
    return json.dumps(_describe_folder(path) if name and path.is_dir() else "missing")


def hash_code(folder: Path, names: Iterable[str] = ()) -> str:
    """Hash the named files of a folder; by default all modules and tables below it, except a packaged study."""
    below = [path for path in sorted(folder.rglob("*")) if path.suffix in {".py", ".csv", ".json"}]
    paths = [folder / name for name in names] or [path for path in below if folder / "study" not in path.parents]
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()


def _describe_status(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns, status.st_ino


def _describe_folder(folder: Path) -> list[tuple[str, tuple[int, int, int]]]:
    seen, found = set(), []
    for parent, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(parent)
        if real in seen:  # links that go round
            folders.clear()
            continue
        seen.add(real)
        files = (path for path in map(Path(parent).joinpath, names) if path.suffix not in _NOTES and path.is_file())
        found += [(str(path.relative_to(folder)), _describe_status(path)) for path in files]
    return sorted(found)


def _describe_remote(url: str) -> dict[str, dict[str, str]] | str:
    try:
        if url.startswith(("http://", "https://")):
            answer = requests.head(url, allow_redirects=True, timeout=_TIMEOUT)
            answer.raise_for_status()
            return {url: pick_changes(dict(answer.headers))}
        filesystem, root = fsspec.core.url_to_fs(url)
        found = filesystem.find(root, detail=True) or {root: filesystem.info(root)}
        return {name: pick_changes(entry) for name, entry in found.items()}
    except (OSError, ImportError, ValueError) as error:
        return f"no answer: {type(error).__name__}"


def pick_changes(entry: dict[str, object]) -> dict[str, str]:
    """Pick the fields of a server's or file system's report that change with a file's content."""
    return {name: str(value) for name, value in entry.items() if name.replace("-", "").lower() in _CHANGES}
