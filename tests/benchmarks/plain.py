"""The obvious way of doing each step, as a careful programmer without this library would: the references."""

import gzip
import io
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import fastavro
import numpy as np
import pandas as pd
from astropy.io import fits
from numpy.typing import NDArray

STAMPS = ("Science", "Template", "Difference")
Floats = NDArray[np.float32]


def read_packet(data: bytes) -> dict[str, Any]:
    """Decode a packet whole."""
    return next(iter(fastavro.reader(io.BytesIO(data))))


def read_key(data: bytes) -> tuple[str, int, float]:
    """Decode a packet whole for its key."""
    packet = read_packet(data)
    return packet["objectId"], packet["candid"], packet["candidate"]["jd"]


def read_tarball(path: Path) -> list[tuple[str, int, float]]:
    """Read the keys of a nightly tarball."""
    with tarfile.open(path, "r:gz") as tar:
        return [read_key(tar.extractfile(entry).read()) for entry in tar if entry.name.endswith(".avro")]


def read_stamp(data: bytes) -> Floats:
    """Decode one gzipped FITS stamp."""
    with fits.open(io.BytesIO(gzip.decompress(data))) as hdus:
        return hdus[0].data.astype(np.float32)


def repair(stamp: Floats, xpos: float, ypos: float) -> Floats:
    """Put a stamp cut at a chip's edge back to 63 x 63, pixel (xpos, ypos) in its centre."""
    if stamp.shape == (63, 63):
        return stamp
    whole = np.full((63, 63), np.nan, np.float32)
    top, left = max(0, 32 - round(ypos)), max(0, 32 - round(xpos))
    whole[top : top + stamp.shape[0], left : left + stamp.shape[1]] = stamp
    return whole


def normalise(stamp: Floats) -> Floats:
    """Scale one stamp by its 10th and 90th percentile, missing pixels 2 (decision S2)."""
    low, high = np.nanquantile(stamp, [0.1, 0.9])
    scaled = np.clip((stamp - low) / (high - low), -1, 1) if high > low else np.zeros_like(stamp)
    return np.where(np.isnan(stamp), 2, scaled).astype(np.float32)


def prepare(stamps: Sequence[Floats], xpos: Sequence[float], ypos: Sequence[float], crop: int) -> Floats:
    """Repair, normalise and crop stamps one by one."""
    start = 31 - crop // 2
    place = slice(start, start + crop)
    return np.stack([normalise(repair(*stamp))[place, place] for stamp in zip(stamps, xpos, ypos, strict=True)])


def decode_pairs(pairs: Sequence[tuple[bytes, bytes]], crop: int) -> tuple[list[Floats], pd.DataFrame]:
    """Decode pairs of packets: stamps of either alert, shape (n, crop, crop, 3), and a table of ``candidate``."""
    stamps: list[list[Floats]] = [[], []]
    rows = []
    for pair in pairs:
        row: dict[str, Any] = {}
        for alert, data in enumerate(pair):
            packet = read_packet(data)
            candidate = packet["candidate"]
            images = [read_stamp(packet[f"cutout{name}"]["stampData"]) for name in STAMPS]
            prepared = prepare(images, [candidate["xpos"]] * 3, [candidate["ypos"]] * 3, crop)
            stamps[alert].append(np.moveaxis(prepared, 0, -1))
            row |= {f"{name}_{alert + 1}": value for name, value in candidate.items()}
        rows.append(row)
    return [np.stack(images) for images in stamps], pd.DataFrame(rows)
