"""Who is observed when: the survey's nights, its objects and the visits that become alerts."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta

import numpy as np

from twostamp.alerts.packet import SENTINEL
from twostamp.simulation import conditions as sky
from twostamp.simulation import constants as c
from twostamp.simulation.ageing import DAYS_PER_YEAR, FIRST_REFERENCE, Ageing, Reference
from twostamp.simulation.conditions import Visit
from twostamp.simulation.population import (
    Spec,
    aged_specs,
    draw_directions,
    labelled_specs,
    population_weight,
    unlabelled_specs,
)
from twostamp.utils.dates import julian_midnight
from twostamp.utils.typing import Floats

NIGHT_HOURS = (2.5, 12.8)  # UTC, Palomar
_HOUR_ANGLE = 105.0  # deg from the antisolar meridian at which a field is still observed
_EDGES = [(x, y) for x in (0.0, 0.5, 1.0) for y in (0.0, 0.5, 1.0) if (x, y) != (0.5, 0.5)]


@dataclass(frozen=True, slots=True)
class Nights:
    """The observing nights, with each one's seeing (ln offset) and transparency (mag of extinction).

    ``per_year`` is their number in a year of an ageing survey, and that of all nights in another one.
    """

    days: tuple[date, ...]
    seeing: Floats
    extinction: Floats
    per_year: int

    def visit(self, night: int, hours: float, fid: int, rng: np.random.Generator) -> Visit:
        """An exposure at ``hours`` UTC."""
        jd = round(julian_midnight(self.days[night]) + hours / 24, 7)
        seeing = c.SEEING[fid] * np.exp(self.seeing[night] + rng.normal(0, c.SEEING_VISIT_SCATTER))
        zeropoint = c.ZEROPOINT[fid] - self.extinction[night] - abs(rng.normal(0, 0.04))
        moon = c.MOON_LEVEL[fid] * sky.moonlight(jd) ** 3  # a half moon gives a tenth of the light
        level = (c.SKY_LEVEL[fid] + moon) * np.exp(rng.normal(0, c.SKY_SCATTER))
        noise = c.NOISE_EXCESS * np.sqrt(level / c.GAIN + c.READ_NOISE**2)
        limit = zeropoint - 2.5 * np.log10(5 * c.LIMIT_NOISE_FACTOR * noise * np.sqrt(sky.psf_noise_area(seeing)))
        ellipticity, name = rng.rayleigh(c.PSF_ELLIPTICITY) * rng.choice([-1, 1]), f"{self.days[night]:%Y%m%d}"
        return Visit(jd, name, fid, seeing, ellipticity, zeropoint, level, noise, limit, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Target:
    """An object of the survey. ``ra, dec, latitude`` (galactic) in deg; ``xpos, ypos`` on the chip; ``rate`` visits a
    day; ``visits`` are its alerts in time, ``candid`` set; ``reference`` is its field's, and ``rejuvenation`` the
    days by which its counts are younger than its date (`ageing`); ``known`` says that it had sent alerts before."""

    index: int
    object_id: str
    class_name: str
    subclass: str
    labelled: bool
    ra: float
    dec: float
    latitude: float
    xpos: float
    ypos: float
    rcid: int
    rate: float
    visits: tuple[Visit, ...]
    reference: Reference = FIRST_REFERENCE
    rejuvenation: float = 0.0
    known: bool = False


def make_plan(
    pairs_per_class: int,
    unlabelled_objects: int,
    nights: int,
    seed: int,
    ageing: Ageing | None = None,
    known_share: float = 0.0,
) -> tuple[Nights, list[Target]]:
    """Plan a survey; arguments as for `twostamp.simulation.survey.write_survey`.

    Examples
    --------
    >>> nights, targets = make_plan(3, 5, 10, seed=1)
    >>> len(nights.days), min(len(target.visits) for target in targets)
    (10, 1)
    """
    rng = np.random.default_rng([seed, 0])
    days = tuple(_draw_years(nights, ageing.years, rng) if ageing else sky.draw_nights(nights, rng))
    extinction = rng.exponential(c.CLOUD_SCALE, len(days))
    plan = Nights(days, rng.normal(0, c.SEEING_NIGHT_SCATTER, len(days)), extinction, nights if ageing else len(days))
    labelled = aged_specs(pairs_per_class, ageing) if ageing else labelled_specs(pairs_per_class)
    specs = [*labelled, *unlabelled_specs(unlabelled_objects, rng)]
    targets = [_make_target(i, spec, plan, np.random.default_rng([seed, 1, i])) for i, spec in enumerate(specs)]
    if ageing:
        targets = [_age(target, spec.year, ageing, seed) for target, spec in zip(targets, specs, strict=True)]
    known = np.random.default_rng([seed, 5]).random(len(targets)) < known_share
    targets = [replace(target, known=bool(old)) for target, old in zip(targets, known)]
    targets = _observe_one_exposure_twice(_move_to_edges(targets))
    return plan, _number_candidates(targets)


def _draw_years(nights: int, years: int, rng: np.random.Generator) -> Iterator[date]:
    for year in range(years):
        days = math.ceil(DAYS_PER_YEAR * year), math.floor(DAYS_PER_YEAR * (year + 1)) - 1
        first, last = (sky.FIRST_NIGHT + timedelta(days=day) for day in days)
        yield from sky.draw_nights(nights, rng, first, last)


def _age(target: Target, year: int, ageing: Ageing, seed: int) -> Target:
    first, rng = target.visits[0].jd, np.random.default_rng([seed, 4, target.index])
    year = year if year >= 0 else int((first - julian_midnight(sky.FIRST_NIGHT)) / DAYS_PER_YEAR)
    rate = target.rate * ageing.rate_factor(first)
    reference, rejuvenation = ageing.draw_reference(year, rng), ageing.rejuvenation(year)
    return replace(target, rate=rate, reference=reference, rejuvenation=rejuvenation)


def _make_target(index: int, spec: Spec, nights: Nights, rng: np.random.Generator) -> Target:
    schedule = _draw_schedule(spec, nights, rng)
    ra, dec, latitude = _draw_position(spec, nights, [night for night, _ in schedule], rng)
    filters = _draw_filters(spec, rng)
    visits = [nights.visit(night, hours, fid, rng) for (night, hours), fid in zip(schedule, filters)]
    visits = sorted(visits, key=lambda visit: visit.jd)
    if spec.class_name == "asteroid":
        visits = _move_asteroid(visits, rng)
    if spec.class_name == "bogus" and rng.random() < c.CLOUDED_BOGUS:
        visits = [visit.through_cloud(rng.uniform(*c.CLOUDED_EXTINCTION)) for visit in visits]
    if spec.fault:
        at = int(spec.class_name in ("SN", "bogus"))  # a bad first alert and a bad second one both occur
        visits[at] = replace(visits[at], fault=spec.fault)
    xpos, ypos = _draw_chip_position(rng)
    rate = c.COVERAGE_RATE * np.exp(rng.normal(0, c.COVERAGE_SCATTER))
    object_id = f"ZTF{visits[0].night[2:4]}{_letters(index)}"
    return Target(
        index, object_id, spec.class_name, spec.subclass, spec.labelled,
        ra, dec, latitude, xpos, ypos, int(rng.integers(0, 64)), rate, tuple(visits),
    )  # fmt: skip


def _letters(index: int) -> str:
    code, letters = index * 2654437 % 26**5, ""
    for _ in range(5):
        code, letter = divmod(code, 26)
        letters += chr(97 + letter)
    return "ab" + letters


def _draw_gap(class_name: str, rng: np.random.Generator) -> float:
    """Days to the next alert; 0 stands for the same night (assumptions after thesis 3.3, see `constants.DELTAJD`)."""
    intranight, median, scatter, tail = c.DELTAJD[class_name]
    kind = rng.random()
    if kind < intranight:
        return 0.0
    return float(np.exp(rng.normal(*c.LONG_GAP) if kind < intranight + tail else rng.normal(median, scatter)))


def _draw_schedule(spec: Spec, nights: Nights, rng: np.random.Generator) -> list[tuple[int, float]]:
    """Night and hour (UTC) of each alert."""
    start = max(spec.year, 0) * nights.per_year
    stop = start + nights.per_year if spec.year >= 0 else len(nights.days)
    days = np.array([day.toordinal() for day in nights.days[start:stop]])
    gap = max(_draw_gap(spec.class_name, rng), 0.0) if spec.alerts > 1 else 0.0
    first, second = _choose_nights(days, gap, rng)
    hours = rng.uniform(*NIGHT_HOURS, 2)
    if first == second:
        later = rng.uniform(*c.INTRANIGHT_HOURS)
        if spec.class_name == "asteroid":
            later = np.exp(rng.uniform(*np.log(c.ASTEROID_MINUTES))) / 60
        hours[0] = rng.uniform(NIGHT_HOURS[0], NIGHT_HOURS[1] - later)
        hours[1] = hours[0] + later
    schedule = [(first, hours[0]), (second, hours[1])][: spec.alerts]
    for _ in range(spec.alerts - 2):
        night = min(second + int(rng.integers(0, 4)), len(days) - 1)
        later = hours[1] if night == second else NIGHT_HOURS[0]
        schedule.append((night, rng.uniform(later + 0.02, NIGHT_HOURS[1] + 0.4)))
    return [(start + night, hour) for night, hour in schedule]


def _choose_nights(days: Floats, gap: float, rng: np.random.Generator) -> tuple[int, int]:
    """A pair of nights about ``gap`` days apart: gaps snap to the nights that there are."""
    if gap < 0.5 or len(days) < 2:
        night = int(rng.integers(0, len(days)))
        return night, night
    first, second = np.triu_indices(len(days), 1)
    distance = np.abs(np.log((days[second] - days[first]) / gap))
    near = np.flatnonzero(distance <= max(distance.min(), 0.15) + 1e-9)
    chosen = int(rng.choice(near))
    return int(first[chosen]), int(second[chosen])


def _draw_filters(spec: Spec, rng: np.random.Generator) -> list[int]:
    filters = [int(rng.choice([1, 2]))]
    for _ in range(spec.alerts - 1):
        other = rng.random() < c.OTHER_FILTER[spec.class_name]
        filters.append(3 - filters[-1] if other else filters[-1])
    return [3 if rng.random() < c.I_BAND_SHARE else fid for fid in filters]


def _draw_position(spec: Spec, nights: Nights, used: list[int], rng: np.random.Generator) -> tuple[float, float, float]:
    """Right ascension, declination and galactic latitude (deg) after the population's geometry, up on its nights."""
    antisun = sky.sun_longitude(np.array([julian_midnight(nights.days[night]) for night in used])) + 180
    for _ in range(40):
        ra, dec = draw_directions(spec, float(antisun[0]), 256, rng)
        _, latitude = sky.rotate(ra, dec, sky.TO_GALACTIC)
        away = np.abs((ra[:, None] - antisun + 180) % 360 - 180).max(axis=1)
        good = (dec > c.MINIMUM_DEC) & ((away < _HOUR_ANGLE) | (dec > 60))
        good &= rng.random(256) < population_weight(spec, latitude)
        if good.any():
            i = int(good.argmax())
            return float(ra[i]), float(dec[i]), float(latitude[i])
    return float(ra[0]), abs(float(dec[0])), float(latitude[0])


