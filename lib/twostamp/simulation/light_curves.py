"""What changes at a candidate's position: light curves, hosts and the causes of bogus detections.

A source is drawn again until every visit that the plan calls an alert is one: ZTF sends alerts only of what it detects.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from twostamp.simulation import constants as c
from twostamp.simulation.conditions import Sources, Visit, draw_magnitudes, galaxy_radius, make_source
from twostamp.utils.typing import Floats

_TRIES = 300
_COLOUR_FACTOR = {1: 1.2, 2: 1.0, 3: 0.8}  # amplitudes are larger in the blue


@dataclass(slots=True)
class Change:
    """The counterpart in the template, and the change on top of it.

    ``flux`` (DN) has one value per visit; ``artefact`` names the cause of a bogus detection, whose image is made by
    `images`; ``shift`` (pixels), ``blur`` and ``gain`` (relative) are the subtraction's errors of place, PSF and flux.
    """

    counterpart: Sources | None
    flux: Floats
    artefact: str = ""
    shift: tuple[float, float] = (0.0, 0.0)
    blur: float = 0.0
    gain: float = 0.0


def draw_change(
    class_name: str, subclass: str, visits: Sequence[Visit], rng: np.random.Generator, days_known: float = 0.0
) -> Change:
    """Draw a source of a class of `twostamp.taxonomy` that is detected in all of ``visits`` (in time).

    A supernova has been seen for ``days_known`` days when its first visit comes.
    """
    if class_name == "bogus":
        return _draw_bogus(visits, rng)
    makers: dict[str, Callable[[str, Sequence[Visit], np.random.Generator], Change]] = {
        "AGN": _draw_agn,
        "SN": partial(_draw_supernova, days_known=days_known),
        "VS": _draw_variable,
        "asteroid": _draw_asteroid,
    }
    draw = makers[class_name]
    for _ in range(_TRIES):
        change = draw(subclass, visits, rng)
        floor = _detectable(change, visits)
        if (np.abs(change.flux) >= floor).all():
            return change
    change.flux = np.where(change.flux < 0, -1, 1) * np.maximum(np.abs(change.flux), 1.05 * floor)
    return change


def _detectable(change: Change, visits: Sequence[Visit]) -> Floats:
    return np.array([visit.detectable_flux(_flux_under(change, visit)) for visit in visits])


def _flux_under(change: Change, visit: Visit) -> float:
    if (source := change.counterpart) is None:
        return 0.0
    near = np.hypot(source.x, source.y) < 1
    return float(source.flux(visit.fid, visit.zeropoint)[near & (source.radius == 0)].sum())


def _times(visits: Sequence[Visit]) -> Floats:
    return np.array([visit.jd for visit in visits])


def _flux_change(source: Sources, delta: Floats, reference: float, visits: Sequence[Visit]) -> Floats:
    """Flux change (DN) of the first row of ``source`` from magnitude changes against the template's."""
    star = np.array([source.flux(visit.fid, visit.zeropoint)[0] for visit in visits])
    factor = np.array([_COLOUR_FACTOR[visit.fid] for visit in visits])
    return np.asarray(star * (10 ** (-0.4 * delta * factor) - 10 ** (-0.4 * reference * factor)))


def _light_curve(shape: str, jd: Floats, amplitude: float, period: float, rng: np.random.Generator) -> Floats:
    """Magnitudes about their mean of a variable star of a shape of `constants.VARIABLES`."""
    phase = (jd / period + rng.random()) % 1
    if shape == "sine":
        return np.asarray(amplitude / 2 * np.sin(2 * np.pi * phase))
    if shape == "contact":
        return np.asarray(amplitude * (0.45 * np.cos(4 * np.pi * phase) + 0.05 * np.cos(2 * np.pi * phase)))
    if shape == "eclipse":
        primary, secondary = (np.exp(-0.5 * ((phase - at) / 0.035) ** 2) for at in (0.3, 0.8))
        return np.asarray(amplitude * (primary + 0.4 * secondary))  # a coadd without outliers is out of eclipse
    if shape == "sawtooth":
        return np.asarray(amplitude * np.where(phase < 0.85, phase / 0.85 - 0.5, (1 - phase) / 0.15 - 0.5))
    return _random_walk(jd, amplitude / 2.5, period, rng)


def _random_walk(jd: Floats, scatter: float, timescale: float, rng: np.random.Generator) -> Floats:
    """Damped random walk (Ornstein-Uhlenbeck) at the given times, mean 0 (MacLeod et al. 2010)."""
    values = np.empty(len(jd))
    values[0] = rng.normal(0, scatter)
    for i in range(1, len(jd)):
        memory = np.exp(-(jd[i] - jd[i - 1]) / timescale)
        values[i] = memory * values[i - 1] + scatter * np.sqrt(1 - memory**2) * rng.normal()
    return values


def _draw_variable(subclass: str, visits: Sequence[Visit], rng: np.random.Generator) -> Change:
    amplitudes, periods, shape = c.VARIABLES[subclass]
    amplitude, period = (np.exp(rng.uniform(*np.log(limits))) for limits in (amplitudes, periods))
    magnitude = float(draw_magnitudes(1, c.VARIABLE_SLOPE, c.VARIABLE_MAGNITUDE, rng)[0])
    red = {"LPV": 1.4, "YSO": 1.2}.get(subclass, 0.55)
    star = make_source(0, 0, magnitude, float(rng.normal(red, 0.25)))
    delta = _light_curve(shape, _times(visits), amplitude, period, rng)
    return Change(star, _flux_change(star, delta, rng.normal(0, 0.05 * amplitude), visits))


