"""What several test files share: real packets when there are some, synthetic ones, one Spark session."""

import gzip
import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import HealthCheck, settings

from twostamp.alerts.packet import read_schema, write_packets

STAMPS = ("Science", "Template", "Difference")

UNTIMED = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}  # a busy machine must not fail a test
settings.register_profile("random", **UNTIMED)  # pytest --hypothesis-profile=random looks for what none has seen yet
settings.register_profile("repeatable", **UNTIMED, derandomize=True)
settings.load_profile("repeatable")


@pytest.fixture(scope="session")
def real_alerts() -> Path:
    """The folder of real ZTF nights that $TWOSTAMP_REAL_ALERTS names."""
    folder = os.environ.get("TWOSTAMP_REAL_ALERTS", "")
    if not folder:
        pytest.skip("TWOSTAMP_REAL_ALERTS does not name a folder of real ZTF packets")
    return Path(folder).resolve()


@pytest.fixture(scope="session")
def spark() -> Iterator[Any]:
    """One small Spark session for the whole run of the tests."""
    from twostamp.utils.spark import make_spark

    session = make_spark("local[2,4]")
    yield session
    session.stop()


def make_stamp(height: int = 63, width: int = 63, seed: int = 0) -> bytes:
    """Write noise as a gzipped FITS stamp."""
    image = np.random.default_rng(seed).normal(size=(height, width)).astype(">f4")
    stream = io.BytesIO()
    fits.PrimaryHDU(image).writeto(stream)
    return gzip.compress(stream.getvalue(), compresslevel=1, mtime=0)


STAMP = make_stamp()


def make_alert(
    objectId: str = "ZTF18abcdefg", candid: int = 1, jd: float = 2458000.5, **candidate: Any
) -> dict[str, Any]:
    """One alert of schema 3.3: zeros, empty texts and nulls, but for what is given.

    ``stamps`` in `candidate` replaces the three stamps (bytes, or None for an absent one).
    """
    stamps = candidate.pop("stamps", (STAMP,) * 3)
    fields = next(field for field in read_schema()["fields"] if field["name"] == "candidate")["type"]["fields"]
    values = {field["name"]: None if "default" in field else {"string": ""}.get(field["type"], 0) for field in fields}
    values |= {"jd": jd, "candid": candid, "isdiffpos": "t", "fid": 1, "programid": 1, "xpos": 1500.0, "ypos": 1500.0}
    cutouts = [None if stamp is None else {"fileName": "s.fits.gz", "stampData": stamp} for stamp in stamps]
    alert = {"schemavsn": "3.3", "publisher": "test", "objectId": objectId, "candid": candid, "prv_candidates": None}
    return (
        alert
        | {"candidate": values | candidate}
        | {f"cutout{name}": cut for name, cut in zip(STAMPS, cutouts, strict=True)}
    )


@pytest.fixture(scope="session")
def make_packet() -> Callable[..., bytes]:
    """Factory of synthetic packets: the arguments of `make_alert`, as the bytes of an Avro file."""
    return lambda *args, **kwargs: write_packets([make_alert(*args, **kwargs)], read_schema())
