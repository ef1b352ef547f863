"""PanSTARRS1-, Gaia- and reference-image-like neighbours of a candidate, from the sources that its scene really has."""

from dataclasses import dataclass

import numpy as np

from twostamp.alerts.packet import SENTINEL
from twostamp.simulation import constants as c
from twostamp.simulation.conditions import Sources
from twostamp.utils.typing import Floats

_BANDS = ("g", "r", "i", "z")
Fields = dict[str, float | int]


@dataclass(slots=True)
class Catalogue:
    """Catalogued sources of an object's field: positions in pixels from the object, ``magnitude`` shape (n, 4).

    ``score`` is PS1's star / galaxy score, ``sharp`` and ``chi`` DAOPhot's parameters in the reference image, which
    shows sources brighter than ``depth``.
    """

    x: Floats
    y: Floats
    magnitude: Floats
    stellarity: Floats
    score: Floats
    sharp: Floats
    chi: Floats
    depth: float = c.REFERENCE_DEPTH


def make_catalogue(sources: Sources, rng: np.random.Generator, depth: float = c.REFERENCE_DEPTH) -> Catalogue:
    """Catalogue what a scene has, with the errors of real catalogues and of a reference image of ``depth`` (mag)."""
    rows = sources.select(sources.catalogued)
    n, magnitude = len(rows.x), rows.magnitude + rng.normal(0, 0.03, rows.magnitude.shape)
    faint = np.clip(magnitude[:, 1] - 18.5, 0, None)
    certainty = np.clip(4.2 - 0.9 * faint, 0.5, None) * np.sign(rows.stellarity - rng.uniform(0.35, 0.65, n))
    score = 1 / (1 + np.exp(-(certainty + rng.normal(0, 2.0 + 0.7 * faint, n))))
    score[rng.random(n) < np.where(faint > 1, 0.4, 0.1)] = 0.5  # PS1 has no morphology for some: blended or faint
    extent = (1 - rows.stellarity) * np.where(rows.radius > 0, rows.radius**2 / (rows.radius**2 + 2), 0.25)
    blur = 10 ** (0.4 * (magnitude[:, 1] - depth))
    sharp = -0.02 + 0.5 * extent * (1 - blur) + rng.normal(0, 0.025, n) + 0.6 * blur * rng.normal(-0.9, 0.6, n)
    bright = np.clip(20 - magnitude[:, 1], 0, 4)
    chi = np.exp(rng.normal(np.log(0.62 + 0.25 * blur), 0.42)) * (1 + 1.2 * extent * bright)
    return Catalogue(rows.x, rows.y, magnitude, rows.stellarity, score, sharp, chi, depth)


def describe_neighbours(catalogue: Catalogue, x: float, y: float, fid: int, ra: float, dec: float) -> Fields:
    """The fields of ``candidate`` on neighbours, for a candidate at x, y (pixels from the object) and ra, dec (deg)."""
    dx, dy = catalogue.x - x, catalogue.y - y
    distance = np.hypot(dx, dy)
    fields = _nearest_reference(catalogue, distance, dx, dy, fid, ra, dec)
    fields |= _nearest_ps1(catalogue, distance * c.PIXEL_SCALE, dx, dy, ra, dec)
    star = np.where(catalogue.stellarity > 0.4, catalogue.magnitude[:, 1], 99.0)
    for name, depth in (("", c.GAIA_DEPTH), ("bright", c.GAIA_BRIGHT)):
        near = np.where(star < depth, distance * c.PIXEL_SCALE, np.inf)
        i = int(near.argmin()) if len(near) else 0
        found = len(near) > 0 and near[i] < 90
        fields[f"neargaia{name}"] = float(near[i]) if found else SENTINEL
        fields[f"maggaia{name}"] = float(star[i]) if found else SENTINEL
    return fields


def offset_position(ra: float, dec: float, dx: float, dy: float) -> tuple[float, float]:
    """Move a position by pixels (x against right ascension, y along declination)."""
    return (
        (ra - dx * c.PIXEL_SCALE / 3600 / np.cos(np.radians(dec))) % 360,
        dec + dy * c.PIXEL_SCALE / 3600,
    )


def _nearest_reference(
    catalogue: Catalogue, distance: Floats, dx: Floats, dy: Floats, fid: int, ra: float, dec: float
) -> Fields:
    magnitude = catalogue.magnitude[:, fid - 1]
    near = np.where(magnitude < catalogue.depth, distance, np.inf)
    i = int(near.argmin())
    ranr, decnr = offset_position(ra, dec, float(dx[i]), float(dy[i]))
    error = 0.010 + 0.07 * 10 ** (0.23 * (float(magnitude[i]) - 20.2))
    return {
        "distnr": float(distance[i]),
        "magnr": float(magnitude[i]),
        "sigmagnr": error,
        "chinr": float(catalogue.chi[i]),
        "sharpnr": float(catalogue.sharp[i]),
        "ranr": ranr,
        "decnr": decnr,
    }


def _nearest_ps1(catalogue: Catalogue, distance: Floats, dx: Floats, dy: Floats, ra: float, dec: float) -> Fields:
    depths = np.array([c.PS1_DEPTH[band] for band in _BANDS])
    seen = catalogue.magnitude < depths
    near = np.where(seen.any(axis=1) & (distance < c.PS1_RADIUS), distance, np.inf)
    order = np.argsort(near)[:3]
    fields: Fields = {"nmtchps": int(np.isfinite(near).sum())}
    for place in range(3):
        i = int(order[place]) if place < len(order) and np.isfinite(near[order[place]]) else -1
        name = place + 1
        for band, letter in enumerate(_BANDS):
            known = i >= 0 and seen[i, band]
            fields[f"s{letter}mag{name}"] = float(catalogue.magnitude[i, band]) if known else SENTINEL
        fields[f"sgscore{name}"] = float(catalogue.score[i]) if i >= 0 else SENTINEL
        fields[f"distpsnr{name}"] = float(distance[i]) if i >= 0 else SENTINEL
        fields[f"objectidps{name}"] = (
            _ps1_id(*offset_position(ra, dec, float(dx[i]), float(dy[i]))) if i >= 0 else int(SENTINEL)
        )
    return fields


def _ps1_id(ra: float, dec: float) -> int:
    zone, rest = divmod((dec + 90) * 120, 1)
    return int(zone) * 10**13 + int(ra * 1e6) * 10**4 + int(rest * 1e4)
