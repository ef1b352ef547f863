"""Measure a candidate on its simulated images, as ZTF's pipeline does (Masci et al. 2019; Bertin and Arnouts 1996).

Fields have ZTF's names and units. What ZTF takes from a trained classifier (classtar, rb, drb) is a smooth function of
the other measurements, with noise.
"""

import numpy as np
from scipy.ndimage import convolve, label, median_filter

from twostamp.alerts.cutouts import CENTRE
from twostamp.simulation import constants as c
from twostamp.simulation.conditions import Visit
from twostamp.simulation.images import Triplet
from twostamp.utils.typing import Floats

_DETECTION_KERNEL = np.array([[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]]) / 16
_DETECTION_THRESHOLD = 1.5  # sigma of the difference image
_CORE_THRESHOLD = 0.25  # of the peak
_FWHM_ERROR = 0.08  # ln; whole pixels make the area coarse
_CHI_EXCESS = 1.5  # measured: chipsf of asteroids, from a PSF model that is not perfect
_WINDOW = 1.6  # width of the window of the second moments over the PSF's
_ROWS, _COLUMNS = np.mgrid[: c.STAMP, : c.STAMP].astype(float)
_MAGNITUDE_ERROR = 1.0857
Fields = dict[str, float | int]


def measure(
    triplet: Triplet, visit: Visit, centre: tuple[float, float], star_flux: float, rng: np.random.Generator
) -> Fields:
    """Fields of ``candidate`` that come from the images.

    The candidate is at `centre` (pixels of the stamp), on a star of `star_flux` (DN), which adds a systematic error.
    """
    image = np.nan_to_num(triplet.difference)
    distance = np.hypot(_COLUMNS - centre[0], _ROWS - centre[1])
    annulus = (distance > 10) & (distance < 20) & np.isfinite(triplet.difference)
    sky = float(np.median(triplet.difference[annulus])) if annulus.any() else 0.0
    fields = _fit_psf(image, triplet, visit, distance, star_flux)
    fields |= _apertures(image - sky, distance, triplet.noise, visit, float(fields["magpsf"]))
    fields |= _shape(image, triplet, visit, centre, rng)
    fields |= _pixels(triplet, image, visit, distance)
    fields["sky"] = sky
    fields["magdiff"] = float(fields["magap"] - fields["magpsf"])
    fields["magfromlim"] = float(visit.limit - fields["magap"])
    return fields | _scores(fields, visit, rng)


def _fit_psf(image: Floats, triplet: Triplet, visit: Visit, distance: Floats, star_flux: float) -> Fields:
    psf, noise = triplet.psf, triplet.noise
    norm = float((psf**2).sum())
    error = noise / np.sqrt(norm)
    flux = float((image * psf).sum() / norm)
    kept = max(flux, 3 * error)
    total = np.hypot(c.PSF_NOISE_FACTOR * error, c.FLUX_SYSTEMATIC * star_flux)
    core = distance < 4
    variance = noise**2 + np.abs(image[core]) / c.GAIN
    chi = _CHI_EXCESS * float(((image - flux * psf)[core] ** 2 / variance).sum() / (core.sum() - 1))
    return {
        "magpsf": visit.zeropoint - 2.5 * np.log10(kept),
        "sigmapsf": float(np.clip(_MAGNITUDE_ERROR * total / kept, 0.01, 0.217)),
        "chipsf": chi,
        "scorr": max(flux / np.hypot(error / c.SCORR_EFFICIENCY, c.FLUX_SYSTEMATIC * star_flux), 5.0),
    }


def _apertures(image: Floats, distance: Floats, noise: float, visit: Visit, magpsf: float) -> Fields:
    fields: Fields = {}
    floor = 10 ** (0.4 * (visit.zeropoint - magpsf)) * 0.4
    for name, radius in (("ap", 7.0), ("apbig", 9.0)):
        flux = max(float(image[distance < radius].sum()), floor)
        fields[f"mag{name}"] = visit.zeropoint - 2.5 * np.log10(flux)
        fields[f"sigmag{name}"] = _MAGNITUDE_ERROR * noise * np.sqrt(np.pi) * radius / flux
    return fields


