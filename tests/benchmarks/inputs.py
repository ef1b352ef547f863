"""What is measured on: real packets where $TWOSTAMP_REAL_ALERTS names some, simulated ones otherwise, and copies."""

import io
import os
import struct
import tarfile
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
from isal import igzip

from tests.benchmarks.measure import TINY
from twostamp.alerts.archive import iter_members
from twostamp.alerts.cutouts import read_cutouts
from twostamp.alerts.packet import read_keys, read_packets
from twostamp.data.arrays import read_metadata
from twostamp.data.splits import make_splits
from twostamp.data.tfrecord_writer import write_records
from twostamp.data.tfrecords import Records
from twostamp.params import Parameters
from twostamp.simulation.survey import write_survey
from twostamp.taxonomy import CLASSES
from twostamp.utils.paths import outputs_root

SEED = 20210901
SMALL_SURVEY = {"pairs_per_class": 60, "unlabelled_objects": 100, "nights": 30, "seed": SEED}
SMALL_SURVEY |= {"pairs_per_class": 8, "unlabelled_objects": 10, "nights": 8} if TINY else {}
SHARES = {"cap": 60, "held_out": 2 if TINY else 15}
ALERTS_PER_OBJECT = 4


def sized(usual: int, tiny: int) -> int:
    """Choose a size."""
    return tiny if TINY else usual


def bench_folder() -> Path:
    """Where the benchmarks keep what they need again."""
    return outputs_root() / ("bench-tiny" if TINY else "bench")


def find_survey() -> Path:
    """Folder of a small simulated survey, made once."""
    folder = bench_folder() / "data" / "survey"
    write_survey(folder, **SMALL_SURVEY)
    return folder


def real_alerts() -> Path | None:
    """Folder of real nights, None where $TWOSTAMP_REAL_ALERTS names none."""
    return Path(os.environ["TWOSTAMP_REAL_ALERTS"]).resolve() if os.environ.get("TWOSTAMP_REAL_ALERTS") else None


@lru_cache(maxsize=1)
def read_alerts() -> list[bytes]:
    """Packets of one alert each with three stamps, in memory; an archive holds others on purpose."""
    packets = []
    for member in iter_members(str(real_alerts() or find_survey()), progress=False):
        try:
            (alert,) = read_packets(member.data, history=False)
            read_cutouts(alert)
        except ValueError:
            continue
        packets.append(member.data)
    return packets


def describe(simulated: bool) -> str:
    """What a row is measured on, and the mean size of its packets."""
    if simulated:
        packets = [member.data for member in iter_members(str(find_survey()), progress=False)]
    else:
        packets = read_alerts()
    kind = "real" if real_alerts() and not simulated else "simulated"
    return f"{kind}, {np.mean([*map(len, packets)]) / 1000:.0f} kB"


def copy_packet(data: bytes, number: int, objectId: str, jd: float) -> bytes:
    """Copy a packet as another alert: same size, its objectId, candid and jd replaced where they stand."""
    key = read_keys(data)[0]
    copied = data.replace(key.objectId.encode(), objectId.encode())
    copied = copied.replace(_write_long(key.candid), _write_long(10**18 + number))
    return copied.replace(struct.pack("<d", key.jd), struct.pack("<d", jd), 1)


def make_pairs(count: int) -> list[tuple[bytes, bytes]]:
    """Pairs of packets: one, and a copy of another as the same object's alert of a day later."""
    packets, pairs = read_alerts(), []
    for i in range(count):
        first, second = packets[2 * i % len(packets)], packets[(2 * i + 1) % len(packets)]
        key = read_keys(first)[0]
        pairs.append((first, copy_packet(second, i, key.objectId, key.jd + 1)))
    return pairs


def _write_long(value: int) -> bytes:
    rest, content = value << 1, bytearray()
    while rest > 0x7F:
        content.append(rest & 0x7F | 0x80)
        rest >>= 7
    return bytes(content + bytes([rest]))


def write_tarball(path: Path, packets: Iterable[bytes]) -> None:
    """Write packets as a nightly tarball."""
    with igzip.open(path, "wb", compresslevel=1) as stream, tarfile.open(fileobj=stream, mode="w|") as tar:
        for data in packets:
            entry = tarfile.TarInfo(f"{read_keys(data)[0].candid}.avro")
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))


def write_archive(folder: Path, sizes: Sequence[int], labelled: float, packets: Sequence[bytes] = ()) -> pd.DataFrame:
    """Write nights of copied packets, once, and return the labels of a share of their objects.

    Parameters
    ----------
    folder : Path
    sizes : sequence of int
        Alerts in each night; an object has `ALERTS_PER_OBJECT` alerts in different nights.
    labelled : float
        Share of the objects that have a label.
    packets : sequence of bytes
        What is copied; `read_alerts` by default.
    """
    if (folder / "labels.csv").exists():
        return pd.read_csv(folder / "labels.csv")
    folder.mkdir(parents=True, exist_ok=True)
    packets = packets or read_alerts()
    n_objects = sum(sizes) // ALERTS_PER_OBJECT
    names = [f"ZTF19{_letters(i)}" for i in range(n_objects)]
    first = 0
    for night, size in enumerate(sizes):
        copies = (
            copy_packet(packets[i % n_objects % len(packets)], i, names[i % n_objects], 2458700.5 + night + i / 1e6)
            for i in range(first, first + size)
        )
        write_tarball(folder / f"ztf_public_{20190901 + night}.tar.gz", copies)
        first += size
    chosen = names[:: round(1 / labelled)]  # spread, as in a survey: nearly every night holds a first or second alert
    labels = pd.DataFrame({"objectId": chosen, "classALeRCE": "SN", "subclassALeRCE": "SNIa"})
    labels.to_csv(folder / "labels.csv", index=False)
    return labels


def _letters(index: int) -> str:
    letters = ""
    for _ in range(7):
        index, digit = divmod(index, 26)
        letters = chr(ord("a") + digit) + letters
    return letters


def extract_pairs() -> Path:
    """Pairs of the small simulated survey, made once."""
    from twostamp.alerts.extraction import extract_first_two
    from twostamp.utils.spark import open_spark

    survey, folder = find_survey(), bench_folder() / "data"
    with open_spark("local[2,4]") as spark:
        extract_first_two(spark, str(survey), pd.read_csv(survey / "labels.csv"), folder)
    return folder / "pairs.parquet"


def find_records(pairs: Path, folder: Path, cap: int = SHARES["cap"], held_out: int = SHARES["held_out"]) -> Records:
    """TFRecords of pairs, made once."""
    shares = {"cap_per_class": cap, "validation_per_class": held_out, "test_per_class": held_out}
    assignment, _ = make_splits(read_metadata(pairs), Parameters(seed=SEED, **shares))
    write_records(pairs, assignment, folder, CLASSES, seed=SEED)
    return Records(folder)
