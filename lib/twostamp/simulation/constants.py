"""Every number that the simulated survey rests on, with its source.

"measured" means on the real packets of 2018 to 2025 that the project tests with. "assumption" means ours, chosen to be
plausible and never tuned on a classifier's accuracy. Magnitudes are AB, lengths pixels of 1.012 arcsec unless
stated otherwise, fluxes DN of a 30 s science exposure.
"""

from typing import Final

from twostamp.alerts.cutouts import CHIP_HEIGHT as CHIP_HEIGHT
from twostamp.alerts.cutouts import CHIP_WIDTH as CHIP_WIDTH
from twostamp.alerts.cutouts import SIZE

# --- the camera: Masci et al. 2019 (PASP 131, 018003), Dekany et al. 2020 (PASP 132, 038001)
PIXEL_SCALE: Final = 1.012  # arcsec
STAMP: Final = SIZE
GAIN: Final = 6.2  # electrons per DN
READ_NOISE: Final = 1.6  # DN
NOISE_EXCESS: Final = 1.25  # measured: pixel noise over photon and read noise (flat field, resampling)
COLUMN_NOISE: Final = 0.08  # measured: column pattern in units of the pixel noise
SATURATION: Final = 25_000.0  # DN; measured: stars brighter than 12.5 to 13 mag are flat
FILTERS: Final = {1: "g", 2: "r", 3: "i"}

# --- nights (assumptions, compared with diffmaglim, magzpsci and sky level of real packets)
SEEING: Final = {1: 1.97, 2: 1.86, 3: 1.76}  # FWHM in pixels, median, without the pixel; with it 2.1, 2.0, 1.9 arcsec
SEEING_NIGHT_SCATTER: Final = 0.30  # ln, night to night; measured: medians of fwhm from 1.9 to 3.8 pixels
SEEING_VISIT_SCATTER: Final = 0.09  # ln, within a night
PSF_ELLIPTICITY: Final = 0.06  # Rayleigh scale; elong of real asteroids
# a Moffat profile of beta = 3 as three Gaussians: width over FWHM, share of flux (least squares, < 1 % of the peak),
# measured: the wings of asteroids, 3 to 5 pixels from the centre
PSF_WIDTHS: Final = (0.331, 0.537, 1.005)
PSF_SHARES: Final = (0.221, 0.559, 0.220)
ZEROPOINT: Final = {1: 26.35, 2: 26.40, 3: 25.85}  # DN; measured in clear nights
CLOUD_SCALE: Final = 0.15  # mag, exponential: thin cloud and airmass; measured: magzpsci
SKY_LEVEL: Final = {1: 75.0, 2: 155.0, 3: 220.0}  # DN, dark; measured
MOON_LEVEL: Final = {1: 250.0, 2: 300.0, 3: 150.0}  # DN, added at full moon: 1 to 2 mag (Krisciunas and Schaefer 1991)
SKY_SCATTER: Final = 0.18  # ln
TEMPLATE_SEEING: Final = 1.04  # of the filter's median
TEMPLATE_NOISE: Final = {1: 1.3, 2: 1.75, 3: 2.1}  # DN; measured: the sky's noise over the root of 15 exposures
RESAMPLING: Final = (-0.055, 0.11, 1.0, 0.11, -0.055)  # of a coadd, per axis; measured: its noise at lags 1 and 2
TEMPLATE_SATURATION: Final = 30_000.0  # DN
REFERENCE_FRAMES: Final = 15  # measured: the median, and 90 % of them, in every year
RENEWED_FRAMES: Final = 40  # of a reference made anew (`ageing`)

