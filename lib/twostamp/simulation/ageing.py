"""How a survey of several years ages: counts that grow, fields whose reference image is made anew.

Without an `Ageing` the survey is the default one, to the byte.
"""

from dataclasses import dataclass

import numpy as np

from twostamp.simulation import constants as c

DAYS_PER_YEAR = 365.25


@dataclass(frozen=True, slots=True)
class Reference:
    """The reference image of a field, a coadd of ``frames`` exposures.

    Examples
    --------
    >>> Reference().noise, Reference().depth, round(Reference(60).noise, 2), round(Reference(60).depth, 2)
    (1.0, 23.3, 0.5, 24.05)
    """

    frames: int = c.REFERENCE_FRAMES

    @property
    def noise(self) -> float:
        """Pixel noise over that of a first reference."""
        return float(np.sqrt(c.REFERENCE_FRAMES / self.frames))

    @property
    def depth(self) -> float:
        """Faintest source that it shows, magnitudes."""
        return float(c.REFERENCE_DEPTH + 1.25 * np.log10(self.frames / c.REFERENCE_FRAMES))


FIRST_REFERENCE = Reference()


@dataclass(frozen=True, slots=True)
class Ageing:
    """A survey of several years in which every year has objects of its own.

    Parameters
    ----------
    years : int
        From the first night on; each has as many nights and objects as `write_survey` is told.
    first_year : float
        Objects of the first year over those of a later one.
    grows : bool
        Whether counts grow and references change; if not, every year is like the first (a stationary survey).
    coverage_growth : float
        Relative growth a year of the rate at which fields are visited. Measured: ncovhist has the median 102 in 2018
        November and 1 302 in 2023 October.
    renewal : float
        Share of fields that get a new reference in a year, of `constants.RENEWED_FRAMES`. An assumption that is hard
        on classifiers: all 131 real packets of 2023 (asteroids and VS) that we have still have a reference of 2018.
    """

    years: int = 7
    first_year: float = 1.0
    grows: bool = True
    coverage_growth: float = 0.107
    renewal: float = 0.12

    def pairs(self, year: int, pairs_per_class: int) -> int:
        """Objects with two alerts a class that a year has, the first being 0."""
        return round(pairs_per_class * (self.first_year if year == 0 else 1))

    def rejuvenation(self, year: int) -> float:
        """Days by which a year's counts lag behind its date."""
        return 0.0 if self.grows else DAYS_PER_YEAR * year

    def rate_factor(self, jd: float) -> float:
        """Visits to a field over those of the first year."""
        return 1 + self.coverage_growth * max(0.0, (jd - c.JD_START) / DAYS_PER_YEAR - 1) if self.grows else 1.0

    def draw_reference(self, year: int, rng: np.random.Generator) -> Reference:
        """Reference of a field in a year."""
        renewed = rng.random() > (1 - self.renewal) ** (year if self.grows else 0)
        return Reference(c.RENEWED_FRAMES) if renewed else FIRST_REFERENCE