def _draw_agn(subclass: str, visits: Sequence[Visit], rng: np.random.Generator) -> Change:
    scatter = c.AGN_AMPLITUDE[subclass] * np.exp(rng.normal(0, 0.3))
    magnitude = float(draw_magnitudes(1, c.AGN_SLOPE, c.AGN_MAGNITUDE[subclass], rng)[0])
    host = magnitude + rng.normal(*c.HOST_BELOW_NUCLEUS[subclass])
    share = 1 / (1 + 10 ** (0.4 * (magnitude - host)))
    nucleus = make_source(0, 0, magnitude, float(rng.normal(0.35, 0.25)), stellarity=share)
    delta = _random_walk(_times(visits), scatter, c.AGN_TIMESCALE, rng)
    change = Change(nucleus, _flux_change(nucleus, delta, rng.normal(0, 0.7 * scatter), visits))
    change.counterpart = nucleus + _make_host(0, 0, host, rng, catalogued=False)
    return change


def _make_host(x: float, y: float, magnitude: float, rng: np.random.Generator, catalogued: bool = True) -> Sources:
    return make_source(
        x,
        y,
        magnitude,
        float(rng.normal(0.7, 0.2)),
        radius=float(galaxy_radius(np.array([magnitude]), rng)[0]),
        axis_ratio=rng.uniform(0.4, 1.0),
        angle=rng.uniform(0, np.pi),
        sersic=float(rng.choice(c.SERSIC_INDICES)),
        stellarity=0.0,
        catalogued=catalogued,
    )


def _draw_supernova(subclass: str, visits: Sequence[Visit], rng: np.random.Generator, days_known: float) -> Change:
    rise, decline, brightest, faintest = c.SUPERNOVAE[subclass]
    peak = float(draw_magnitudes(1, 0.4, (brightest, faintest), rng)[0])
    age = _times(visits) - visits[0].jd + rng.uniform(0.15, 0.9) * rise + days_known
    growth = np.clip(age / rise, 0.02, 1)
    magnitude = peak - 5 * np.log10(growth * (2 - growth)) + decline * np.clip(age - rise, 0, None)
    magnitude += np.array([{1: -0.05, 2: 0.05, 3: 0.3}[visit.fid] for visit in visits])
    zeropoint = np.array([visit.zeropoint for visit in visits])
    fainter = c.SLSN_HOST_FAINTER if subclass == "SLSN" else 0.0
    host = _make_host(0, 0, float(np.clip(rng.normal(*c.HOST_MAGNITUDE) + fainter, 14.5, 24.5)), rng)
    distance = max(c.SN_OFFSET_MINIMUM / c.PIXEL_SCALE, rng.exponential(c.SN_OFFSET_SCALE) * float(host.radius[0]))
    direction = rng.uniform(0, 2 * np.pi)
    host.x, host.y = np.array([distance * np.cos(direction)]), np.array([distance * np.sin(direction)])
    return Change(host, 10 ** (0.4 * (zeropoint - magnitude)))


def _draw_asteroid(subclass: str, visits: Sequence[Visit], rng: np.random.Generator) -> Change:
    del subclass
    magnitude = draw_magnitudes(1, c.ASTEROID_SLOPE, c.ASTEROID_MAGNITUDE, rng)[0] + rng.normal(0, 0.05, len(visits))
    magnitude += np.array([{1: 0.25, 2: -0.25, 3: -0.45}[visit.fid] for visit in visits])
    return Change(None, 10 ** (0.4 * (np.array([visit.zeropoint for visit in visits]) - magnitude)))


def _draw_bogus(visits: Sequence[Visit], rng: np.random.Generator) -> Change:
    kind = str(rng.choice(list(c.BOGUS_KINDS), p=np.array(list(c.BOGUS_KINDS.values()))))
    kind = "cloud" if visits[0].clouded else kind
    change = Change(None, np.zeros(len(visits)), kind)
    direction = rng.uniform(0, 2 * np.pi)
    unit = np.array([np.cos(direction), np.sin(direction)])
    if kind == "dipole":
        star, shift = rng.uniform(13.3, 17.0), unit * rng.uniform(0.12, 0.5)
        lobe = unit * rng.uniform(0.9, 1.7)
        change.shift = (float(shift[0]), float(shift[1]))
        change.counterpart = make_source(-lobe[0], -lobe[1], star, rng.normal(0.7, 0.3))
    elif kind == "residual":
        change.blur = float(rng.choice([-1, 1]) * rng.uniform(0.04, 0.15))
        x, y = rng.normal(0, 0.2, 2)
        change.counterpart = make_source(x, y, rng.uniform(13.3, 16.5), rng.normal(0.7, 0.3))
    elif kind == "cloud":
        change.gain = float(rng.choice([-1, 1]) * np.exp(rng.uniform(*np.log([0.05, 0.4]))))
        x, y = rng.normal(0, 0.1, 2)
        change.counterpart = make_source(x, y, rng.uniform(*c.CLOUDED_STAR), rng.normal(0.7, 0.3))
    elif kind == "saturated":
        away = unit * rng.exponential(1.8)
        change.counterpart = make_source(away[0], away[1], rng.uniform(10.8, 13.2), rng.normal(0.7, 0.3))
    return change
