"""Rows that Spark tasks make from many inputs, one file per input: a killed run makes only the missing ones."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from twostamp.utils.files import replacing
from twostamp.utils.spark import show_progress

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

Work = Callable[[Any], Iterable[pa.RecordBatch]]

_TASKS_PER_CORE = 16
"""Tasks that small inputs are put together into: enough that the last ones to end are short."""
_SMALL = 64 << 20
"""Bytes of a task of small inputs, at most: a cluster may have more cores than those that it has counted so far."""
_ROW_GROUP_BYTES = 16 << 20


class Input(NamedTuple):
    """One input: ``key`` names its file, ``value`` is what the work gets, ``weight`` says how long it takes."""

    key: str
    value: Any
    weight: int


def map_and_store(
    spark: "SparkSession", inputs: Sequence[Input], work: Work, schema: pa.Schema, folder: Path
) -> "DataFrame":
    """Run ``work(value)`` for every input in one job, the heaviest first, and store its rows under the input's key.

    No task waits for another. One that dies costs its own inputs; an input whose file is there is not done again,
    whatever the number of cores was.

    Parameters
    ----------
    spark : SparkSession
    inputs : sequence of Input
    work : callable
        Gives batches of rows, each of which becomes a row group; it must be picklable.
    schema : Schema
        Of the batches.
    folder : Path
        On a file system that all workers share; its name titles the progress bar and the job. It gets one Parquet file
        an input, and loses those of other inputs.

    Returns
    -------
    DataFrame
        The rows of all inputs.
    """
    folder.mkdir(parents=True, exist_ok=True)
    there, wanted = {path.stem for path in folder.glob("[!.]*.parquet")}, {item.key for item in inputs}
    for key in there - wanted:
        (folder / f"{key}.parquet").unlink()

    def store(numbers: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for item in (item for batch in numbers for at in batch.column(0).to_pylist() for item in groups[at]):
            with replacing(folder / f"{item.key}.parquet") as part, pq.ParquetWriter(part, schema) as writer:
                for batch in work(item.value):
                    writer.write_batch(batch)
        yield from ()

    groups = _group([item for item in inputs if item.key not in there], _TASKS_PER_CORE * _count_cores(spark))
    if groups:
        spark.sparkContext.setJobDescription(folder.name)
        with show_progress(spark, len(groups), folder.name):
            # In Arrow's workers, as what comes before and after: others would have to start, and import all anew.
            spark.range(0, len(groups), 1, len(groups)).mapInArrow(store, "done int").collect()
        spark.sparkContext.setJobDescription(None)
    return read_stored(spark, folder, schema)


def read_stored(spark: "SparkSession", folder: Path, schema: pa.Schema) -> "DataFrame":
    """Read what `map_and_store` stored in a folder."""
    from pyspark.sql.pandas.types import from_arrow_schema

    return spark.read.schema(from_arrow_schema(schema)).parquet(str(folder))


def batch_rows(rows: Iterable[dict[str, Any]], schema: pa.Schema, size: int) -> Iterator[pa.RecordBatch]:
    """Make batches of `size` rows; what a row lacks is null."""
    rest = iter(rows)
    while part := list(islice(rest, size)):
        yield pa.RecordBatch.from_pylist(part, schema)


def store(frame: "DataFrame", path: Path) -> "DataFrame":
    """Write a frame as a folder of Parquet files, unless it is there already, and read it back."""
    if not path.exists():
        with replacing(path) as part:
            frame.write.option("parquet.block.size", _ROW_GROUP_BYTES).parquet(str(part))
    return frame.sparkSession.read.schema(frame.schema).parquet(str(path))


def spread(spark: "SparkSession", work: Callable[[Any], Any], values: Sequence[Any]) -> list[Any]:
    """Run ``work(value)`` for every value, on the workers if there are several; results in the order of the values."""
    if len(values) < 2:
        return [work(value) for value in values]
    slices = min(len(values), _TASKS_PER_CORE * _count_cores(spark))
    return spark.sparkContext.parallelize(values, slices).map(work).collect()


def _count_cores(spark: "SparkSession") -> int:
    return spark.sparkContext.defaultParallelism


def _group(inputs: Iterable[Input], tasks: int) -> list[list[Input]]:
    """Put inputs into about `tasks` groups at most: the heaviest alone and first, the light ones together.

    >>> weights = {"a": 1, "b": 5, "c": 9, "d": 1, "e": 2}
    >>> [[item.key for item in group] for group in _group([Input(name, None, n) for name, n in weights.items()], 4)]
    [['c'], ['b'], ['e', 'a', 'd']]
    """
    order = sorted(inputs, key=lambda item: (-item.weight, item.key))
    share = min(sum(item.weight for item in order) / tasks, _SMALL)
    groups: list[list[Input]] = []
    weight = share
    for item in order:
        if weight >= share:
            groups.append([])
            weight = 0
        groups[-1].append(item)
        weight += item.weight
    return groups
