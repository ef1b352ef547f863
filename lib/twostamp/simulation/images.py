"""Science, template and difference stamps of one visit.

The science image holds stars, galaxies, change, sky and noise through the night's PSF. The template is the same scene
without the change, deep, through its own PSF. The difference is ZTF's optimal subtraction of the two (Zackay, Ofek and
Gal-Yam 2016) with a slightly wrong PSF, place and gain. Its noise, and the rings around
stars and hot pixels, follow from that.
"""

from dataclasses import dataclass

import galsim
import numpy as np
from isal import igzip
from scipy.fft import irfft2, rfft2
from scipy.ndimage import convolve1d

from twostamp.alerts.cutouts import CENTRE, expected_shape, missing_before
from twostamp.simulation import artefacts
from twostamp.simulation import constants as c
from twostamp.simulation.ageing import FIRST_REFERENCE, Reference
from twostamp.simulation.conditions import Sources, Visit
from twostamp.simulation.light_curves import Change
from twostamp.utils.typing import Bools, Floats

_MARGIN = 8  # pixels around the stamp from which light still reaches it
_BORDER = 9  # pixels of mirrored image around a stamp, so that the edges of a subtraction stay outside it
_SIZE = c.STAMP + 2 * _BORDER
_MIRRORED = np.pad(np.arange(c.STAMP), _BORDER, mode="symmetric")
_ACROSS, _ALONG = (2 * np.pi * f(_SIZE).astype(np.float32) for f in (np.fft.rfftfreq, np.fft.fftfreq))  # of x and y
_FAINTEST = np.float32(-30.0)  # ln; smaller factors would become denormal numbers, which are slow
_LOOSE = galsim.GSParams(
    folding_threshold=0.02,
    maxk_threshold=0.01,
    kvalue_accuracy=1e-3,
    xvalue_accuracy=1e-3,
    maximum_fft_size=2048,
    stepk_minimum_hlr=4,
)


def _axis(along_x: bool) -> galsim.Angle:
    return (0.0 if along_x else 90.0) * galsim.degrees


@dataclass(frozen=True, slots=True)
class Psf:
    """Three axis-aligned Gaussians with the shape of a Moffat profile; ``fwhm`` in pixels, ``ellipticity`` along x."""

    fwhm: float
    ellipticity: float

    def widths(self, extra: Floats | float = 0.0) -> list[tuple[Floats, Floats]]:
        """Widths (pixels) along x and y of each Gaussian, with the pixel and ``extra`` folded in."""
        blur = np.asarray(extra) ** 2 + 1 / 12
        sizes = self.fwhm * np.array(c.PSF_WIDTHS)
        stretch = 1 + self.ellipticity
        return [(np.sqrt((size * stretch) ** 2 + blur), np.sqrt((size / stretch) ** 2 + blur)) for size in sizes]

    def transform(self) -> Floats:
        """Fourier transform of the profile at the frequencies of a subtraction."""
        widths, shares = np.array(self.widths(), np.float32), np.array(c.PSF_SHARES, np.float32)
        across, along = (
            np.exp(-0.5 * (widths[:, [axis]] * frequency) ** 2) for axis, frequency in enumerate((_ACROSS, _ALONG))
        )
        return np.asarray((shares[:, None] * along).T @ across)

    def galsim(self) -> galsim.GSObject:
        """The same profile for galsim."""
        parts = [
            galsim.Gaussian(sigma=np.sqrt(sx * sy), flux=share).shear(
                q=min(sx, sy) / max(sx, sy), beta=_axis(bool(sx >= sy))
            )
            for share, (sx, sy) in zip(c.PSF_SHARES, self.widths())
        ]
        return galsim.Sum(parts, gsparams=_LOOSE)


@dataclass(slots=True)
class Triplet:
    """The three 63 x 63 images (float32, DN, NaN where masked) and what a measurement of them needs.

    ``difference`` has the sign in which the candidate is positive; ``psf`` is the unit PSF at the candidate, ``noise``
    the pixel noise of the difference (DN), ``positive`` the candidate's isdiffpos.
    """

    science: Floats
    template: Floats
    difference: Floats
    psf: Floats
    noise: float
    positive: bool


def draw_points(x: Floats, y: Floats, flux: Floats, psf: Psf, extra: Floats | float = 0.0) -> Floats:
    """Image of point sources, shape (63, 63); a sum of Gaussians that are products, so one matrix product each.

    Examples
    --------
    >>> image = draw_points(np.array([31.2]), np.array([30.7]), np.array([100.0]), Psf(2.0, 0.0))
    >>> image.shape, round(float(image.sum()))
    ((63, 63), 100)
    """
    pixels = np.arange(c.STAMP, dtype=np.float32)
    columns_at, rows_at, light = (values.astype(np.float32)[:, None] for values in (x, y, flux))
    image = np.zeros((c.STAMP, c.STAMP))
    for share, (sx, sy) in zip(c.PSF_SHARES, psf.widths(extra)):
        across, along = (np.reshape(width, (-1, 1)).astype(np.float32) for width in (sx, sy))
        columns = np.exp(np.maximum(-0.5 * ((pixels - columns_at) / across) ** 2, _FAINTEST))
        rows = np.exp(np.maximum(-0.5 * ((pixels - rows_at) / along) ** 2, _FAINTEST))
        image += rows.T @ (columns * (share * light / (2 * np.pi * across * along)))
    return image


