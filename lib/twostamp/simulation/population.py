"""Which objects a survey has, how many of each kind, and where on the sky they can be."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from twostamp.simulation import conditions as sky
from twostamp.simulation import constants as c
from twostamp.simulation.ageing import Ageing
from twostamp.taxonomy import CLASSES
from twostamp.utils.typing import Floats

_FAULTS = {"AGN": "truncated packet", "SN": "broken stamp", "VS": "missing stamp", "bogus": "odd shape"}


@dataclass(frozen=True, slots=True)
class Spec:
    """An object to be planned: its class, its number of alerts, the damage of one of them, and its year, -1 for any."""

    class_name: str
    subclass: str
    alerts: int
    labelled: bool
    fault: str = ""
    year: int = -1


def aged_specs(pairs_per_class: int, ageing: Ageing) -> Iterator[Spec]:
    """Labelled objects of every year of a survey that ages."""
    for year in range(ageing.years):
        yield from (replace(spec, year=year) for spec in labelled_specs(ageing.pairs(year, pairs_per_class)))


def share_out(n: int, shares: dict[str, float]) -> list[str]:
    """n names in proportion to shares, every name at least once where n allows it.

    Examples
    --------
    >>> share_out(5, {"a": 0.9, "b": 0.1})
    ['a', 'a', 'a', 'a', 'b']
    """
    names, weights = list(shares), np.array(list(shares.values())) / sum(shares.values())
    counts = np.maximum(np.floor(n * weights), 1 if n >= len(names) else 0).astype(int)
    while counts.sum() != n:
        step = 1 if counts.sum() < n else -1
        shortage = step * (n * weights - counts)
        counts[np.where((step < 0) & (counts < 2), -np.inf, shortage).argmax()] += step
    return [name for name, count in zip(names, counts) for _ in range(count)]


def labelled_specs(pairs_per_class: int) -> Iterator[Spec]:
    """Labelled objects class by class: those with two alerts or more, then those with one."""
    for name in CLASSES:
        pairs = share_out(round(pairs_per_class * c.PAIR_FACTOR.get(name, 1.0)), c.SUBCLASS_SHARE[name])
        for i, subclass in enumerate(pairs):
            third = i % round(1 / c.LATER_SHARE) == 0
            yield Spec(name, subclass, 2 + third + (i % 40 == 0), True, _FAULTS.get(name, "") if i == 0 else "")
        singles = share_out(max(1, round(pairs_per_class * c.SINGLE_SHARE)), c.SUBCLASS_SHARE[name])
        yield from (Spec(name, subclass, 1, True) for subclass in singles)


def unlabelled_specs(n: int, rng: np.random.Generator) -> Iterator[Spec]:
    """Objects without a label, with one to three alerts."""
    for name in share_out(n, c.UNLABELLED_SHARE):
        shares = c.SUBCLASS_SHARE[name]
        subclass = str(rng.choice(list(shares), p=np.array(list(shares.values())) / sum(shares.values())))
        yield Spec(name, subclass, int(rng.choice([1, 2, 3], p=[0.25, 0.6, 0.15])), False)


def draw_directions(spec: Spec, antisun: float, n: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Right ascensions and declinations (deg): asteroids near the ecliptic, opposite the sun, others everywhere."""
    if spec.class_name == "asteroid":
        longitude = antisun + rng.uniform(-70, 70, n)
        latitude = np.clip(rng.laplace(0, c.ASTEROID_LATITUDE, n), -60, 60)
        return sky.rotate(longitude, latitude, sky.TO_ECLIPTIC.T)
    return rng.uniform(0, 360, n), np.degrees(np.arcsin(rng.uniform(-1, 1, n)))


def population_weight(spec: Spec, latitude: Floats) -> Floats:
    """Chance, up to 1, that an object of this kind is seen at a galactic latitude (deg)."""
    if spec.class_name == "VS":
        return np.asarray(np.exp(-np.abs(latitude) / c.GALACTIC_HEIGHT[spec.subclass]) + 0.01)
    if spec.class_name in ("AGN", "SN"):
        return np.asarray(1 - np.exp(-((latitude / c.AVOIDANCE) ** 2)))
    if spec.class_name == "bogus":
        return np.asarray(0.35 + 0.65 * np.exp(-np.abs(latitude) / 15))
    return np.ones_like(latitude)
