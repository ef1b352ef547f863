"""Nights, observing conditions and the stars and galaxies around a position."""

from dataclasses import dataclass, fields, replace
from datetime import date, timedelta
from functools import lru_cache

import numpy as np

from twostamp.alerts.packet import SENTINEL
from twostamp.simulation import constants as c
from twostamp.utils.typing import Bools, Floats

FIRST_NIGHT, LAST_NIGHT = date.fromisoformat(c.FIRST_NIGHT), date.fromisoformat(c.LAST_NIGHT)

# ICRS to galactic (Hipparcos catalogue, 1.5.3) and to the ecliptic of J2000 (obliquity 23.4393 deg)
TO_GALACTIC = np.array(
    [
        [-0.0548755604, -0.8734370902, -0.4838350155],
        [0.4941094279, -0.4448296300, 0.7469822445],
        [-0.8676661490, -0.1980763734, 0.4559837762],
    ]
)
_OBLIQUITY = np.radians(23.4392911)
TO_ECLIPTIC = np.array(
    [[1, 0, 0], [0, np.cos(_OBLIQUITY), np.sin(_OBLIQUITY)], [0, -np.sin(_OBLIQUITY), np.cos(_OBLIQUITY)]]
)


@lru_cache(maxsize=4096)
def psf_noise_area(seeing: float) -> float:
    """Noise area 1 / sum(psf**2) of the survey's PSF, in pixels.

    Examples
    --------
    >>> round(float(psf_noise_area(2.0)), 1)
    16.3
    """
    variances = (seeing * np.array(c.PSF_WIDTHS)) ** 2 + 1 / 12
    shares = np.array(c.PSF_SHARES)
    return float(1 / (shares @ (1 / (2 * np.pi * np.add.outer(variances, variances))) @ shares))


@dataclass(frozen=True, slots=True)
class Visit:
    """One exposure of an object's field.

    ``night`` is YYYYMMDD, ``seeing`` the FWHM in pixels, ``sky`` and ``noise`` DN, ``limit`` the 5-sigma magnitude
    (``diffmaglim``); ``candid`` is None where the visit gives only an upper limit, ``fault`` names a packet's damage.
    """

    jd: float
    night: str
    fid: int
    seeing: float
    ellipticity: float
    zeropoint: float
    sky: float
    noise: float
    limit: float
    dx: float
    dy: float
    candid: int | None = None
    ssdistnr: float = SENTINEL
    fault: str = ""
    clouded: bool = False

    @property
    def psf_area(self) -> float:
        """Effective noise area of the PSF, pixels."""
        return psf_noise_area(self.seeing)

    def through_cloud(self, extinction: float) -> "Visit":
        """The same exposure behind a cloud (mag)."""
        return replace(self, zeropoint=self.zeropoint - extinction, limit=self.limit - extinction, clouded=True)

    def detectable_flux(self, star: float) -> float:
        """Faintest change (DN) that becomes an alert on top of a star of this flux (DN)."""
        background = self.noise**2 + star / c.GAIN / self.psf_area
        error = np.hypot(c.PSF_NOISE_FACTOR * np.sqrt(background * self.psf_area), c.FLUX_SYSTEMATIC * star)
        return float(c.DETECTION_SNR * error)


def rotate(longitude: Floats, latitude: Floats, matrix: Floats) -> tuple[Floats, Floats]:
    """Rotate directions in degrees.

    Examples
    --------
    >>> l, b = rotate(np.array([266.405]), np.array([-28.936]), TO_GALACTIC)
    >>> abs(float(b[0])) < 0.01
    True
    """
    lon, lat = np.radians(longitude), np.radians(latitude)
    vector = matrix @ np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])
    return np.degrees(np.arctan2(vector[1], vector[0])) % 360, np.degrees(np.arcsin(np.clip(vector[2], -1, 1)))


def draw_nights(
    n: int,
    rng: np.random.Generator,
    first: date = FIRST_NIGHT,
    last: date = LAST_NIGHT,
) -> list[date]:
    """Observing nights in blocks with bad weather between and within them (figure 6.12 has such gaps).

    Blocks let 60 nights in three years have pairs 1, 2, 3 ... 100 days apart. More nights than days are a ValueError.
    """
    span, blocks = (last - first).days, max(1, round(n / c.NIGHTS_PER_RUN))
    if n > span + 1:
        raise ValueError(f"{n} nights do not fit into the {span + 1} days from {first} to {last}")
    starts = np.linspace(0, span - 2 * c.NIGHTS_PER_RUN, blocks) if blocks > 1 else np.zeros(1)
    jitter = rng.uniform(-0.3, 0.3, blocks) * (span / blocks - 2 * c.NIGHTS_PER_RUN)
    chosen: set[int] = set()
    for block, start in enumerate(np.clip(starts + jitter, 0, span).astype(int)):
        wanted, day = (block + 1) * n // blocks, int(start)
        while len(chosen) < wanted:
            if rng.random() > c.WEATHER_LOSS:
                chosen.add(day % (span + 1))
            day += 1
    return [first + timedelta(days=day) for day in sorted(chosen)]


def moonlight(jd: float) -> float:
    """Illuminated fraction of the moon, 0 to 1."""
    return float(0.5 * (1 - np.cos(2 * np.pi * (jd - 2451550.1) / 29.530588853)))