# --- image subtraction (calibrated on neighbours in real difference stamps, ZOGY: Zackay et al. 2016)
REGISTRATION_ERROR: Final = 0.065  # pixels per axis
PSF_ERROR: Final = 0.045  # relative error of the matched width
GAIN_ERROR: Final = 0.008  # relative error of the matched flux
SCORR_EFFICIENCY: Final = 0.70  # measured: scorr over the ideal matched-filter signal to noise
PSF_NOISE_FACTOR: Final = 2.0  # measured: sigmapsf over the ideal error
LIMIT_NOISE_FACTOR: Final = 1.7  # measured: diffmaglim over the ideal 5-sigma limit
FLUX_SYSTEMATIC: Final = 0.015  # sigmapsf from the star under the change
DETECTION_SNR: Final = 5.0  # an alert needs it, in magpsf / sigmapsf

# --- the sky (densities per square arcsec at magnitudes below the reference depth; measured: nmtchps, distnr, distpsnr)
REFERENCE_DEPTH: Final = 23.3
STAR_DENSITY_POLE: Final = 0.00075  # brighter than REFERENCE_DEPTH
STAR_DENSITY_PLANE: Final = 4.5  # ln of the factor between plane and pole
STAR_DENSITY_HEIGHT: Final = 17.0  # deg
STAR_DENSITY_SCATTER: Final = 0.4  # ln: the plane is denser towards its centre
GALAXY_DENSITY: Final = 0.0026
STAR_SLOPE: Final = 0.20  # d log10 N / d mag
GALAXY_SLOPE: Final = 0.47
BRIGHTEST: Final = 10.0
NEIGHBOUR_RADIUS: Final = 92.0  # arcsec; Gaia neighbours are reported to 90
PS1_DEPTH: Final = {"g": 22.1, "r": 22.0, "i": 21.75, "z": 21.2}  # measured: faintest sgmag, srmag, simag, szmag
PS1_RADIUS: Final = 30.0  # arcsec
GAIA_DEPTH: Final = 20.6
GAIA_BRIGHT: Final = 14.0
MASK_MAGNITUDE: Final = 13.0  # stars brighter than this are often masked with NaN
MASK_PROBABILITY: Final = 0.6

# --- the survey
FIRST_NIGHT, LAST_NIGHT = "2018-06-01", "2021-08-31"
NIGHTS_PER_RUN: Final = 8  # observing nights in a block
WEATHER_LOSS: Final = 0.25  # of the nights within a block
JD_START: Final = 2458194.5  # the public survey began on 2018 March 17
COVERAGE_RATE: Final = (
    0.40  # visits a day; measured: ncovhist 100 in 2018 November, 290 on average (ALeRCE's statistics)
)
COVERAGE_SCATTER: Final = 0.7  # ln, from field to field
MINIMUM_DEC: Final = -30.0
POINTING_SCATTER: Final = (4.0, 12.0)  # pixels in x and y between visits; measured
POSITION_ERROR: Final = 0.17  # arcsec per axis; measured: distnr of variable stars
EDGE_SHARE: Final = 0.45  # of positions near a chip edge kept (thesis 3.3: 1.5 % of the first stamps are cut)
I_BAND_SHARE: Final = 0.01
SINGLE_SHARE: Final = 0.20  # objects with one alert only, over those with two or more
LATER_SHARE: Final = 0.18  # of the objects with two alerts, those with a third
PAIR_FACTOR: Final = {"AGN": 1.3, "VS": 1.3}  # more than the others: the cap (B.1) has something to cut
SUBCLASS_SHARE: Final[dict[str, dict[str, float]]] = {  # after thesis Table 3.5
    "AGN": {"QSO": 0.75, "AGN": 0.197, "Blazar": 0.053},
    "SN": {"SNIa": 0.749, "SNII": 0.156, "SNIbc": 0.047, "SNIIn": 0.022, "SLSN": 0.016, "SNIIb": 0.010},
    "VS": {
        "EB/EW": 0.24, "EA": 0.15, "LPV": 0.16, "RRL": 0.16, "YSO": 0.13, "RSCVn": 0.055, "DSCT": 0.04,
        "Ceph": 0.03, "Periodic-Other": 0.03, "ZZ": 0.005,
    },
    "asteroid": {"asteroid": 1.0},
    "bogus": {"bogus": 1.0},
}  # fmt: skip
UNLABELLED_SHARE: Final = {"AGN": 0.17, "SN": 0.08, "VS": 0.40, "asteroid": 0.20, "bogus": 0.15}

