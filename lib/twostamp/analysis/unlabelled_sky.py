"""Unlabelled set of thesis section 6.6: cones on a grid (D6), from the archive's objects or ALeRCE's database."""

import shutil
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from twostamp import alerts
from twostamp.alerts.extraction import read_objects
from twostamp.data.label_files import read_column
from twostamp.data.sources import fetch_alerts, find_archive, find_labels
from twostamp.params import ALERCE, Parameters
from twostamp.taxonomy import CLASSES
from twostamp.utils.coordinates import add_coordinates
from twostamp.utils.files import replacing, write_file
from twostamp.utils.spark_store import store
from twostamp.utils.typing import Floats

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_FETCHED = "unlabelled_alerts"
_CONES = "cones"
_LOCATED, SELECTED = "unlabelled_objects_located", "unlabelled_objects.parquet"
_LABELLED = "objectId string, labelled boolean"
NO_OBJECTS = "no objects to tell"
MIN_ALERTS = 2
"""Fewest alerts of an object in a cone search (thesis 6.6)."""


def find_unlabelled(
    spark: "SparkSession", params: Parameters, data: Path, labelled: pd.Series | None = None
) -> tuple[str, "pd.DataFrame | DataFrame", dict[str, int]]:
    """Find the unlabelled objects in the cones, and the archive of their alerts.

    Parameters
    ----------
    spark : SparkSession
    params : Parameters
        Uses ``unlabelled_from`` and the parameters of the cones. Objects of the database are fetched if the archive is
        ALeRCE's API.
    data : Path
        The run's data folder.
    labelled : Series, optional
        objectIds to exclude; by default those of the run's label file.

    Returns
    -------
    archive : str
        Archive of their alerts.
    selected : DataFrame of Spark, or of pandas for those of the database
        objectId, ra, dec (degrees), n_alerts, cone; each object once.
    counts : dict
        Objects by outcome; all but the first sum to the first.
    """
    if labelled is None:
        labelled = read_column(find_labels(params, data), "objectId")  # also if the label is not used
    centres, archive = cone_centres(params.cone_step, params.min_dec), find_archive(params, data)
    cones = centres, params.cone_radius, params.cone_cap, params.seed
    if params.unlabelled_from == "archive":
        names = spark.createDataFrame(pd.DataFrame({"objectId": labelled.unique(), "labelled": True}), _LABELLED)
        objects = read_objects(spark, archive, data).join(names, "objectId", "left")
        return archive, *select_in_cones(objects, *cones, data)
    selected, counts = alerts.search_cones(
        alerts.AlerceDatabase(params.database), *cones, data / _CONES, leave_out=labelled, min_detections=MIN_ALERTS
    )
    if params.archive == ALERCE:
        archive = str(data / _FETCHED)
        lines = fetch_alerts(params, selected["objectId"], Path(archive))
        write_file(data / f"{_FETCHED}.txt", ("\n".join(lines) + "\n").encode())
    return archive, selected, counts


def cone_centres(step: float = 10.0, min_dec: float = -90.0) -> Floats:
    """Compute the centres of the cone searches: a grid in right ascension and declination (thesis 6.6).

    Parameters
    ----------
    step : float
        Step of both coordinates, degrees.
    min_dec : float
        Southern limit of the centres, degrees; ZTF observes the sky north of -31.

    Returns
    -------
    centres : ndarray, shape (n, 2), float64
        Right ascension and declination, degrees; each pole is one centre.

    Examples
    --------
    >>> cone_centres(10).shape, cone_centres(10, min_dec=-31).shape
    ((614, 2), (433, 2))
    """
    dec, ra = np.meshgrid(np.arange(-90, 90.001, step), np.arange(0, 359.999, step), indexing="ij")
    centres = np.column_stack([np.where(np.abs(dec) == 90, 0, ra).ravel(), dec.ravel()])
    return np.unique(centres[centres[:, 1] >= min_dec], axis=0)