def sun_longitude(jd: Floats | float) -> Floats:
    """Ecliptic longitude of the sun, in degrees (mean sun: within 2 deg)."""
    return np.asarray(280.46 + 0.9856474 * (np.asarray(jd) - 2451545.0)) % 360


@dataclass(slots=True)
class Sources:
    """Stars and galaxies around a candidate: one row each.

    ``x, y`` pixels from the candidate; ``magnitude`` shape (n, 4), bands g, r, i, z; ``radius`` half light in pixels,
    0 for a point; ``axis_ratio``, ``angle`` (radians), ``sersic``; ``stellarity`` 1 star to 0 galaxy; ``catalogued``
    False for a part of another row (the nucleus of a galaxy).
    """

    x: Floats
    y: Floats
    magnitude: Floats
    radius: Floats
    axis_ratio: Floats
    angle: Floats
    sersic: Floats
    stellarity: Floats
    catalogued: Bools

    def __add__(self, other: "Sources") -> "Sources":
        return Sources(*(np.concatenate([getattr(self, f.name), getattr(other, f.name)]) for f in fields(self)))

    def select(self, rows: Bools) -> "Sources":
        """Some of the rows."""
        return Sources(*(getattr(self, f.name)[rows] for f in fields(self)))

    def flux(self, fid: int, zeropoint: float) -> Floats:
        """Fluxes (DN) in a filter."""
        return np.asarray(10 ** (0.4 * (zeropoint - self.magnitude[:, fid - 1])))


def make_source(
    x: float, y: float, magnitude_r: float, colour: float, catalogued: bool = True, **shape: float
) -> Sources:
    """One source, a star unless `shape` has columns of a galaxy; ``colour`` is g - r, the redder colours follow it."""
    columns = {"x": x, "y": y, "radius": 0.0, "axis_ratio": 1.0, "angle": 0.0, "sersic": 1.0, "stellarity": 1.0} | shape
    magnitude = magnitude_r + _band_offsets(np.array([colour]))
    arrays = {name: np.array([value]) for name, value in columns.items()}
    return Sources(magnitude=magnitude, catalogued=np.array([catalogued]), **arrays)


def _band_offsets(colour: Floats) -> Floats:
    """Magnitudes in g, r, i, z relative to r from g - r, along the stellar locus (roughly)."""
    return np.stack([colour, 0 * colour, -0.4 * colour, -0.62 * colour], axis=1)


def _star_density(latitude: float) -> float:
    """Stars per square arcsec brighter than `constants.REFERENCE_DEPTH`, at a galactic latitude (deg)."""
    return float(c.STAR_DENSITY_POLE * np.exp(c.STAR_DENSITY_PLANE * np.exp(-abs(latitude) / c.STAR_DENSITY_HEIGHT)))


def draw_magnitudes(n: int, slope: float, limits: tuple[float, float], rng: np.random.Generator) -> Floats:
    """Magnitudes with counts growing as 10**(slope * m) between limits."""
    low, high = (10 ** (slope * limit) for limit in limits)
    return np.asarray(np.log10(rng.uniform(low, high, n)) / slope)


def galaxy_radius(magnitude: Floats, rng: np.random.Generator) -> Floats:
    """Half-light radii in pixels."""
    typical = c.HOST_RADIUS * 10 ** (-c.HOST_RADIUS_SLOPE * (magnitude - 19))
    return np.asarray(typical * np.exp(rng.normal(0, c.HOST_RADIUS_SCATTER, len(magnitude))))


def draw_field(latitude: float, rng: np.random.Generator, depth: float = c.REFERENCE_DEPTH) -> Sources:
    """Stars and galaxies brighter than ``depth`` (mag) within `NEIGHBOUR_RADIUS` of a galactic latitude (deg)."""
    area = np.pi * c.NEIGHBOUR_RADIUS**2
    density = _star_density(latitude) * np.exp(rng.normal(0, c.STAR_DENSITY_SCATTER))
    deeper = depth - c.REFERENCE_DEPTH
    n_stars = rng.poisson(density * area * 10 ** (c.STAR_SLOPE * deeper))
    n_galaxies = rng.poisson(c.GALAXY_DENSITY * area * 10 ** (c.GALAXY_SLOPE * deeper))
    n = n_stars + n_galaxies
    star = np.arange(n) < n_stars
    limits = (c.BRIGHTEST, depth)
    stars = draw_magnitudes(n_stars, c.STAR_SLOPE, limits, rng)
    magnitude = np.concatenate([stars, draw_magnitudes(n_galaxies, c.GALAXY_SLOPE, limits, rng)])
    colour = np.clip(rng.normal(0.75, 0.35, n), -0.3, 1.6)
    distance = c.NEIGHBOUR_RADIUS / c.PIXEL_SCALE * np.sqrt(rng.random(n))
    direction = rng.uniform(0, 2 * np.pi, n)
    return Sources(
        distance * np.cos(direction),
        distance * np.sin(direction),
        magnitude[:, None] + _band_offsets(colour),
        np.where(star, 0.0, galaxy_radius(magnitude, rng)),
        rng.uniform(0.35, 1.0, n),
        rng.uniform(0, np.pi, n),
        rng.choice(c.SERSIC_INDICES, n),
        star.astype(float),
        np.ones(n, bool),
    )
