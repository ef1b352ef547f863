"""Ecliptic and Galactic coordinates."""

from __future__ import annotations

from typing import Any

import astropy.units as u
import numpy as np
import pandas as pd
from astropy.coordinates import BarycentricMeanEcliptic, SkyCoord
from numpy.typing import ArrayLike, NDArray

from twostamp.utils.typing import Floats


def sky_coordinates(ra: ArrayLike, dec: ArrayLike) -> dict[str, NDArray[Any]]:
    """Compute ecliptic (mean, J2000) and Galactic coordinates of equatorial positions (section 3.1.2).

    ALeRCE uses the J2000 ecliptic of PyEphem. Astropy's barycentric *mean* ecliptic agrees with it to within 0.1
    arcsec; the true one would add the nutation of a single epoch.

    Parameters
    ----------
    ra, dec : array_like, shape (n,)
        ICRS, degrees; NaN gives NaN.

    Returns
    -------
    dict of ndarray, shape (n,), float64
        ecl_lat, ecl_long, gal_lat, gal_long in degrees, longitudes in [0, 360).

    Examples
    --------
    >>> {name: round(float(angle[0]), 2) for name, angle in sky_coordinates([10.685], [41.269]).items()}
    {'ecl_lat': 33.35, 'ecl_long': 27.85, 'gal_lat': -21.57, 'gal_long': 121.17}
    """
    sky = SkyCoord(np.asarray(ra, float) * u.deg, np.asarray(dec, float) * u.deg)
    ecliptic, galactic = sky.barycentricmeanecliptic, sky.galactic
    return {
        "ecl_lat": ecliptic.lat.deg,
        "ecl_long": ecliptic.lon.deg,
        "gal_lat": galactic.b.deg,
        "gal_long": galactic.l.deg,
    }


def ecliptic_line(n: int = 361) -> tuple[Floats, Floats]:
    """Compute the ecliptic in Galactic coordinates.

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