def _draw_galaxy(sources: Sources, i: np.intp, x: float, y: float, flux: float, psf: galsim.GSObject) -> Floats:
    """Image of a Sersic galaxy centred on x, y (pixels of the stamp)."""
    profile = galsim.Sersic(n=sources.sersic[i], half_light_radius=sources.radius[i], flux=flux, gsparams=_LOOSE)
    shaped = profile.shear(q=float(sources.axis_ratio[i]), beta=float(sources.angle[i]) * galsim.radians)
    image = galsim.Convolve(shaped, psf, gsparams=_LOOSE)
    offset = (x - CENTRE, y - CENTRE)
    return np.asarray(image.drawImage(nx=c.STAMP, ny=c.STAMP, scale=1.0, method="no_pixel", offset=offset).array, float)


@dataclass(slots=True)
class Scene:
    """What stands still in a stamp: positions in its pixels, fluxes (DN), which galaxies are drawn as such."""

    sources: Sources
    x: Floats
    y: Floats
    flux: Floats
    extended: Bools

    def points(self, psf: Psf, shift: tuple[float, float] = (0.0, 0.0)) -> Floats:
        """Image of all but the extended galaxies."""
        point = ~self.extended
        blur = self.sources.radius[point] / 1.1774  # a Gaussian's half-light radius over its width
        return draw_points(self.x[point] + shift[0], self.y[point] + shift[1], self.flux[point], psf, blur)

    def galaxies(self, psf: Psf) -> Floats:
        """Image of the extended galaxies."""
        image = np.zeros((c.STAMP, c.STAMP))
        if self.extended.any():
            profile = psf.galsim()
            for i in np.flatnonzero(self.extended):
                image += _draw_galaxy(self.sources, i, self.x[i], self.y[i], self.flux[i], profile)
        return image


def _make_scene(sources: Sources, visit: Visit, centre: tuple[float, float]) -> Scene:
    """Place the sources whose light reaches the stamp; the candidate is at ``centre`` (pixels of the stamp)."""
    x, y = sources.x - visit.dx + centre[0], sources.y - visit.dy + centre[1]
    outside = np.maximum(np.abs(x - CENTRE), np.abs(y - CENTRE)) - CENTRE
    near = outside < _MARGIN
    sources, x, y, outside = sources.select(near), x[near], y[near], outside[near]
    extended = (sources.radius > c.RENDERED_RADIUS) & (sources.magnitude[:, 1] < c.RENDERED_MAGNITUDE) & (outside < 4)
    return Scene(sources, x, y, sources.flux(visit.fid, visit.zeropoint), extended)


@dataclass(frozen=True, slots=True)
class Exposure:
    """A visit without noise: images (DN above the sky) of the scene, the unit PSF at the candidate, the template.

    ``psf`` and ``coadd`` are the PSFs of scene and template; ``centre`` is the candidate's place; ``masked`` are the
    pixels lost around bright stars, ``reference`` the template's depth.
    """

    visit: Visit
    psf: Psf
    coadd: Psf
    scene: Floats
    point: Floats
    template: Floats
    centre: tuple[float, float]
    masked: Bools
    reference: Reference

    @property
    def template_noise(self) -> float:
        """Pixel noise of the template (DN), on the science image's scale."""
        dimmed = 10 ** (0.4 * (self.visit.zeropoint - c.ZEROPOINT[self.visit.fid]))
        return self.reference.noise * c.TEMPLATE_NOISE[self.visit.fid] * dimmed


def render(
    sources: Sources, visit: Visit, centre: tuple[float, float], reference: Reference = FIRST_REFERENCE
) -> Exposure:
    """Render what stands still in a visit, of sources around an object; the candidate is at `centre` of the stamp."""
    psf = Psf(visit.seeing, visit.ellipticity)
    coadd = Psf(c.TEMPLATE_SEEING * c.SEEING[visit.fid], 0.01)
    scene = _make_scene(sources, visit, centre)
    x, y = sources.x + centre[0] - visit.dx, sources.y + centre[1] - visit.dy
    return Exposure(
        visit,
        psf,
        coadd,
        scene.points(psf) + scene.galaxies(psf),
        draw_points(np.array([centre[0]]), np.array([centre[1]]), np.ones(1), psf),
        scene.points(coadd) + scene.galaxies(coadd),
        centre,
        artefacts.mask_bright_stars(x, y, sources.magnitude[:, 1], centre),
        reference,
    )


