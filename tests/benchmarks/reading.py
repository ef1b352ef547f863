"""Rows of reading and preparing: keys, tarballs, stamps."""

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from isal import igzip

from tests.benchmarks import inputs, plain
from tests.benchmarks.measure import Row, compare, growth, rate_of
from twostamp.alerts.archive import read_members
from twostamp.alerts.cutouts import read_stamp, repair_stamp
from twostamp.alerts.packet import read_keys, read_packets
from twostamp.data.stamps import normalise_stamps

CROP = 21
STAMPS = inputs.sized(600, 48)
PACKETS = inputs.sized(1000, 40)
WORKS = [PACKETS // share for share in (8, 4, 2, 1)]


def decode_alerts(count: int | None = STAMPS // 3) -> list[dict]:
    """Whole alerts, three stamps each; None for all."""
    return [read_packets(data)[0] for data in inputs.read_alerts()[:count]]


def keys() -> Iterator[Row]:
    """Keys from packets in memory."""
    packets = inputs.read_alerts()[:PACKETS]
    few = packets[:200]
    ours = rate_of(len(few), lambda: [read_keys(data) for data in few])
    reference = rate_of(len(few), lambda: [plain.read_key(data) for data in few])
    yield compare("keys from packets in memory / fastavro.reader", "alerts/s", ours, reference, 8)
    make = lambda n: lambda: [read_keys(data) for data in (packets * 8)[:n]]  # noqa: E731
    yield growth("keys from packets", WORKS, make)


def tarballs() -> Iterator[Row]:
    """Keys from a nightly tarball, beside the plain way and beside what decompression alone takes."""
    packets = inputs.read_alerts()[:PACKETS]
    with tempfile.TemporaryDirectory() as folder:
        paths = {n: Path(folder) / f"ztf_public_{n}.tar.gz" for n in WORKS}
        for n, path in paths.items():
            inputs.write_tarball(path, (packets * 8)[:n])
        half = WORKS[-2]
        path = paths[half]
        ours = rate_of(half, lambda: read_tarball(path))
        name, plainly = "keys from .tar.gz / tarfile + fastavro.reader", rate_of(half, lambda: plain.read_tarball(path))
        yield (row := compare(name, "alerts/s", ours, plainly, 3.5))
        size = path.stat().st_size / half / 1e6
        rates = {"ours": row.ours * size, "reference": row.reference * size}
        yield replace(row, row="the same by compressed bytes", unit="MB/s", **rates)
        limit = rate_of(half, lambda: walk_only(path))
        yield compare("keys from .tar.gz / the limit: isal + tar headers", "alerts/s", ours, limit, 0.7)
        yield growth("keys from .tar.gz", WORKS, lambda n: lambda: read_tarball(paths[n]))


def read_tarball(path: Path) -> int:
    """Read the keys of a tarball, as the key pass does."""
    return sum(len(read_keys(member.data)) for member in read_members(str(path)))


def walk_only(path: Path) -> int:
    """Decompress a tarball and step from header to header: what no reader can do without."""
    count = 0
    with igzip.open(path, "rb") as stream:
        while (header := stream.read(512)) != bytes(512):
            stream.read(-(-int(header[124:135], 8) // 512) * 512)
            count += 1
        while stream.read(1 << 20):
            pass
    return count


def stamps() -> Iterator[Row]:
    """Stamps from gzipped FITS, those of every packet compared first."""
    every = [alert[f"cutout{name}"]["stampData"] for alert in decode_alerts(None) for name in plain.STAMPS]
    for data in every:
        np.testing.assert_array_equal(read_stamp(data), plain.read_stamp(data))
    gzipped = every[:STAMPS]
    ours = rate_of(len(gzipped), lambda: [read_stamp(data) for data in gzipped])
    reference = rate_of(len(gzipped), lambda: [plain.read_stamp(data) for data in gzipped])
    yield compare("stamps: gzipped FITS to float32 / gzip + astropy", "stamps/s", ours, reference, 8)
    works = [len(gzipped) // share for share in (8, 4, 2, 1)]
    yield growth("stamps", works, lambda n: lambda: [read_stamp(data) for data in gzipped[:n]])


def preparation() -> Iterator[Row]:
    """Repair, normalisation and crop of decoded stamps."""
    alerts = decode_alerts()
    images = [read_stamp(alert[f"cutout{name}"]["stampData"]) for alert in alerts for name in plain.STAMPS]
    x, y = ([alert["candidate"][axis] for alert in alerts for _ in plain.STAMPS] for axis in ("xpos", "ypos"))

    def prepare(n: int = len(images)) -> np.ndarray:
        repaired = np.stack([repair_stamp(*stamp) for stamp in zip(images[:n], x, y, strict=False)])
        return normalise_stamps(repaired, crop=CROP)

    exact = [image.astype(np.float64) for image in images]  # numpy's quantiles in single precision are off by 4e-6
    np.testing.assert_allclose(prepare(), plain.prepare(exact, x, y, CROP), rtol=0, atol=1e-6)
    ours = rate_of(len(images), prepare)
    reference = rate_of(len(images), lambda: plain.prepare(images, x, y, CROP))
    yield compare("repair + normalise + crop / NumPy loop, nanquantile", "stamps/s", ours, reference, 5)
    works = [len(images) // share for share in (8, 4, 2, 1)]
    yield growth("repair + normalise + crop", works, lambda n: lambda: prepare(n))