# deltajd: share within the night, ln-median and ln-scatter of the days otherwise, share of a long tail.
# Assumptions after thesis 3.3 and figure 3.3: asteroids and SN mostly within a day, AGN and VS alike beyond.
DELTAJD: Final = {
    "AGN": (0.16, 2.0, 1.1, 0.11),
    "SN": (0.62, 1.1, 0.6, 0.01),
    "VS": (0.16, 2.0, 1.1, 0.11),
    "asteroid": (0.93, 3.5, 1.0, 0.02),
    "bogus": (0.25, 2.1, 1.1, 0.07),
}
LONG_GAP = (5.0, 0.6)  # ln-median and ln-scatter of the tail, days
INTRANIGHT_HOURS = (0.5, 4.0)  # uniform; the public survey visits a field twice or more a night
ASTEROID_MINUTES = (0.65, 150.0)  # log-uniform; the shortest real pair is 39 s apart
OTHER_FILTER = {"AGN": 0.5, "SN": 0.68, "VS": 0.5, "asteroid": 0.35, "bogus": 0.4}  # gr or rg rather than gg or rr
OUTSIDE_SSDISTNR: Final = 0.02  # second asteroid alerts with no known body within 10 arcsec
MATCHING_RADIUS: Final = 1.5  # arcsec