def expose(exposure: Exposure, change: Change, flux: float, rng: np.random.Generator) -> Triplet:
    """Add to an exposure the `change` of its flux (DN), noise and damage, and subtract the template."""
    visit, reference = exposure.visit, exposure.reference
    light = exposure.scene + flux * exposure.point
    noise = rng.standard_normal(light.shape) * np.sqrt(visit.noise**2 + np.clip(light, 0, None) / c.GAIN)
    noise += rng.normal(0, c.COLUMN_NOISE * visit.noise, c.STAMP)
    damage = artefacts.draw(change.artefact, visit.noise, rng)
    observed = np.minimum(light, c.SATURATION) + noise + damage.light
    variance = exposure.template_noise**2 + exposure.template / c.GAIN / reference.frames
    template = np.minimum(exposure.template, c.TEMPLATE_SATURATION) + _draw_resampled_noise(rng) * np.sqrt(variance)
    difference, point = _subtract(observed, template, exposure, change, rng)
    masked = damage.masked | exposure.masked
    positive = bool((difference * point)[~masked].sum() >= 0)
    images = (observed + visit.sky, template + visit.sky, difference if positive else -difference)
    science, deep, subtracted = (np.where(masked, np.nan, image) for image in images)
    return Triplet(science, deep, subtracted, point, _measure_noise(difference), positive)


def _measure_noise(image: Floats) -> float:
    """Robust scatter of every other pixel: in a crowded field it holds faint stars too, as ZTF's does."""
    pixels = image[::2, ::2]
    return float(1.4826 * np.median(np.abs(pixels - np.median(pixels))))


def _draw_resampled_noise(rng: np.random.Generator) -> Floats:
    """Noise of unit variance as a resampled coadd has it: neighbouring pixels share some."""
    noise = rng.standard_normal((c.STAMP, c.STAMP))
    for axis in (0, 1):
        noise = convolve1d(noise, c.RESAMPLING, axis, mode="wrap")
    return np.asarray(noise / np.sum(np.square(c.RESAMPLING)))


def _subtract(
    science: Floats, template: Floats, exposure: Exposure, change: Change, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Difference by Zackay et al. 2016, equation 13, in units of the science image, and its PSF at the candidate.

    The PSFs, the registration and the gain that it believes in are a little wrong, which leaves residuals of stars.
    """
    blurred = exposure.psf.fwhm * (1 + change.blur + rng.normal(0, c.PSF_ERROR))
    believed = Psf(blurred, exposure.psf.ellipticity + rng.normal(0, 0.5 * c.PSF_ERROR))
    dx, dy = np.array(change.shift) + rng.normal(0, c.REGISTRATION_ERROR, 2)
    gain = 1 + change.gain + rng.normal(0, c.GAIN_ERROR)
    noise, template_noise = _measure_noise(science), _measure_noise(template)
    new, old = believed.transform(), exposure.coadd.transform()
    weight = np.hypot(noise, template_noise) / np.sqrt((noise * old) ** 2 + (template_noise * new) ** 2)
    mirrored = (image.astype(np.float32)[np.ix_(_MIRRORED, _MIRRORED)] for image in (science, template))
    seen, reference = (rfft2(image) for image in mirrored)
    difference = weight * (old * seen - gain * _shift(dx, dy) * new * reference)
    x, y = (_BORDER + place for place in exposure.centre)
    point = weight * old * exposure.psf.transform() * _shift(x, y)
    inside = slice(_BORDER, -_BORDER)
    images = (irfft2(spectrum, (_SIZE, _SIZE))[inside, inside] for spectrum in (difference, point))
    return tuple(np.asarray(image, float) for image in images)  # type: ignore[return-value]


def _shift(x: float, y: float) -> Floats:
    """Factor that moves an image by pixels, at the frequencies of a subtraction."""
    return np.asarray(np.exp(-1j * np.float32(y) * _ALONG)[:, None] * np.exp(-1j * np.float32(x) * _ACROSS))


def cut_at_chip_edges(image: Floats, xpos: float, ypos: float) -> Floats:
    """Keep what lies on the chip of a stamp centred on round(xpos), round(ypos) (S1).

    Examples
    --------
    >>> cut_at_chip_edges(np.zeros((63, 63)), 10.0, 3075.0).shape
    (37, 41)
    """
    (height, width), low, left = expected_shape(xpos, ypos), missing_before(ypos), missing_before(xpos)
    return image[low : low + height, left : left + width]


def encode_stamp(image: Floats) -> bytes:
    """Gzipped FITS with the header cards of a real stamp; the same image always gives the same bytes.

    Examples
    --------
    >>> igzip.decompress(encode_stamp(np.zeros((63, 63))))[:30]
    b'SIMPLE  =  T                  '
    """
    height, width = image.shape
    cards = ["SIMPLE  =  T", f"BITPIX  = {-32:20d}", f"NAXIS   = {2:20d}", f"NAXIS1  = {width:20d}"]
    cards += [f"NAXIS2  = {height:20d}", "BUNIT   = 'DN      '", "END"]
    header = "".join(card.ljust(80) for card in cards).ljust(2880).encode()
    data = np.ascontiguousarray(image, dtype=">f4").tobytes()
    return bytes(igzip.compress(header + data + b"\0" * (-len(data) % 2880), 1, mtime=0))
