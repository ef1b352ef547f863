"""Write files and folders whole or not at all."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Write a file or a folder under a temporary name, and rename it when the ``with`` block ends without an error.

    The temporary name has the same ending, lies in a hidden folder beside `path`, and is of this process alone.

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
    hidden = path.with_name(f".{path.name}.part")
    part = hidden / f"{os.getpid()}-{path.name}"
    hidden.mkdir(parents=True, exist_ok=True)
    try:
        yield part
        _flush(part)
        if path.is_dir():
            shutil.rmtree(path)
        part.replace(path)
    finally:
        shutil.rmtree(hidden, ignore_errors=True)  # with what killed processes have left


def write_file(path: Path, content: bytes | str) -> None:
    """Write a file of bytes or UTF-8 text in one step."""
    with replacing(path) as part:
        part.write_bytes(content if isinstance(content, bytes) else content.encode())


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file in one step."""
    write_file(path, json.dumps(content, indent=1))


def _flush(part: Path) -> None:
    """Put what was written on the disk, so that a power failure leaves no empty file under the final name."""
    for file in (part, *part.rglob("*")):
        if not file.is_dir():
            with file.open("rb") as stream:
                os.fsync(stream.fileno())
