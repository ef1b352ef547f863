"""Objects without a label: where to look for them, and where on the sky the predicted classes lie.

Thesis section 6.6, decision D6. The only module that needs healpy, which is GPL.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import healpy
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from astropy import units as u
from astropy.coordinates import BarycentricMeanEcliptic, SkyCoord
from sklearn.neighbors import BallTree

from twostamp.features import sky_coordinates
from twostamp.taxonomy import CLASSES

FloatArray = npt.NDArray[np.float64]

MIN_ALERTS = 2
"""Alerts of an object that a cone search takes, at least (thesis 6.6)."""


def cone_centres(step: float = 10.0, min_dec: float = -90.0) -> FloatArray:
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
    objects: pd.DataFrame, centres: FloatArray, radius: float, cap: int, seed: int, min_alerts: int = MIN_ALERTS
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
        Seed of the draw.
    min_alerts : int
        Alerts an object must have.

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
    cone = np.full(len(enough), -1)
    inside = np.zeros(len(enough), dtype=bool)
    if len(enough):
        tree = BallTree(np.radians(enough[["dec", "ra"]].to_numpy(float)), metric="haversine")
        for index, centre in enumerate(np.radians(centres[:, ::-1])):
            found = np.sort(tree.query_radius(centre[None], np.radians(radius))[0])
            inside[found] = True
            if len(found) > cap:
                found = np.random.default_rng([seed, index]).choice(found, cap, replace=False)
            cone[found[cone[found] < 0]] = index
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


def covered_fraction(centres: FloatArray, radius: float, points: FloatArray) -> float:
    """Share of the points that lie inside at least one cone.

    Parameters
    ----------
    centres, points : ndarray, shape (n, 2)
        Right ascension and declination, degrees.
    radius : float
        Radius of every cone, degrees.

    Examples
    --------
    >>> poles = np.array([[0.0, 90.0], [0.0, -90.0]])
    >>> covered_fraction(poles, 45, np.array([[10.0, 80.0], [10.0, 0.0]]))
    0.5
    """
    tree = BallTree(np.radians(centres[:, ::-1]), metric="haversine")
    distance, _ = tree.query(np.radians(points[:, ::-1]))
    return float(np.mean(distance <= np.radians(radius)))


def ecliptic_line(n: int = 361) -> tuple[FloatArray, FloatArray]:
    """The ecliptic in Galactic coordinates.

    Returns
    -------
    longitude, latitude : ndarray, shape (n,)
        Degrees, in order along the ecliptic; longitude in [-180, 180).

    Examples
    --------
    >>> longitude, latitude = ecliptic_line()
    >>> float(np.abs(latitude).max().round(1))  # the two planes are inclined by 60.2 degrees
    60.2
    """
    points = SkyCoord(np.linspace(0, 360, n) * u.deg, np.zeros(n) * u.deg, frame=BarycentricMeanEcliptic())
    galactic = points.galactic
    return galactic.l.wrap_at(180 * u.deg).deg, galactic.b.deg


def add_coordinates(objects: pd.DataFrame) -> pd.DataFrame:
    """Add Galactic and ecliptic coordinates, degrees, to a table with ra and dec.

    Examples
    --------
    >>> centre = add_coordinates(pd.DataFrame({"ra": [266.405], "dec": [-28.936]}))
    >>> float(centre["gal_lat"].abs().round(1)[0])
    0.0
    """
    return objects.assign(**sky_coordinates(objects["ra"], objects["dec"]))


def find_pixels(ra: npt.ArrayLike, dec: npt.ArrayLike, nside: int) -> npt.NDArray[np.int64]:
    """HEALPix pixel (equatorial, RING order) of positions in degrees.

    Examples
    --------
    >>> find_pixels([0.0, 180.0], [90.0, -90.0], 1).tolist()
    [0, 10]
    """
    return np.asarray(healpy.ang2pix(nside, np.asarray(ra, float), np.asarray(dec, float), lonlat=True))


def healpix_counts(
    predictions: pd.DataFrame, nside: int, classes: Sequence[str] = CLASSES
) -> dict[str, npt.NDArray[np.int64]]:
    """Objects per HEALPix pixel of the Galactic sky and predicted class.

    Parameters
    ----------
    predictions : DataFrame
        ra, dec (degrees) and predicted.
    nside : int
        Resolution, a power of two; 16 is a pixel of 3.7 degrees.
    classes : sequence of str
        Classes to count.

    Returns
    -------
    counts : dict of ndarray, shape (12 nside^2,), int64
        RING order, one array a class.

    Examples
    --------
    >>> table = pd.DataFrame({"ra": [0.0, 0.0], "dec": [0.0, 0.0], "predicted": ["SN", "SN"]})
    >>> healpix_counts(table, 1)["SN"].max()
    np.int64(2)
    """
    located = add_coordinates(predictions[["ra", "dec", "predicted"]])
    pixel = healpy.ang2pix(nside, located["gal_long"].to_numpy(), located["gal_lat"].to_numpy(), lonlat=True)
    size = healpy.nside2npix(nside)
    return {name: np.bincount(pixel[located["predicted"].to_numpy() == name], minlength=size) for name in classes}


def write_healpix_counts(predictions: Path, path: Path, nside: int, classes: Sequence[str] = CLASSES) -> pd.DataFrame:
    """Count predictions per pixel and class, a part at a time, and write the counts.

    Parameters
    ----------
    predictions : Path
        Folder ``predictions.parquet``.
    path : Path
        Parquet file to write; its schema's metadata says nside, ordering and frame.
    nside, classes
        As for `healpix_counts`.

    Returns
    -------
    DataFrame
        pixel, and one column of counts a class.
    """
    counts = {name: np.zeros(healpy.nside2npix(nside), dtype=np.int64) for name in classes}
    for part in sorted(predictions.glob("*.parquet")):
        table = pd.read_parquet(part, columns=["ra", "dec", "predicted"])
        if len(table):
            for name, found in healpix_counts(table, nside, classes).items():
                counts[name] += found
    maps = pd.DataFrame({"pixel": np.arange(healpy.nside2npix(nside))} | counts)
    schema = {"nside": str(nside), "ordering": "RING", "frame": "galactic"}
    table = pa.Table.from_pandas(maps, preserve_index=False)
    hidden = path.with_name(f".{path.name}")
    pq.write_table(table.replace_schema_metadata((table.schema.metadata or {}) | schema), hidden)
    hidden.replace(path)
    return maps


def sample_density(counts: npt.NDArray[np.int64], shape: tuple[int, int] = (240, 480)) -> FloatArray:
    """Draw a HEALPix map of counts on a regular grid, as a density.

    Parameters
    ----------
    counts : ndarray, shape (12 nside^2,)
        Objects per pixel, RING order.
    shape : tuple of int
        Rows (latitude, -90 to 90) and columns (longitude, -180 to 180), cell centres.

    Returns
    -------
    density : ndarray of `shape`, float64
        Objects per square degree.

    Examples
    --------
    >>> sample_density(np.ones(12, dtype=int)).round(6).max()  # 12 objects on 41253 square degrees
    np.float64(0.000291)
    """
    return sample_sky(counts, shape) / healpy.nside2pixarea(healpy.npix2nside(len(counts)), degrees=True)


def sample_sky(values: npt.NDArray[Any], shape: tuple[int, int] = (240, 480)) -> npt.NDArray[Any]:
    """Draw any HEALPix map on a regular grid; as `sample_density`."""
    rows, columns = shape
    latitude = (np.arange(rows) + 0.5) * 180 / rows - 90
    longitude = (np.arange(columns) + 0.5) * 360 / columns - 180
    nside = healpy.npix2nside(len(values))
    pixel = healpy.ang2pix(nside, *np.meshgrid(longitude, latitude), lonlat=True)
    return np.asarray(values)[pixel]


def median_latitudes(predictions: pd.DataFrame, classes: Sequence[str] = CLASSES) -> pd.DataFrame:
    """Median distance from the Galactic plane and from the ecliptic, by predicted class.

    Returns
    -------
    DataFrame, index the classes
        objects, median |b| and median |ecliptic latitude| in degrees (NaN for a class that was never predicted).

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
