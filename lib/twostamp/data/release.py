"""Data set to publish: a run's pairs as Parquet shards with a data card, hashes and Croissant metadata.

``twostamp release alerce`` writes ``outputs/alerce/dataset``, and `twostamp.open_dataset` reads it back.
"""

import hashlib
import json
from collections.abc import Iterator
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from tqdm.auto import tqdm

from twostamp.alerts.extraction_tasks import ROWS_PER_GROUP
from twostamp.data.arrays import read_batches, read_metadata
from twostamp.data.croissant import make_croissant
from twostamp.data.data_card import (
    ACKNOWLEDGEMENT,
    LICENSE,
    NOT_PUBLIC,
    SIMULATED_LICENSE,
    describe_rights,
    measure_biases,
    write_card,
)
from twostamp.data.splits import is_public, make_splits
from twostamp.params import Parameters
from twostamp.utils.files import replacing

CARD, _CROISSANT, HASHES = "README.md", "croissant.json", "SHA256SUMS"
TABLES = {"labelled": "pairs.parquet", "unlabelled": "unlabelled_pairs.parquet"}
_VERSION = "1.0.0"
_URL = "https://ztf.uw.edu/alerts/public/"

_Shard = tuple[str, int, str]


class DatasetError(ValueError):
    """A data set cannot be written or read; the message is one sentence that names the file."""


def write_dataset(params: Parameters, root: Path, *, published: str = "") -> Path:
    """Write a run's pairs as a data set, completely or not at all.

    Parameters
    ----------
    params : Parameters
    root : Path
        Folder of the run. ``data/pairs.parquet`` is required; ``data/unlabelled_pairs.parquet`` is included if present.
    published : str
        ISO date of the metadata; today by default.

    Returns
    -------
    Path
        ``root/dataset``: ``data/<table>-<i>-of-<n>.parquet``, ``README.md`` (data card), ``croissant.json``,
        ``SHA256SUMS``.

    Raises
    ------
    DatasetError
        If there are no pairs, or none that is public.
    """
    sources = {name: root / "data" / source for name, source in TABLES.items() if (root / "data" / source).exists()}
    tables = {name: read_metadata(source) for name, source in sources.items()}
    kept = {name: is_public(table) | params.partnership for name, table in tables.items()}
    not_public = sum(int((~is_public(table)).sum()) for table in tables.values())
    pairs = root / "data" / TABLES["labelled"]
    if "labelled" not in sources or tables["labelled"].empty:
        raise DatasetError(f"{pairs} holds no pairs: run notebook 01 of {params.run_name}")
    if (labelled := tables["labelled"][kept["labelled"]].reset_index(drop=True)).empty:
        raise DatasetError(f"{pairs} holds no public pairs; `partnership: true` releases the others")
    folder = root / "dataset"
    with replacing(folder) as part:
        (part / "data").mkdir(parents=True)
        splits = _assign_splits(labelled, params)
        shards, schemas = {}, {}
        for name, source in sources.items():
            shards[name], schema = _write_shards(
                name, source, part, set(tables[name]["objectId"][kept[name]]), splits if name == "labelled" else None
            )
            if schema is not None:
                schemas[name] = schema
        shards = {name: files for name, files in shards.items() if files}
        table = labelled.assign(split=labelled["objectId"].map(splits).fillna(""))
        files = [file for group in shards.values() for file in group]
        counts = {name: _count_rows([part / path for path, *_ in group]) for name, group in shards.items()}
        mark = params.mark or ("simulated survey" if params.simulated else "")
        found, coverage = counts.get("unlabelled", 0), _measure_coverage(labelled)
        rights = describe_rights(params.simulated, not_public, params.partnership)
        card = write_card(params.run_name, mark, params.simulated, table, found, coverage, files, rights)
        (part / CARD).write_text(card)
        about = _describe(params, mark, table, counts, published or date.today().isoformat())
        about |= {"license": NOT_PUBLIC, "rai:dataCollection": NOT_PUBLIC} if not_public and params.partnership else {}
        croissant = make_croissant(about, shards, schemas)
        (part / _CROISSANT).write_text(json.dumps(croissant, indent=1, ensure_ascii=False) + "\n")
        files += [_stat(part, name) for name in (CARD, _CROISSANT)]
        (part / HASHES).write_text("".join(f"{digest}  {path}\n" for path, _, digest in files))
    return folder


def _assign_splits(pairs: pd.DataFrame, params: Parameters) -> pd.Series:
    """Assign training, validation and test as in notebook 03, by objectId; empty if a class is too small."""
    try:
        return make_splits(pairs, params)[0].set_index("objectId")["split"]
    except ValueError:
        return pd.Series(dtype=str)


def _measure_coverage(pairs: pd.DataFrame, nside: int = 16) -> float:
    """Measure the share of the sky's HEALPix pixels with the first alert of an object."""
    from twostamp.utils.healpix import healpix_counts  # late: the extra [sky]

    place = pairs[["ra_1", "dec_1"]].set_axis(["ra", "dec"], axis=1).assign(predicted="any")
    return float((healpix_counts(place, nside, ["any"])["any"] > 0).mean())


