"""HEALPix maps; the only module that imports healpy, which is GPL."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import healpy
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from twostamp.taxonomy import CLASSES
from twostamp.utils.coordinates import add_coordinates
from twostamp.utils.files import replacing
from twostamp.utils.typing import Floats, Ints


def find_pixels(ra: npt.ArrayLike, dec: npt.ArrayLike, nside: int) -> Ints:
    """Find the HEALPix pixels (equatorial, RING order) of positions in degrees.

    Examples
    --------
    >>> find_pixels([0.0, 180.0], [90.0, -90.0], 1).tolist()
    [0, 10]
    """
    return np.asarray(healpy.ang2pix(nside, np.asarray(ra, float), np.asarray(dec, float), lonlat=True))


def healpix_counts(predictions: pd.DataFrame, nside: int, classes: Sequence[str] = CLASSES) -> dict[str, Ints]:
    """Count objects per HEALPix pixel of the Galactic sky and predicted class.

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
        Counts in RING order, one array per class.

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
        Parquet file to write; its schema's metadata hold nside, ordering and frame.
    nside, classes
        As for `healpix_counts`.

    Returns
    -------
    DataFrame
        pixel, and one column of counts per class.
    """
    counts = {name: np.zeros(healpy.nside2npix(nside), dtype=np.int64) for name in classes}
    for file in sorted(predictions.glob("*.parquet")):
        table = pd.read_parquet(file, columns=["ra", "dec", "predicted"])
        if len(table):
            for name, found in healpix_counts(table, nside, classes).items():
                counts[name] += found
    maps = pd.DataFrame({"pixel": np.arange(healpy.nside2npix(nside))} | counts)
    schema = {"nside": str(nside), "ordering": "RING", "frame": "galactic"}
    table = pa.Table.from_pandas(maps, preserve_index=False)
    with replacing(path) as part:
        pq.write_table(table.replace_schema_metadata((table.schema.metadata or {}) | schema), part)
    return maps


def sample_density(counts: Ints, shape: tuple[int, int] = (240, 480)) -> Floats:
    """Sample a HEALPix map of counts on a regular grid, as a density.

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
    """Sample any HEALPix map on a regular grid; arguments as for `sample_density`."""
    rows, columns = shape
    latitude = (np.arange(rows) + 0.5) * 180 / rows - 90
    longitude = (np.arange(columns) + 0.5) * 360 / columns - 180
    nside = healpy.npix2nside(len(values))
    pixel = healpy.ang2pix(nside, *np.meshgrid(longitude, latitude), lonlat=True)
    return np.asarray(values)[pixel]