# --- sources (assumptions; amplitudes and periods after Catelan and Smith 2015, "Pulsating Stars", and VSX)
# subclass: full amplitude range [mag], period range [days] (log-uniform), shape of the light curve
VARIABLES: Final[dict[str, tuple[tuple[float, float], tuple[float, float], str]]] = {
    "EB/EW": ((0.15, 0.8), (0.23, 1.5), "contact"),
    "EA": ((0.2, 1.5), (0.8, 12.0), "eclipse"),
    "LPV": ((0.15, 2.5), (80.0, 500.0), "sine"),
    "RRL": ((0.3, 1.2), (0.28, 0.85), "sawtooth"),
    "YSO": ((0.2, 2.0), (1.0, 15.0), "noise"),
    "RSCVn": ((0.08, 0.5), (1.0, 40.0), "sine"),
    "DSCT": ((0.08, 0.7), (0.04, 0.25), "sine"),
    "Ceph": ((0.3, 1.2), (1.5, 45.0), "sawtooth"),
    "Periodic-Other": ((0.1, 1.0), (0.3, 60.0), "sine"),
    "ZZ": ((0.1, 0.4), (0.004, 0.015), "sine"),
}
VARIABLE_MAGNITUDE = (12.5, 20.5)
VARIABLE_SLOPE: Final = 0.22
GALACTIC_HEIGHT: Final = {  # deg, scale of exp(-|b| / height); RR Lyrae are of the halo (Sesar et al. 2017), and the
    # catalogues that label other periodic stars hold most of theirs off the plane (Drake et al. 2014: |b| > 20)
    "EB/EW": 45.0, "EA": 25.0, "LPV": 9.0, "RRL": 90.0, "YSO": 5.0, "RSCVn": 35.0, "DSCT": 45.0, "Ceph": 6.0,
    "Periodic-Other": 30.0, "ZZ": 60.0,
}  # fmt: skip
AVOIDANCE: Final = 14.0  # deg, extragalactic objects are hidden by the plane below this
AGN_AMPLITUDE: Final = {"QSO": 0.22, "AGN": 0.18, "Blazar": 0.45}  # mag, standard deviation (MacLeod et al. 2010: 0.2)
AGN_TIMESCALE: Final = 200.0  # days, damped random walk
AGN_MAGNITUDE: Final = {"QSO": (16.3, 21.0), "AGN": (15.8, 20.5), "Blazar": (15.5, 20.8)}
AGN_SLOPE: Final = 0.4  # quasars become many towards 19 mag (Richards et al. 2006)
HOST_BELOW_NUCLEUS: Final = {"QSO": (3.0, 0.8), "AGN": (-0.3, 0.7), "Blazar": (2.0, 1.0)}  # mag fainter, scatter
SUPERNOVAE: Final = {  # rise time [d], decline [mag / d], brightest and faintest peak seen: spectra reach 18.5 to 19.5
    "SNIa": (17.0, 0.06, 16.8, 19.6),  # (Fremling et al. 2020, Perley et al. 2020: the Bright Transient Survey)
    "SNII": (8.0, 0.012, 16.8, 19.6),
    "SNIbc": (16.0, 0.07, 17.0, 19.6),
    "SNIIn": (25.0, 0.015, 17.0, 19.6),
    "SLSN": (40.0, 0.02, 17.6, 20.0),
    "SNIIb": (20.0, 0.06, 17.0, 19.6),
}
HOST_MAGNITUDE = (18.3, 1.8)  # of a supernova, r band; Perley et al. 2020; measured: light of the template around SN
SLSN_HOST_FAINTER: Final = 2.3
HOST_RADIUS: Final = 1.7  # pixels at mag 19, half light; assumption after galaxy counts
HOST_RADIUS_SLOPE: Final = 0.13  # d log10 / d mag
HOST_RADIUS_SCATTER: Final = 0.32  # ln
SERSIC_INDICES = (1.0, 1.0, 1.5, 2.5, 4.0)
SN_OFFSET_SCALE: Final = 1.4  # half-light radii, exponential
SN_OFFSET_MINIMUM: Final = 0.3  # arcsec
ASTEROID_MAGNITUDE = (16.5, 20.6)
ASTEROID_SLOPE: Final = 0.5
ASTEROID_LATITUDE: Final = 9.0  # deg, ecliptic, Laplace scale; half the main belt is inclined by more
EPHEMERIS_ERROR: Final = 0.35  # arcsec per axis
BOGUS_KINDS: Final = {  # of those in fair weather; measured: empty templates, stars at the centre, saturated stars
    "dipole": 0.10, "residual": 0.15, "saturated": 0.15, "hot pixel": 0.24, "cosmic ray": 0.12, "bad column": 0.06,
    "mask": 0.08, "edge": 0.05, "noise": 0.05,
}  # fmt: skip
CLOUDED_BOGUS: Final = 0.20  # through thick cloud, stars whose flux is scaled wrongly; measured: magzpsci below 25
CLOUDED_EXTINCTION = (2.0, 4.5)  # mag
CLOUDED_STAR = (12.8, 15.5)
KNOWN_RECURRENCE = (1.3, 2.0)  # beta law of detections per visit of a known variable; measured: ndethist over ncovhist
KNOWN_SUPERNOVA_DAYS: Final = 40.0  # since the first alert, at most
RENDERED_RADIUS: Final = 1.2  # pixels; smaller galaxies are drawn as points
RENDERED_MAGNITUDE: Final = 20.3  # fainter galaxies are drawn as points
RECURRENCE: Final = 0.03  # chance per earlier visit of a detection too weak for an alert, on a variable or bright star
PASSING_ASTEROID: Final = 0.01  # alerts near the ecliptic with an unrelated known body within 30 arcsec
VISITS_A_NIGHT = (0.45, 0.30, 0.25)  # of an object's field in an observing night: none, one, two
ALERT_CUTS: Final = {  # measured: the ranges in the real packets; ZTF sends no candidate beyond them
    "sigmapsf": (0.0, 0.2169), "elong": (1.0, 1.7), "nneg": (0, 13), "sumrat": (0.35, 1.0), "fwhm": (0.8, 8.0),
    "magdiff": (-1.0, 1.0),
}  # fmt: skip
EXPOSURE_TRIES: Final = 4