def _move_asteroid(visits: list[Visit], rng: np.random.Generator) -> list[Visit]:
    """Later alerts lie within the matching radius of the first: the same body, seldom another days later."""
    moved = []
    for i, visit in enumerate(visits):
        reach = c.MATCHING_RADIUS / c.PIXEL_SCALE * 0.9 * np.sqrt(rng.random()) * (i > 0)
        angle = rng.uniform(0, 2 * np.pi)
        known = float(round(float(np.hypot(*rng.normal(0, c.EPHEMERIS_ERROR, 2)))))
        if i > 0 and rng.random() < c.OUTSIDE_SSDISTNR:
            known = float(rng.choice([SENTINEL, float(rng.integers(10, 30))]))
        moved.append(replace(visit, dx=reach * np.cos(angle), dy=reach * np.sin(angle), ssdistnr=known))
    return moved


def _draw_chip_position(rng: np.random.Generator) -> tuple[float, float]:
    while True:
        x, y = rng.uniform(8, c.CHIP_WIDTH - 8), rng.uniform(8, c.CHIP_HEIGHT - 8)
        margin = min(x, y, c.CHIP_WIDTH - x, c.CHIP_HEIGHT - y)
        if margin > c.STAMP // 2 or rng.random() < c.EDGE_SHARE:
            return float(x), float(y)


