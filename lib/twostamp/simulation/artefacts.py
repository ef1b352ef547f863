"""The causes of bogus detections that are not light from the sky, and the NaN masks around bright stars."""

from dataclasses import dataclass

import numpy as np

from twostamp.alerts.cutouts import CENTRE
from twostamp.simulation import constants as c
from twostamp.utils.typing import Bools, Floats

_ROWS, _COLUMNS = np.mgrid[: c.STAMP, : c.STAMP].astype(float) - CENTRE


@dataclass(slots=True)
class Damage:
    """``light`` (DN) is added to the science image; ``masked`` pixels become NaN."""

    light: Floats
    masked: Bools


def draw(kind: str, noise: float, rng: np.random.Generator) -> Damage:
    """Draw an artefact at the centre of a stamp.

    Parameters
    ----------
    kind : str
        A key of `constants.BOGUS_KINDS`; others, such as a dipole or nothing, add nothing here.
    noise : float
        Pixel noise, DN.

    Examples
    --------
    >>> damage = draw("hot pixel", 5.0, np.random.default_rng(1))
    >>> int((damage.light != 0).sum()) <= 3
    True
    """
    damage = Damage(np.zeros((c.STAMP, c.STAMP)), np.zeros((c.STAMP, c.STAMP), bool))
    if kind in _MAKERS:
        _MAKERS[kind](damage, noise, rng)
    return damage


def _hot_pixel(damage: Damage, noise: float, rng: np.random.Generator) -> None:
    sign = rng.choice([1, 1, -1])
    damage.light[CENTRE, CENTRE] = sign * noise * np.exp(rng.uniform(np.log(12), np.log(120)))
    for _ in range(rng.integers(0, 3)):
        dy, dx = rng.integers(-1, 2, 2)
        damage.light[CENTRE + dy, CENTRE + dx] += sign * noise * rng.uniform(4, 12)


def _cosmic_ray(damage: Damage, noise: float, rng: np.random.Generator) -> None:
    angle, length = rng.uniform(0, np.pi), np.exp(rng.uniform(np.log(1.5), np.log(9)))
    along = _COLUMNS * np.cos(angle) + _ROWS * np.sin(angle)
    across = -_COLUMNS * np.sin(angle) + _ROWS * np.cos(angle)
    track = np.exp(-0.5 * (across / 0.45) ** 2) * (np.abs(along) < length / 2 + 0.5)
    damage.light += track * noise * np.exp(rng.uniform(np.log(9), np.log(80)))


def _bad_column(damage: Damage, noise: float, rng: np.random.Generator) -> None:
    low, high = CENTRE - rng.integers(3, CENTRE + 1), CENTRE + rng.integers(3, CENTRE + 1)
    width, sign = rng.integers(1, 3), rng.choice([1, -1])
    damage.light[low:high, CENTRE : CENTRE + width] = sign * noise * rng.uniform(1, 4)
    blob = np.exp(-0.5 * (_COLUMNS / 0.9) ** 2 - 0.5 * (_ROWS / rng.uniform(1, 3)) ** 2)
    damage.light += sign * blob * noise * rng.uniform(4, 30)


def _mask(damage: Damage, noise: float, rng: np.random.Generator) -> None:
    """The halo of a masked star: the candidate sits at the border of the mask."""
    gap, half = rng.uniform(2, 5), rng.uniform(6, 12)
    along, across = (_COLUMNS, _ROWS) if rng.random() < 0.5 else (_ROWS, _COLUMNS)
    along = along * rng.choice([1, -1])
    damage.masked |= (along > gap) & (along < gap + 2 * half) & (np.abs(across - rng.uniform(-half, half)) < half)
    halo = np.exp(-np.abs(along - gap) / rng.uniform(2, 5) - np.abs(across) / half)
    grain = rng.normal(0.4, 1.0, halo.shape)
    damage.light += noise * rng.uniform(4, 25) * halo * grain
    damage.light += noise * rng.uniform(3, 12) * np.exp(-(_COLUMNS**2 + _ROWS**2) / rng.uniform(1, 5))


def _edge(damage: Damage, noise: float, rng: np.random.Generator) -> None:
    """A step between two amplifiers' levels, or the rim of a ghost."""
    along = (_COLUMNS, _ROWS)[rng.integers(0, 2)] * rng.choice([1, -1])
    damage.light += noise * rng.uniform(1.0, 4.0) * (along > 0) * np.exp(-np.clip(along, 0, None) / rng.uniform(4, 30))
    damage.light += noise * rng.uniform(3, 8) * np.exp(-(_COLUMNS**2 + _ROWS**2) / rng.uniform(1, 4))


def _noise_peak(damage: Damage, noise: float, rng: np.random.Generator) -> None:
    """A few high pixels together, as correlated noise has them."""
    for _ in range(rng.integers(2, 6)):
        dy, dx = rng.integers(-1, 2, 2)
        damage.light[CENTRE + dy, CENTRE + dx] += noise * rng.uniform(3, 7)


_MAKERS = {
    "hot pixel": _hot_pixel,
    "cosmic ray": _cosmic_ray,
    "bad column": _bad_column,
    "mask": _mask,
    "edge": _edge,
    "noise": _noise_peak,
}


def mask_bright_stars(x: Floats, y: Floats, magnitude: Floats, centre: tuple[float, float]) -> Bools:
    """Rectangles around bright stars, larger the brighter, that leave the candidate's own pixels alone.

    Thesis 3.3: ZTF masks dense zones with (mostly) rectangles. Which stars are masked follows from the star itself, so
    that all visits agree. Positions of the stars and of the candidate (`centre`) are pixels, magnitudes in r.
    """
    masked = np.zeros((c.STAMP, c.STAMP), bool)
    for i in np.flatnonzero(magnitude < c.MASK_MAGNITUDE):
        lottery = magnitude[i] * 1e3 % 1
        half = 4 + 2.2 * (c.MASK_MAGNITUDE - magnitude[i]) + 2 * np.array([lottery, magnitude[i] * 1e4 % 1])
        far = max(abs(x[i] - centre[0]) - half[0], abs(y[i] - centre[1]) - half[1]) > 3
        if far and lottery < c.MASK_PROBABILITY:
            masked |= (np.abs(_COLUMNS + CENTRE - x[i]) < half[0]) & (np.abs(_ROWS + CENTRE - y[i]) < half[1])
    return masked
