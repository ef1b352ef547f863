"""The unlabelled set of thesis section 6.6: cones on a grid (D6), of the archive's objects or of ALeRCE's database."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from sklearn.neighbors import BallTree

from twostamp import alerts
from twostamp.alerts.extraction import read_objects
from twostamp.data.label_files import read_column
from twostamp.data.sources import fetch_alerts, find_archive, find_labels
from twostamp.params import ALERCE, Parameters
from twostamp.taxonomy import CLASSES
from twostamp.utils.coordinates import add_coordinates
from twostamp.utils.files import write_file
from twostamp.utils.typing import Bools, Floats, Ints

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_FETCHED = "unlabelled_alerts"
_CONES = "cones"
MIN_ALERTS = 2
"""Alerts of an object that a cone search takes, at least (thesis 6.6)."""


def find_unlabelled(
    spark: "SparkSession", params: Parameters, data: Path, labelled: pd.Series | None = None
) -> tuple[str, pd.DataFrame, dict[str, int]]:
    """Find the objects in the cones that nobody has labelled, and where their alerts are.

    Parameters
    ----------
    spark : SparkSession
    params : Parameters
        ``unlabelled_from`` and those of the cones. Objects of the database whose archive is ALeRCE's API are fetched.
    data : Path
        The run's data folder.
    labelled : Series, optional
        objectIds to leave out; by default those of the run's label file.

    Returns
    -------
    archive : str
        Where their alerts are.
    selected : DataFrame
        objectId, ra, dec (degrees), n_alerts, cone; each object once, sorted by objectId.
    counts : dict
        Objects by what became of them; all but the first sum to the first.
    """
    if labelled is None:
        labelled = read_column(find_labels(params, data), "objectId")  # also where the label is of no use
    centres, archive = cone_centres(params.cone_step, params.min_dec), find_archive(params, data)
    cones = centres, params.cone_radius, params.cone_cap, params.seed
    if params.unlabelled_from == "archive":
        objects = read_objects(spark, archive)
        others = objects[~objects["objectId"].isin(labelled)]
        selected, counts = select_in_cones(others, *cones)
        found = {"objects in the archive": len(objects), "labelled": len(objects) - len(others)}
        return archive, selected, found | {name: n for name, n in counts.items() if name != "objects read"}
    selected, counts = alerts.search_cones(
        alerts.AlerceDatabase(params.database), *cones, data / _CONES, leave_out=labelled, min_detections=MIN_ALERTS
    )
    if params.archive == ALERCE:
        archive = str(data / _FETCHED)
        lines = fetch_alerts(params, selected["objectId"], Path(archive))
        write_file(data / f"{_FETCHED}.txt", ("\n".join(lines) + "\n").encode())
    return archive, selected, counts


def cone_centres(step: float = 10.0, min_dec: float = -90.0) -> Floats:
    """Centres of the cone searches: a grid in right ascension and declination (thesis 6.6).

    Parameters
    ----------
    step : float
        Step of both coordinates, degrees.
    min_dec : float
        Centres south of it are left out, degrees; ZTF sees the sky north of -31.

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
    objects: pd.DataFrame, centres: Floats, radius: float, cap: int, seed: int, min_alerts: int = MIN_ALERTS
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Objects inside at least one cone, at most `cap` of each cone, none twice (D6).

    Parameters
    ----------
    objects : DataFrame
        objectId, ra, dec (degrees), n_alerts; one row an object, any order.
    centres : ndarray, shape (n, 2)
        Right ascension and declination, degrees.
    radius : float
        Radius of every cone, degrees.
    cap : int
        Objects drawn from a cone at most, at random under `seed`.
    seed : int
    min_alerts : int

    Returns
    -------
    selected : DataFrame
        The rows kept, sorted by objectId, with the index of the cone that drew them in ``cone``.
    counts : dict
        Objects read, dropped by reason and selected; the parts sum to the whole.

    Examples
    --------
    >>> objects = pd.DataFrame({"objectId": ["a", "b", "c"], "ra": [1.0, 359, 180], "dec": 0.0, "n_alerts": [2, 3, 1]})
    >>> selected, counts = select_in_cones(objects, np.array([[0.0, 0.0]]), radius=5, cap=10, seed=1)
    >>> list(selected["objectId"]), counts["too few alerts"]
    (['a', 'b'], 1)
    """
    repeated = objects.drop_duplicates("objectId").sort_values("objectId", ignore_index=True)
    enough = repeated[repeated["n_alerts"] >= min_alerts].reset_index(drop=True)
    cone, inside = _draw_from_cones(enough, centres, radius, cap, seed)
    selected = enough.assign(cone=cone)[cone >= 0].reset_index(drop=True)
    counts = {
        "objects read": len(objects),
        "repeated": len(objects) - len(repeated),
        "too few alerts": len(repeated) - len(enough),
        "outside every cone": int((~inside).sum()),
        "beyond the cap of their cones": int((inside & (cone < 0)).sum()),
        "selected": len(selected),
    }
    return selected, counts


def _draw_from_cones(objects: pd.DataFrame, centres: Floats, radius: float, cap: int, seed: int) -> tuple[Ints, Bools]:
    """First cone that draws each object, -1 for none, and whether it lies in any."""
    cone, inside = np.full(len(objects), -1), np.zeros(len(objects), dtype=bool)
    if objects.empty:
        return cone, inside
    tree = BallTree(np.radians(objects[["dec", "ra"]].to_numpy(float)), metric="haversine")
    for index, centre in enumerate(np.radians(centres[:, ::-1])):
        found = np.sort(tree.query_radius(centre[None], np.radians(radius))[0])
        inside[found] = True
        if len(found) > cap:
            found = np.random.default_rng([seed, index]).choice(found, cap, replace=False)
        cone[found[cone[found] < 0]] = index
    return cone, inside


def median_latitudes(predictions: pd.DataFrame, classes: Sequence[str] = CLASSES) -> pd.DataFrame:
    """Median distance from the Galactic plane and from the ecliptic, by predicted class.

    Returns
    -------
    DataFrame, index the classes
        objects; medians of the latitudes without sign, in degrees (NaN for a class that was never predicted).

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
    """Compare the predicted positions with what the thesis expects of each class (section 6.6).

    Parameters
    ----------
    medians : DataFrame
        Of `median_latitudes`.

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
    plane, ecliptic = medians["median |b| (deg)"], medians["median |ecliptic latitude| (deg)"]
    others = ecliptic.drop("asteroid", errors="ignore").min()
    cases = [
        ("AGN farther from the Galactic plane than VS", "|b|", plane.get("AGN"), plane.get("VS")),
        ("SN farther from the Galactic plane than VS", "|b|", plane.get("SN"), plane.get("VS")),
        ("asteroids nearer the ecliptic than any other class", "|ecliptic latitude|", others, ecliptic.get("asteroid")),
    ]
    rows = []
    for expectation, quantity, larger, smaller in cases:
        told = pd.notna(larger) and pd.notna(smaller)
        verdict = ("holds" if larger > smaller else "does not hold") if told else "no objects to tell"
        found = f"median {quantity} {larger:.1f} deg against {smaller:.1f} deg" if told else "-"
        rows.append((expectation, found, verdict))
    return pd.DataFrame(rows, columns=["expectation", "found", "verdict"])