def _write_shards(
    name: str, source: Path, folder: Path, kept: set[str], splits: pd.Series | None
) -> tuple[list[_Shard], pa.Schema | None]:
    """Copy the parts of a table with any of the objects `kept`, with a column of splits."""
    parts = [path for path in sorted(source.glob("*.parquet")) if not kept.isdisjoint(_read_ids(path))]
    files, schema = [], None
    for number, part in enumerate(tqdm(parts, unit="shard", desc=name)):
        table = pq.read_table(part).replace_schema_metadata(None)
        table = table.filter(pa.array([name in kept for name in table["objectId"].to_pylist()], pa.bool_()))
        if splits is not None:
            column = pd.Series(table["objectId"].to_pylist()).map(splits).fillna("").astype(str)
            table = table.append_column("split", pa.array(column, pa.string()))
        path = f"data/{name}-{number:05d}-of-{len(parts):05d}.parquet"
        pq.write_table(table, folder / path, row_group_size=ROWS_PER_GROUP)
        files.append(_stat(folder, path))
        schema = table.schema
    return files, schema


def _read_ids(path: Path) -> list[str]:
    return pq.read_table(path, columns=["objectId"])["objectId"].to_pylist()


def _count_rows(paths: list[Path]) -> int:
    return sum(pq.read_metadata(path).num_rows for path in paths)


def _stat(folder: Path, path: str) -> _Shard:
    with (folder / path).open("rb") as stream:
        return path, (folder / path).stat().st_size, hashlib.file_digest(stream, "sha256").hexdigest()


def _describe(
    params: Parameters, mark: str, table: pd.DataFrame, counts: dict[str, int], published: str
) -> dict[str, Any]:
    what = ", ".join(f"{n} {name} objects" for name, n in counts.items())
    return {
        "name": f"twostamp-{params.run_name}",
        "description": f"First two ZTF alerts (stamps and metadata) of {what}." + (f" {mark}." if mark else ""),
        "license": SIMULATED_LICENSE if params.simulated else LICENSE,
        "url": _URL,
        "creator": {"@type": "sc:Organization", "name": "Two-Stamp"},
        "datePublished": published,
        "version": _VERSION,
        "citeAs": "Two-Stamp, CITATION.cff" if params.simulated else ACKNOWLEDGEMENT.replace("\n", " "),
        "keywords": ["astronomy", "time domain", "ZTF", "alerts", "ALeRCE", "image classification"],
        "rai:dataCollection": "Simulated alerts" if params.simulated else "Public alerts of ZTF; labels as in the card",
        "rai:dataBiases": measure_biases(table),
    }


class PairsDataset:
    """Data set written by `write_dataset`.

    Parameters
    ----------
    folder : str or Path

    Attributes
    ----------
    folder : Path
    tables : dict
        Name of a table (``labelled``, ``unlabelled``) -> its shards.

    Raises
    ------
    DatasetError
        If a file of the list of hashes is missing.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        if not (self.folder / HASHES).exists():
            raise DatasetError(f"{self.folder} is no data set: it has no {HASHES}")
        entries = [line.split("  ", 1) for line in (self.folder / HASHES).read_text().splitlines()]
        self._hashes = {path: digest for digest, path in entries}
        if absent := [path for path in self._hashes if not (self.folder / path).exists()]:
            raise DatasetError(f"{self.folder / absent[0]} is missing: copy the data set again")
        shards = {name: [self.folder / p for p in self._hashes if p.startswith(f"data/{name}-")] for name in TABLES}
        self.tables = {name: paths for name, paths in shards.items() if paths}

    @property
    def card(self) -> str:
        """Return the data card, Markdown."""
        return (self.folder / CARD).read_text()

    @cached_property
    def croissant(self) -> dict[str, Any]:
        """Return the Croissant metadata."""
        return json.loads((self.folder / _CROISSANT).read_text())

    def __len__(self) -> int:
        return _count_rows(self.tables["labelled"])

    def verify(self) -> None:
        """Compare every file with its hash.

        Raises
        ------
        DatasetError
            The first file that differs.
        """
        for path, digest in tqdm(self._hashes.items(), unit="file", desc="verify"):
            if _stat(self.folder, path)[2] != digest:
                raise DatasetError(f"{self.folder / path} is damaged: copy it again")

    def metadata(self, table: str = "labelled", split: str = "") -> pd.DataFrame:
        """Read all columns but the stamps, one row per object, sorted by objectId.

        Parameters
        ----------
        table : {"labelled", "unlabelled"}
        split : {"", "train", "validation", "test"}
            Default: all objects, chosen for a split or not.
        """
        rows = read_metadata(self._paths(table))  # type: ignore[arg-type]  # a data set may be a list of files
        if split and "split" not in rows:
            raise DatasetError(f"the table {table!r} has no splits")
        return rows[rows["split"] == split].reset_index(drop=True) if split else rows

    def batches(self, batch_size: int = 256, table: str = "labelled", split: str = "") -> Iterator[pd.DataFrame]:
        """Yield tables with stamps, for `twostamp.data.arrays.arrays_from_table` and
        `twostamp.data.arrays.read_triplets`."""
        wanted = self.metadata(table, split)["objectId"].tolist() if split else None
        return read_batches(self._paths(table), batch_size, wanted)  # type: ignore[arg-type]

    def _paths(self, table: str) -> list[Path]:
        if table not in self.tables:
            raise DatasetError(f"{self.folder} has no table {table!r}; it has {', '.join(self.tables)}")
        return self.tables[table]


def open_dataset(path: str | Path) -> PairsDataset:
    """Open a published data set (``twostamp release``): its metadata, splits and stamps.

    Examples
    --------
    >>> open_dataset("/nowhere")
    Traceback (most recent call last):
    twostamp.data.release.DatasetError: /nowhere is no data set: it has no SHA256SUMS
    """
    return PairsDataset(path)
