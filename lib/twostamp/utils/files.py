"""Write files and folders completely or not at all."""

import json
import os
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

_MARK = ".part-"
_HOST = socket.gethostname()
_FORGOTTEN = 86_400.0  # seconds after which an unfinished file of another machine counts as that of a killed process


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Write a file or a folder under a temporary name, and rename it when the ``with`` block ends without an error.

    The temporary name is hidden, next to `path`, has the same ending, and is unique to this process. The next process
    that writes in the folder removes files of killed processes of this machine, and those a day old.

    Parameters
    ----------
    path : Path
        An existing file or folder is replaced; missing parents are created.

    Yields
    ------
    Path
        Path for the file or folder. It is removed if the block raises.

    Raises
    ------
    FileNotFoundError
        If the block writes nothing.
    """
    part = path.with_name(f".{_HOST}.{os.getpid()}{_MARK}{path.name}")
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


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Write a table in one step, in the format of its ending: ``.csv`` or ``.parquet``; any other is a `ValueError`."""
    if path.suffix not in (".csv", ".parquet"):
        raise ValueError(f"{path} is neither a .csv nor a .parquet")
    with replacing(path) as part:
        table.to_csv(part, index=False) if path.suffix == ".csv" else table.to_parquet(part, index=False)


@cache
def _sweep(folder: Path) -> None:
    """Remove, once per process, files that killed processes left in a folder."""
    for left in folder.glob(f".*{_MARK}*"):
        with suppress(FileNotFoundError):
            if _is_of_killed_process(left.name) or time.time() - left.stat().st_mtime > _FORGOTTEN:
                _remove(left)


def _is_of_killed_process(name: str) -> bool:
    """Return whether a temporary name belongs to a process of this machine that no longer runs."""
    host, _, pid = name[1:].partition(_MARK)[0].rpartition(".")
    if host != _HOST or not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)  # only checks that the process exists
    except ProcessLookupError:
        return True
    except PermissionError:  # another user's process
        return False
    return False


def _remove(path: Path) -> None:
    """Remove a file or a folder, if there is one."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _flush(part: Path) -> None:
    """Flush a file to disk, so that a power failure leaves no empty file under the final name."""
    for file in (part, *part.rglob("*")):
        if not file.is_dir():
            with file.open("rb") as stream:
                os.fsync(stream.fileno())
