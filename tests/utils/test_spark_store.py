"""Rows stored input by input: no barrier, a death costs one input, and a killed run does only what is missing."""

import os
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark import cloudpickle
from pyspark.errors import PySparkException

from twostamp.utils.spark_store import Input, map_and_store, spread, store

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers cannot import a file of tests
pytestmark = pytest.mark.slow
SCHEMA = pa.schema([("name", pa.string()), ("n", pa.int64())])


def work(value: str, log: Path) -> Iterator[pa.RecordBatch]:
    """Two row groups; a value that says so kills its process or fails."""
    with (log / value).open("a") as stream:
        stream.write("x")
    yield pa.RecordBatch.from_pylist([{"name": value, "n": 1}], SCHEMA)
    if value == "dies once" and (log / value).read_text() == "x":
        os._exit(9)
    if value == "fails" and not (log / "mended").exists():
        raise ValueError("no such thing")
    yield pa.RecordBatch.from_pylist([{"name": value, "n": 2}], SCHEMA)


def run(spark: Any, folder: Path, names: list[str]) -> list[tuple[str, int]]:
    """Store the rows of some inputs, the first the heaviest."""
    log = folder.parent / "log"
    log.mkdir(exist_ok=True)
    inputs = [Input(f"key-{name}", name, 100 - at) for at, name in enumerate(names)]
    rows = map_and_store(spark, inputs, partial(work, log=log), SCHEMA, folder).collect()
    return sorted((row.name, row.n) for row in rows)


def count_runs(folder: Path) -> dict[str, int]:
    return {path.name: len(path.read_text()) for path in (folder.parent / "log").iterdir() if path.name != "mended"}


def test_a_death_costs_its_own_input(spark: Any, tmp_path: Path) -> None:
    names = ["one", "dies once", "two"]
    assert run(spark, tmp_path / "rows", names) == sorted((name, n) for name in names for n in (1, 2))
    assert count_runs(tmp_path / "rows") == {"one": 1, "dies once": 2, "two": 1}
    assert pq.ParquetFile(tmp_path / "rows" / "key-one.parquet").num_row_groups == 2


def test_what_is_stored_is_not_done_again_and_what_is_no_input_goes(spark: Any, tmp_path: Path) -> None:
    folder = tmp_path / "rows"
    with pytest.raises(PySparkException, match="no such thing"):
        run(spark, folder, ["one", "two", "fails"])
    assert {path.name for path in folder.iterdir()} >= {"key-one.parquet", "key-two.parquet"}
    (tmp_path / "log" / "mended").touch()
    found = run(spark, folder, ["fails", "one", "three"])
    assert found == sorted((name, n) for name in ("fails", "one", "three") for n in (1, 2))
    runs = count_runs(folder)
    assert (runs["one"], runs["two"], runs["three"]) == (1, 1, 1)
    assert sorted(path.name for path in folder.glob("*")) == [
        f"key-{name}.parquet" for name in ("fails", "one", "three")
    ]


def test_no_inputs_are_no_rows(spark: Any, tmp_path: Path) -> None:
    assert run(spark, tmp_path / "rows", []) == []


def test_a_stored_frame_is_not_made_again(spark: Any, tmp_path: Path) -> None:
    first = store(spark.range(3), tmp_path / "frame")
    again = store(spark.range(9), tmp_path / "frame")
    assert sorted(row.id for row in again.collect()) == sorted(row.id for row in first.collect()) == [0, 1, 2]


def test_results_come_in_the_order_of_the_values(spark: Any) -> None:
    assert spread(spark, os.path.basename, [f"/a/{n}" for n in range(50)]) == [str(n) for n in range(50)]
    assert spread(spark, os.getpid, []) == []
