"""Names and order of the metadata features of one alert (thesis section 3.5.2; decisions M1, M2, M9, M10)."""

ALERCE23 = (
    *("sgscore1", "distpsnr1", "sgscore2", "distpsnr2", "sgscore3", "distpsnr3", "isdiffpos", "fwhm", "magpsf"),
    *("sigmapsf", "ra", "dec", "diffmaglim", "classtar", "ndethist", "ncovhist", "ecl_lat", "ecl_long", "gal_lat"),
    *("gal_long", "non_detections", "chinr", "sharpnr"),
)
_THESIS26 = (*ALERCE23, "elong", "fid_g", "fid_r")
_AGEING = ("ndethist", "ncovhist", "non_detections")
SURVEY_AGE = (*_AGEING, "redetection_ratio")
"""Features that are made of the visits to a position since the survey began, and change as it ages."""

COORDINATES = ("ra", "dec", "ecl_lat", "ecl_long", "gal_lat", "gal_long")
"""Features that describe an object's position on the sky, and nothing of the object itself."""

_AFTER_DIFFMAGLIM = ALERCE23.index("diffmaglim") + 1

ALL_FEATURES: tuple[str, ...] = (*_THESIS26, "rb", "distnr", "magnr", "redetection_ratio")
"""All features of `twostamp.data.features.compute_features`, in the order of records and scalers."""

FEATURE_LISTS: dict[str, tuple[str, ...]] = {
    "alerce23": ALERCE23,
    "thesis26": _THESIS26,
    "alerce26": (*ALERCE23[:_AFTER_DIFFMAGLIM], "rb", "distnr", "magnr", *ALERCE23[_AFTER_DIFFMAGLIM:]),
    "thesis24": tuple(name for name in _THESIS26 if name not in ("elong", "non_detections")),
    "drift_safe": (*(name for name in _THESIS26 if name not in _AGEING), "redetection_ratio"),
}
"""Named lists of features per alert (M1, M2, M10).

The thesis trains with ``alerce23`` and ``thesis26`` on one and two alerts. ``alerce26`` has the order of ALeRCE's
published checkpoint. ``thesis24`` is one alert's part of the literal 49 of section 3.5.2 (2 x 24 + deltajd).
``drift_safe`` (M9) replaces the three counts that grow with the survey's age by one ratio that does not,
redetection_ratio = (ndethist - 1) / ncovhist. It is the share of visits to this position with an earlier detection.
(Without the - 1 an object detected once has 1 / ncovhist, which ages: between real asteroids of 2018 and 2023 its
stability index is 4.6.)
``..._no_coordinates`` leave out all `COORDINATES`, which a classifier may use in place of the stamps.
"""

FEATURE_LISTS |= {
    f"{name}_no_coordinates": tuple(feature for feature in FEATURE_LISTS[name] if feature not in COORDINATES)
    for name in ("thesis26", "drift_safe")
}

DELTAJD_FLOOR = 1e-4
"""Days between two alerts that count as the fewest, 8.6 s (M7)."""
