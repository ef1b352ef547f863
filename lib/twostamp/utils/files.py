"""Write files and folders whole or not at all."""

import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

_MARK = ".part-"
_FORGOTTEN = 86_400.0  # seconds after which a file that is still unfinished is taken for a killed process's


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Write a file or a folder under a temporary name, and rename it when the ``with`` block ends without an error.

    The temporary name is hidden, lies beside `path`, has the same ending, and is of this process alone. What killed
    processes left in the folder is removed a day later.

    Parameters
    ----------
    path : Path
        A file or folder that is there is replaced; missing parents are made.

    Yields
    ------
    Path
        Where to write the file, or to make the folder. What was written is removed if the block raises.

    Raises
    ------
    FileNotFoundError
        If the block writes nothing.
    """
    part = path.with_name(f".{os.getpid()}{_MARK}{path.name}")
    path.parent.mkdir(parents=True, exist_ok=True)
    _sweep(path.parent)
    try:
        yield part
        _flush(part)
        if path.is_dir():
            shutil.rmtree(path)
        part.replace(path)
    finally:
        _remove(part)


def write_file(path: Path, content: bytes | str) -> None:
    """Write a file of bytes or UTF-8 text in one step."""
    with replacing(path) as part:
        part.write_bytes(content if isinstance(content, bytes) else content.encode())


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file in one step."""
    write_file(path, json.dumps(content, indent=1))


@cache
def _sweep(folder: Path) -> None:
    """Remove, once a process, what killed processes left in a folder."""
    for left in folder.glob(f".*{_MARK}*"):
        with suppress(FileNotFoundError):
            if time.time() - left.stat().st_mtime > _FORGOTTEN:
                _remove(left)


def _remove(path: Path) -> None:
    """Remove a file or a folder, if there is one."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _flush(part: Path) -> None:
    """Put what was written on the disk, so that a power failure leaves no empty file under the final name."""
    for file in (part, *part.rglob("*")):
        if not file.is_dir():
            with file.open("rb") as stream:
                os.fsync(stream.fileno())