def _shape(
    image: Floats, triplet: Triplet, visit: Visit, centre: tuple[float, float], rng: np.random.Generator
) -> Fields:
    """SExtractor's isophotal FWHM (Gaussian core) and windowed second moments."""
    box = image[16:47, 16:47]
    smooth = convolve(box, _DETECTION_KERNEL)
    place = np.unravel_index(smooth[13:18, 13:18].argmax(), (5, 5))
    peak = max(float(box[13:18, 13:18].max()), 2 * triplet.noise)
    threshold = max(_DETECTION_THRESHOLD * triplet.noise, _CORE_THRESHOLD * peak)
    regions, _ = label((box > threshold) | (smooth > threshold))
    area = (regions == max(regions[place[0] + 13, place[1] + 13], 1)) & (box > threshold)
    fwhm = 2 * np.sqrt(np.log(2) * max(int(area.sum()), 1) / (np.pi * np.log(max(peak / threshold, 1.3))))
    fwhm *= np.exp(rng.normal(0, _FWHM_ERROR))
    major, minor = _windowed_moments(np.where(image > 0.5 * triplet.noise, image, 0), visit.seeing, centre)
    difference_fwhm = visit.seeing * 1.2
    return {
        "fwhm": fwhm,
        "seeratio": min(difference_fwhm / fwhm, 2.0),
        "aimage": major,
        "bimage": minor,
        "aimagerat": major / fwhm,
        "bimagerat": minor / fwhm,
        "elong": major / minor,
    }


def _windowed_moments(bright: Floats, seeing: float, centre: tuple[float, float]) -> tuple[float, float]:
    dx, dy = _COLUMNS - centre[0], _ROWS - centre[1]
    weight = np.exp(-0.5 * (dx**2 + dy**2) / (_WINDOW * seeing / 2.355) ** 2) * bright
    total = weight.sum()
    if total <= 0:
        return 0.6, 0.4
    xx, yy, xy = ((weight * moment).sum() / total for moment in (dx * dx, dy * dy, dx * dy))
    spread = np.hypot((xx - yy) / 2, xy)
    major, minor = (np.sqrt(np.clip((xx + yy) / 2 + sign * spread, 0.1, 16)) for sign in (1, -1))
    return float(major), float(minor)


def _pixels(triplet: Triplet, image: Floats, visit: Visit, distance: Floats) -> Fields:
    """Statistics of the 5 x 5 pixels around the candidate and of the whole stamp."""
    box = slice(CENTRE - 2, CENTRE + 3)
    core = median_filter(image[box, box], 3)
    matched = float((image * triplet.psf).sum())
    dsnrms = image[CENTRE, CENTRE] / triplet.noise
    ssnrms = matched / (triplet.noise * np.sqrt((triplet.psf**2).sum()))
    return {
        "nneg": int((image[box, box] < 0).sum()),
        "nbad": int(np.isnan(triplet.difference[box, box]).sum()),
        "sumrat": float(core.sum() / max(np.abs(core).sum(), 1e-6)),
        "dsnrms": float(dsnrms),
        "ssnrms": float(ssnrms),
        "dsdiff": float(dsnrms - ssnrms),
    }


def _scores(fields: Fields, visit: Visit, rng: np.random.Generator) -> Fields:
    sharp = float(fields["fwhm"]) / visit.seeing
    snr = _MAGNITUDE_ERROR / float(fields["sigmapsf"])
    stellar = 4.0 - 0.6 * (float(fields["fwhm"]) - 2.3) + rng.normal(0, 1.0) + (10 / snr) * rng.normal(0, 1.0)
    quality = (
        0.9
        + 1.5 * (float(fields["sumrat"]) - 0.9)
        - 0.10 * int(fields["nneg"])
        - 1.5 * max(float(fields["elong"]) - 1.2, 0)
        - 0.25 * abs(np.log(sharp))
        - 0.25 * np.log10(max(float(fields["chipsf"]), 1.0))
        + 0.35 * np.log(snr / 8)
        + rng.normal(0, 0.35)
    )
    return {
        "classtar": float(np.clip(1 / (1 + np.exp(-stellar)), 0.0, 1.0)),
        "rb": float(1 / (1 + np.exp(-quality))),
        "drb": float(1 / (1 + np.exp(-8 * (quality - 0.1)))),
    }
