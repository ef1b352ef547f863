"""How large the driver grows with the keys of an archive: ``python -m tests.benchmarks.driver 222000000``.

The keys are made up and lie in files as the key pass writes them; packets are not opened. All else is the extraction of
labelled objects, and then the cones of the unlabelled sky, with the heap of 2 GB that a small machine gets.
"""

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tests.benchmarks import inputs
from tests.benchmarks.measure import Row, bound, run_apart
from twostamp.alerts import extraction
from twostamp.alerts.archive_listing import Source
from twostamp.alerts.cutouts import STAMPS
from twostamp.alerts.extraction_tasks import KEY, PLACE, SCAN, make_opened_schema, make_schema
from twostamp.alerts.packet import read_candidate_types, read_schema, write_packets
from twostamp.analysis.unlabelled_sky import cone_centres, select_in_cones
from twostamp.utils.spark import make_spark
from twostamp.utils.spark_store import Input, batch_rows, map_and_store

SIZES = (20_000, inputs.sized(2_000_000, 40_000))
NIGHTS, ALERTS_PER_OBJECT, LABELLED = 40, 4, 200
BATCH = 100_000
LIMIT = 1.5


def driver_rows() -> Iterator[Row]:
    """Peak memory of the driver's process with the keys of two archives."""
    peaks = [(measure(n) if inputs.TINY else run_apart(measure, n))[0] for n in SIZES]
    name = f"peak memory of the driver, {SIZES[1]} keys ({peaks[1]} MB) / {SIZES[0]} ({peaks[0]} MB)"
    yield bound(name, "ratio", [peaks[1] / peaks[0]], LIMIT)


def measure(n_keys: int) -> tuple[int, float]:
    """Peak memory of this process in MB, and seconds of an extraction and of the cones."""
    spark = make_spark("local[2,4]")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        makes = [Input(f"{night:04d}", (night, n_keys), 1) for night in range(NIGHTS)]
        rows = map_and_store(spark, makes, make_keys, make_schema(SCAN), folder / "keys")
        sources = {name_night(night): Source(n_keys, night) for night in range(NIGHTS)}
        outputs = {name: folder / f"{name}.parquet" for name in ("first_alerts", "pairs", "quarantine")}
        started = time.monotonic()
        labels = spark.range(0, n_keys // ALERTS_PER_OBJECT, LABELLED).selectExpr("concat('ZTF', id) as objectId")
        extraction.open_winners = open_nothing
        report = extraction._extract(extraction.Scan(sources, {}, rows), labels, folder / "scratch", outputs)
        assert report.alerts_read == n_keys, report
        objects = extraction.list_objects(rows).selectExpr("*", "cast(null as boolean) as labelled")
        _, counts = select_in_cones(objects, cone_centres(), 7.0710678, 5000, 1, folder)
        assert counts["objects in the archive"] == n_keys // ALERTS_PER_OBJECT, counts
        seconds = time.monotonic() - started
    spark.stop()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024, seconds


def name_night(night: int) -> str:
    """Name of a source."""
    return f"/archive/ztf_public_{night:04d}.tar.gz"


def make_keys(part: tuple[int, int]) -> Iterator[pa.RecordBatch]:
    """Rows of one night, as the key pass gives them."""
    night, n_keys = part
    schema, n_objects = make_schema(SCAN), n_keys // ALERTS_PER_OBJECT
    first, end = (at * n_keys // NIGHTS for at in (night, night + 1))
    for start in range(first, end, BATCH):
        number = np.arange(start, min(start + BATCH, end))
        candid = pa.array(10**18 + number)
        names = pc.binary_join_element_wise("ZTF", pa.array(number % n_objects).cast("string"), "")
        z, turn = np.modf(number % n_objects * 0.754877666)[0], np.modf(number % n_objects * 0.569840296)[0]
        columns: dict[str, Any] = {"kind": ["alert"] * len(number), "source": [name_night(night)] * len(number)}
        columns |= {"member": pc.binary_join_element_wise(candid.cast("string"), ".avro", ""), "record": 0 * number}
        columns |= {"objectId": names, "candid": candid, "jd": 2458300.5 + night + (number - first) / 1e8}
        columns |= {"ra": 360 * turn, "dec": np.degrees(np.arcsin(2 * z - 1))}
        arrays = [pa.array(columns.get(field.name, [None] * len(number)), field.type) for field in schema]
        yield pa.RecordBatch.from_arrays(arrays, schema=schema)
    source = {"source": name_night(night)}
    totals = {"alerts": end - first, "partnership": 0, "bytes": 66_000 * (end - first)}
    fields = json.dumps(read_candidate_types(write_packets([], read_schema())))
    notes = [{"kind": "night", "text": f"2018-{night:04d}"} | totals, {"kind": "fields", "text": fields, "alerts": 1}]
    yield pa.RecordBatch.from_pylist([source | note for note in notes], schema)


def open_nothing(source: str, winners: Path, fields: dict[str, str]) -> Iterator[pa.RecordBatch]:
    """Stand for the stamp pass: every winner is whole, and its stamps weigh nothing."""
    chosen = pq.read_table(winners, columns=[*PLACE, *KEY], filters=[("source", "==", source)])
    found = {"reason": None, "square": True} | dict.fromkeys(STAMPS, b"")
    yield from batch_rows((row | found for row in chosen.to_pylist()), make_opened_schema(fields), 10_000)


def main() -> None:
    """Measure archives of as many keys as are named."""
    from tests.benchmarks import driver  # workers look functions up by the name of their module

    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.driver", description=__doc__)
    parser.add_argument("keys", nargs="+", type=int)
    for n_keys in parser.parse_args().keys:
        peak, seconds = run_apart(driver.measure, n_keys)
        print(f"{n_keys} keys: the driver's peak is {peak} MB, {seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main()
