"""Label files and lists of objects with any separators, encodings, headers and empty cells."""

import bz2
import gzip
import io
import lzma
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import fsspec
import pandas as pd
import requests

from twostamp.taxonomy import LABEL_COLUMNS, is_empty

_SEPARATORS = ",;\t|"
_NOTES = re.compile(r"\A\s*(sep=.\n|(#.*\n)+)")
"""Starts of lines above a header in files of spreadsheets and astronomers."""
_TIMEOUT = 60  # seconds
_PADDING = " \t\r\n\u00a0\ufeff\"'"
_UNPACK: dict[bytes, Callable[[bytes], bytes]] = {
    b"\x1f\x8b": gzip.decompress,
    b"BZh": bz2.decompress,
    b"\xfd7zXZ": lzma.decompress,
}
_HEADERS = {
    "objectId": ("objectid", "oid", "object", "ztfid", "ztfname"),
    "classALeRCE": ("classalerce", "class", "classname"),
    "subclassALeRCE": ("subclassalerce", "subclass", "subclassname"),
}
"""Headers of each column, without case, spaces, ``_`` and ``-``."""


def read_table(path: str | Path) -> pd.DataFrame:
    """Read a table of text, separated by comma, semicolon, tab, bar or spaces, compressed or not, or Parquet.

    Returns
    -------
    DataFrame
        Text without padding or quotes; empty for empty cells.

    Raises
    ------
    ValueError
        If it is empty or no table; the message names the file.
    OSError
        If there is no such file.
    """
    data = _read_bytes(str(path))
    try:
        unpack = next((unpack for magic, unpack in _UNPACK.items() if data.startswith(magic)), bytes)
        data = unpack(data)
        if data.startswith(b"PAR1"):
            table = pd.read_parquet(io.BytesIO(data))
            table = table.reset_index() if any(table.index.names) else table
        else:
            table = _parse(_decode(data))
    except (ValueError, OSError, EOFError, lzma.LZMAError) as error:  # of pandas, pyarrow and zlib too
        raise ValueError(f"{path} is no table: {str(error).splitlines()[0]}") from None
    table = table.set_axis([str(name).strip(_PADDING) for name in table], axis=1)
    return table.apply(lambda column: column.map(_clean)).astype(object)


def find_column(table: pd.DataFrame, name: str) -> str:
    """Find the column for one of `LABEL_COLUMNS`, or any name; empty if none or several match."""
    if name in table:
        return name
    known = _HEADERS.get(name, (_plain(name),))
    found = [str(column) for column in table if _plain(str(column)) in known]
    return found[0] if len(found) == 1 else ""


def read_label_csv(path: str | Path, columns: Mapping[str, str] | None = None) -> pd.DataFrame:
    """Read labels of any file as `LABEL_COLUMNS`; `columns` maps these to the file's names.

    Raises
    ------
    ValueError
        If there is no objectId, or neither label; the message names the file.
    """
    table = read_table(path)
    columns = columns or {}
    if unknown := sorted(set(columns) - set(LABEL_COLUMNS)):
        raise ValueError(f"label_columns names {unknown[0]!r}: its keys are {', '.join(LABEL_COLUMNS)}")
    present = {name: find_column(table, columns.get(name, name)) for name in LABEL_COLUMNS}
    if not present["objectId"] or not any(list(present.values())[1:]):
        absent = "classALeRCE" if present["objectId"] else "objectId"
        raise ValueError(
            f"{path} has no column {columns.get(absent, absent)!r}: set label_columns to the names of its columns, "
            f"which are {', '.join(table.columns)}"
        )
    mapped = {name: table[column] if column else "" for name, column in present.items()}
    return pd.DataFrame(mapped, index=table.index, columns=LABEL_COLUMNS).astype(object)


def read_column(path: str | Path, name: str) -> pd.Series:
    """Read one column of a table; `ValueError` if it is missing."""
    table = read_table(path)
    if not (column := find_column(table, name)):
        raise ValueError(f"{path} has no column {name!r}; it has {', '.join(table.columns)}")
    return table[column]


def _read_bytes(path: str) -> bytes:
    if path.startswith(("http://", "https://")):  # fsspec would need one more package for it
        answer = requests.get(path, timeout=_TIMEOUT)
        answer.raise_for_status()
        return answer.content
    with fsspec.open(path, "rb") as stream:
        return bytes(stream.read())


def _parse(text: str) -> pd.DataFrame:
    if text.startswith("PK\x03\x04"):
        raise ValueError("it is a zip file or a workbook: unpack it, or save it as CSV")
    text = _NOTES.sub("", re.sub("\r\n?", "\n", text))
    head = text.lstrip(_PADDING).partition("\n")[0]
    if not head:
        raise ValueError("it is empty")
    if "\0" in head:
        raise ValueError("it is no text")
    separator = max(_SEPARATORS, key=head.count)
    if separator not in head and re.search(r"\S\s+\S", head):
        separator = r"\s+"
    # Without index_col, a row that is longer than the header would shift all columns.
    options: dict[str, Any] = {"dtype": str, "keep_default_na": False, "skipinitialspace": True, "index_col": False}
    return pd.read_csv(io.StringIO(text), sep=separator, **options)


def _decode(data: bytes) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _clean(value: object) -> str:
    text = "" if value is None or value is pd.NA else str(value).strip(_PADDING)
    return "" if is_empty(text) else text


def _plain(header: str) -> str:
    return re.sub(r"[\s_-]", "", header).lower()