def _move_to_edges(targets: list[Target]) -> list[Target]:
    """Put a few objects at each edge and corner of the chip, however small the survey."""
    step = max(1, len(targets) // (len(_EDGES) + 1))
    moved = list(targets)
    for i, (x, y) in enumerate(_EDGES):
        at = min(i * step + 1, len(targets) - 1)
        xpos = {0.0: 14.0, 0.5: 1500.0, 1.0: c.CHIP_WIDTH - 14.0}[x]
        ypos = {0.0: 17.0, 0.5: 1500.0, 1.0: c.CHIP_HEIGHT - 17.0}[y]
        moved[at] = replace(targets[at], xpos=xpos, ypos=ypos)
    return moved


def _observe_one_exposure_twice(targets: list[Target]) -> list[Target]:
    """Give one object in a thousand (one at least) two candidates in its first exposure (decision D9)."""
    doubled = list(targets)
    hosts = [i for i, target in enumerate(targets) if target.class_name == "VS" and not target.visits[0].fault]
    for i in hosts[1 : 2 + len(targets) // 1000]:
        first = targets[i].visits[0]
        twin = replace(first, dx=first.dx + 0.6)
        doubled[i] = replace(targets[i], visits=(first, twin, *targets[i].visits[1:]))
    return doubled


def _number_candidates(targets: list[Target]) -> list[Target]:
    """Candidate ids of ZTF's form: night, time, readout channel, then the row in the exposure's table."""
    used: set[int] = set()
    numbered = []
    for target in targets:
        visits = []
        for visit in target.visits:
            candid = processing_id(visit.jd, target.rcid) * 10**6 + 15_000 + target.index * 7 % 23
            while candid in used:
                candid += 1
            used.add(candid)
            visits.append(replace(visit, candid=candid))
        numbered.append(replace(target, visits=tuple(visits)))
    return numbered


def processing_id(jd: float, rcid: int) -> int:
    """ZTF's ``pid``: night, fraction of the day, readout channel.

    Examples
    --------
    >>> processing_id(2458270.9018056, 16)
    516401801615
    """
    return int((jd - 2457754.5) * 1e5) * 10_000 + rcid * 100 + 15