def select_in_cones(
    objects: "DataFrame",
    centres: Floats,
    radius: float,
    cap: int,
    seed: int,
    folder: Path,
    min_alerts: int = MIN_ALERTS,
) -> tuple["DataFrame", dict[str, int]]:
    """Select the objects inside at least one cone, at most `cap` per cone, none twice (D6).

    Parameters
    ----------
    objects : DataFrame of Spark
        objectId (unique), ra, dec (degrees), n_alerts and ``labelled``.
    centres : ndarray, shape (n, 2)
        Right ascension and declination, degrees.
    radius : float
        Radius of every cone, degrees.
    cap : int
        Objects drawn from a cone, at most, at random with `seed`.
    seed : int
    folder : Path
        Folder of the output ``unlabelled_objects.parquet``.
    min_alerts : int

    Returns
    -------
    selected : DataFrame of Spark
        objectId, ra, dec, n_alerts and ``cone``, the index of the first cone that drew the object.
    counts : dict
        Objects in the archive, dropped by reason and selected; the parts sum to the whole.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as sql

    names = ("objectId", "ra", "dec", "n_alerts")
    work = partial(find_cones, centres=centres, radius=radius)
    schema = "objectId string, ra double, dec double, n_alerts long, labelled boolean, cones array<int>"
    located = folder / _LOCATED
    shutil.rmtree(located, ignore_errors=True)  # of a killed run
    table = store(objects.mapInPandas(work, schema), located)
    states = {
        "labelled": sql.col("labelled"),
        "too few alerts": sql.col("n_alerts") < min_alerts,
        "outside every cone": sql.size("cones") == 0,
    }
    state = sql.coalesce(*(sql.when(condition, name) for name, condition in states.items()))
    inside = table.where(state.isNull())
    found = inside.select("objectId", sql.explode("cones").alias("cone"))
    order = Window.partitionBy("cone").orderBy(sql.xxhash64("objectId", "cone", sql.lit(seed)), "objectId")
    drawn = found.withColumn("place", sql.row_number().over(order)).where(sql.col("place") <= cap)
    first = drawn.groupBy("objectId").agg(sql.min("cone").alias("cone"))
    with replacing(folder / SELECTED) as part:
        inside.join(first, "objectId").select(*names, "cone").write.parquet(str(part))
    selected = objects.sparkSession.read.parquet(str(folder / SELECTED))
    counted = {row.state: row["count"] for row in table.groupBy(state.alias("state")).count().collect()}
    shutil.rmtree(located)
    counts = {"objects in the archive": sum(counted.values())} | {name: counted.get(name, 0) for name in states}
    n_selected = selected.count()
    counts |= {"beyond the cap of their cones": counted.get(None, 0) - n_selected, "selected": n_selected}
    return selected, counts


def find_cones(batches: Iterable[pd.DataFrame], centres: Floats, radius: float) -> Iterator[pd.DataFrame]:
    """Add the indices of the cones that each object lies in, in ascending order, as ``cones``.

    Examples
    --------
    >>> objects = pd.DataFrame({"objectId": ["a", "b"], "ra": [359.0, 180.0], "dec": 0.0})
    >>> next(find_cones([objects], np.array([[0.0, 0.0]]), radius=5))["cones"].tolist()
    [[0], []]
    """
    tree = cKDTree(_to_vectors(centres))
    chord = 2 * np.sin(np.radians(min(radius, 180)) / 2)
    for objects in batches:
        vectors = _to_vectors(objects[["ra", "dec"]].to_numpy(float))
        yield objects.assign(cones=list(tree.query_ball_point(vectors, chord, return_sorted=True)))


def _to_vectors(places: Floats) -> Floats:
    """Convert right ascensions and declinations in degrees, shape (n, 2), to unit vectors, shape (n, 3)."""
    ra, dec = np.radians(places).T
    return np.column_stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)])


def median_latitudes(predictions: pd.DataFrame, classes: Sequence[str] = CLASSES) -> pd.DataFrame:
    """Compute the median distance from the Galactic plane and from the ecliptic, by predicted class.

    Returns
    -------
    DataFrame, index the classes
        objects; medians of the absolute latitudes, in degrees (NaN for a class that was never predicted).

    Examples
    --------
    >>> table = pd.DataFrame({"ra": [0.0], "dec": [0.0], "predicted": ["asteroid"]})
    >>> float(median_latitudes(table).loc["asteroid", "median |ecliptic latitude| (deg)"].round(1))
    0.0
    """
    located = add_coordinates(predictions)
    located[["gal_lat", "ecl_lat"]] = located[["gal_lat", "ecl_lat"]].abs()
    groups = located.groupby("predicted")
    medians = groups[["gal_lat", "ecl_lat"]].median().reindex(list(classes))
    medians.columns = pd.Index(["median |b| (deg)", "median |ecliptic latitude| (deg)"])
    medians.insert(0, "objects", groups.size().reindex(list(classes), fill_value=0))
    return medians.rename_axis("predicted")


def check_expectations(medians: pd.DataFrame) -> pd.DataFrame:
    """Compare the predicted positions with the thesis's expectation for each class (section 6.6).

    Parameters
    ----------
    medians : DataFrame
        Table from `median_latitudes`.

    Returns
    -------
    DataFrame
        expectation, found, verdict ("holds", "does not hold", or "no objects to tell").

    Examples
    --------
    >>> ra, dec = [0.0, 192.9, 266.4], [0.0, 27.1, -28.9]
    >>> table = pd.DataFrame({"ra": ra, "dec": dec, "predicted": ["asteroid", "SN", "VS"]})
    >>> list(check_expectations(median_latitudes(table))["verdict"])
    ['no objects to tell', 'holds', 'holds']
    """
    plane, ecliptic = "median |b| (deg)", "median |ecliptic latitude| (deg)"
    others = medians.drop("asteroid", errors="ignore")[ecliptic]
    nearest = others.idxmin() if others.notna().any() else ""
    cases = [
        ("AGN farther from the Galactic plane than VS", "|b|", plane, "AGN", "VS"),
        ("SN farther from the Galactic plane than VS", "|b|", plane, "SN", "VS"),
        ("asteroids nearer the ecliptic than any other class", "|ecliptic latitude|", ecliptic, nearest, "asteroid"),
    ]
    rows = []
    for expectation, quantity, column, *names in cases:
        rest = medians.reindex(names)
        told = rest[column].notna().all()
        verdict = ("holds" if rest[column].iloc[0] > rest[column].iloc[1] else "does not hold") if told else NO_OBJECTS
        sides = [f"{median:.1f} deg (n = {n:.0f})" for median, n in rest[[column, "objects"]].to_numpy()]
        rows.append((expectation, f"median {quantity} {' against '.join(sides)}" if told else "-", verdict))
    return pd.DataFrame(rows, columns=["expectation", "found", "verdict"])
