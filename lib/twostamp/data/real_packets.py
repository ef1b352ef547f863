"""Labelled real packets that a run is compared with (``real_archive``); the repository holds none."""

from hashlib import sha256
from pathlib import Path

import pandas as pd

from twostamp.alerts.extraction import extract_first_two
from twostamp.data.labels import read_labels
from twostamp.params import Parameters
from twostamp.utils.dates import night_of
from twostamp.utils.spark import open_spark

NO_PACKETS = "TWOSTAMP_REAL_ALERTS names no folder of real packets with a labels.csv"


def extract_real(data: Path, params: Parameters) -> Path | None:
    """Extract the first two packets of the labelled objects of ``real_archive``.

    Returns
    -------
    Path or None
        Folder with ``first_alerts.parquet`` and ``pairs.parquet``; None if there are no such packets.
    """
    labels = Path(params.real_archive) / "labels.csv"
    if not params.real_archive or not labels.is_file():
        return None
    with open_spark(params.spark_master, params.workers) as spark:
        extract_first_two(spark, params.real_archive, read_labels(labels)[0], data / "real")
    return data / "real"


def is_judging_night(night: str) -> bool:
    """Whether a night (YYYY-MM-DD) judges the simulated survey: a third of all, by hash. The others set its constants.

    Examples
    --------
    >>> [is_judging_night(night) for night in ("2018-06-26", "2018-07-13", "2023-10-18")]
    [True, False, False]
    """
    return int(sha256(night.encode()).hexdigest(), 16) % 3 == 0


def select_judging(table: pd.DataFrame) -> pd.DataFrame:
    """First alerts of the nights that judge the simulated survey."""
    return table[table["jd_1"].map(night_of).map(is_judging_night)]


def add_nights(table: pd.DataFrame) -> pd.DataFrame:
    """Add ``night`` (UTC) and ``year`` of each first alert."""
    nights = table["jd_1"].map(night_of)
    return table.assign(year=nights.astype(str).str[:4].astype(int), night=nights)
