"""Metadata features of one alert and their standardisation (thesis sections 3.1.2 and 3.5.2; decisions M1 to M10).

Every consumer (extraction, TFRecords, training, prediction, forest) gets its features here and nowhere else.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from twostamp.alerts.values import read_isdiffpos
from twostamp.data.feature_lists import ALERCE23, ALL_FEATURES, DELTAJD_FLOOR, FEATURE_LISTS
from twostamp.utils.coordinates import sky_coordinates
from twostamp.utils.files import write_file
from twostamp.utils.typing import Floats, Floats32

_CLIPS: dict[str, tuple[float, float]] = {
    **{f"{name}{k}": (-1, np.inf) for name in ("sgscore", "distpsnr") for k in (1, 2, 3)},
    "distnr": (-1, np.inf),
    "magnr": (-1, np.inf),
    "fwhm": (-np.inf, 10),
    "ndethist": (-np.inf, 20),
    "ncovhist": (-np.inf, 3000),
    "non_detections": (-np.inf, 2000),
    "chinr": (-1, 15),
    "sharpnr": (-1, 1.5),
}
"""ALeRCE's bounds, of recipe ``alerce`` (M5); distnr and magnr are only in ``alerce26``."""

PACKET_FIELDS: tuple[str, ...] = (
    *(name for name in (*ALERCE23, "elong", "rb", "distnr", "magnr") if name[:4] not in ("ecl_", "gal_", "non_")),
    "fid",
)
"""Fields of ``candidate`` that `compute_features` reads; 18 of them are Table 3.2's."""

_MADE_OF: dict[str, tuple[str, ...]] = dict.fromkeys(("ecl_lat", "ecl_long", "gal_lat", "gal_long"), ("ra", "dec"))
_MADE_OF |= dict.fromkeys(("non_detections", "redetection_ratio"), ("ndethist", "ncovhist"))
_MADE_OF |= dict.fromkeys(("fid_g", "fid_r"), ("fid",))

RECIPES = ("thesis", "alerce")


def feature_names_two(list_name: str) -> tuple[str, ...]:
    """Names of the two-alert vector: first alert, second alert, ln deltajd.

    Examples
    --------
    >>> len(feature_names_two("thesis26")), len(feature_names_two("thesis24")), feature_names_two("alerce23")[-2:]
    (53, 49, ('sharpnr_2', 'ln_deltajd'))
    """
    return (*(f"{name}_{alert}" for alert in (1, 2) for name in FEATURE_LISTS[list_name]), "ln_deltajd")


def packet_fields(list_name: str) -> tuple[str, ...]:
    """Fields of ``candidate`` that the features of a list are made of; none for no list.

    Raises
    ------
    KeyError
        A computed feature is not in ``_MADE_OF``.

    Examples
    --------
    >>> [name for name in PACKET_FIELDS if name not in packet_fields("alerce23")]
    ['elong', 'rb', 'distnr', 'magnr', 'fid']
    """
    used = {field for name in FEATURE_LISTS.get(list_name, ()) for field in _MADE_OF.get(name, (name,))}
    if unknown := used - set(PACKET_FIELDS):
        raise KeyError(f"_MADE_OF does not name the fields of {', '.join(sorted(unknown))}")
    return tuple(name for name in PACKET_FIELDS if name in used)


def compute_features(table: pd.DataFrame, alert: int) -> Floats32:
    """Features of the first or second alert of each object, before clipping, filling and scaling.

    Parameters
    ----------
    table : DataFrame, n rows
        Columns ``<candidate field>_<alert>`` as packets carry them.
    alert : {1, 2}

    Returns
    -------
    ndarray, shape (n, len(ALL_FEATURES)), float32
        NaN where the packet has no finite number; sentinels of -999 stay. Angles are in degrees, distances in arcsec.
        ``isdiffpos`` is 1 or 0 (M3); ``fid`` is one-hot, all zero for any filter but g and r (M4).

    Raises
    ------
    KeyError
        A candidate field is missing.
    ValueError
        isdiffpos holds a value that means neither positive nor negative.

    Examples
    --------
    >>> packet = dict.fromkeys(PACKET_FIELDS, 1.0) | {"isdiffpos": "t", "fid": 2, "sgscore1": None}
    >>> packet |= {"ndethist": 4, "ncovhist": 4}
    >>> features = compute_features(pd.DataFrame([packet]).add_suffix("_1"), alert=1)
    >>> [float(features[0, ALL_FEATURES.index(name)]) for name in ("sgscore1", "fid_r", "redetection_ratio")]
    [nan, 1.0, 0.75]
    """
    absent = [name for name in PACKET_FIELDS if f"{name}_{alert}" not in table]
    if absent:
        raise KeyError(f"the table lacks {', '.join(f'{name}_{alert}' for name in absent)}: extract the alerts again")
    column = {name: table[f"{name}_{alert}"] for name in PACKET_FIELDS}
    values = {name: _as_float(column[name]) for name in PACKET_FIELDS if name != "isdiffpos"}
    values["isdiffpos"] = _read_isdiffpos(column["isdiffpos"])
    values["fid_g"], values["fid_r"] = values["fid"] == 1, values["fid"] == 2
    values["non_detections"] = values["ncovhist"] - values["ndethist"]
    earlier = np.maximum(values["ndethist"] - 1, 0)
    values["redetection_ratio"] = earlier / np.where(values["ncovhist"] > 0, values["ncovhist"], np.nan)
    on_sky = np.isfinite(values["ra"]) & (np.abs(values["dec"]) <= 90)
    values |= sky_coordinates(*(np.where(on_sky, values[name], np.nan) for name in ("ra", "dec")))
    with np.errstate(over="ignore"):
        features = np.column_stack([values[name] for name in ALL_FEATURES]).astype(np.float32)
    features[~np.isfinite(features)] = np.nan
    return features


def _as_float(column: pd.Series) -> NDArray[Any]:
    return pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)


def _read_isdiffpos(column: pd.Series) -> NDArray[Any]:
    known = {value: read_isdiffpos(value) for value in column.dropna().unique()}
    return column.map(known).to_numpy(dtype=np.float64)


def count_other_filters(table: pd.DataFrame, alert: int) -> int:
    """Alerts in neither g nor r (fid 3 is the i band), whose one-hot is all zero (M4)."""
    return int((~table[f"fid_{alert}"].isin([1, 2])).sum())


def ln_deltajd(deltajd: ArrayLike) -> Floats32:
    """Natural logarithm of the days between the alerts, floored at 1e-4 d (M7).

    Examples
    --------
    >>> ln_deltajd([0.0, 1.0]).round(2).tolist()
    [-9.210000038146973, 0.0]
    """
    return np.log(np.maximum(np.asarray(deltajd, dtype=np.float64), DELTAJD_FLOOR)).astype(np.float32)


def clip_bounds(names: Sequence[str], recipe: str) -> tuple[Floats, Floats]:
    """Lowest and highest value that a recipe lets every feature have; recipe ``thesis`` clips nothing (M5)."""
    none = (-np.inf, np.inf)
    low, high = zip(*(_CLIPS.get(name, none) if recipe == "alerce" else none for name in names), strict=True)
    return np.array(low), np.array(high)


def _fill(features: ArrayLike, names: Sequence[str], recipe: str) -> Floats:
    """Copy in float64, clipped by the recipe's bounds, 0 where there is no finite number."""
    filled = np.array(features, dtype=np.float64)
    filled[~np.isfinite(filled)] = np.nan  # before a bound makes a number of it
    filled = filled.clip(*clip_bounds(names, recipe))
    filled[np.isnan(filled)] = 0.0
    return filled


def _moments(values: Floats) -> tuple[Floats, Floats]:
    # a constant column's computed std can be 1e-17 instead of 0, so constancy is asked of the extremes
    constant = np.ptp(values, axis=0) == 0
    return values.mean(axis=0), np.where(constant, 1.0, values.std(axis=0))


@dataclass(frozen=True)
class Scaler:
    """Mean and standard deviation of the training set, with the names they belong to (section 3.5.2, M5, M6, M8).

    Parameters
    ----------
    recipe : {"thesis", "alerce"}
        ``thesis``: NaN -> 0, then standardise. ``alerce``: clip to `_CLIPS` first.
    names : tuple of str
        Feature columns: `ALL_FEATURES`, as it was when the scaler was fitted.
    mean, std : ndarray, shape (2, len(names)), float64
        Of the first and the second alert. A constant feature has std 1.
    deltajd : (float, float)
        Mean and standard deviation of ln deltajd.

    Examples
    --------
    >>> features = np.random.default_rng(1).normal(5, 3, (100, len(ALL_FEATURES)))
    >>> scaler = Scaler.fit(features, features, ln_deltajd(np.arange(100)))
    >>> scaled = scaler.transform(features, alert=1, list_name="alerce23")
    >>> scaled.shape, abs(float(scaled.mean())) < 1e-6, round(float(scaled.std()), 3)
    ((100, 23), True, 1.0)
    """

    recipe: str
    names: tuple[str, ...]
    mean: Floats
    std: Floats
    deltajd: tuple[float, float]

    def __post_init__(self) -> None:
        if not np.isfinite(np.concatenate([self.mean, self.std, [self.deltajd]], axis=None)).all():
            raise ValueError("a scaler holds a number that is not finite: fit it again")

    @classmethod
    def fit(cls, features_1: ArrayLike, features_2: ArrayLike, ln_days: ArrayLike, recipe: str = "thesis") -> Scaler:
        """Measure the training set.

        Parameters
        ----------
        features_1, features_2 : array_like, shape (n, len(ALL_FEATURES))
            Raw, of `compute_features`. Where there are no second alerts, give the first ones again.
        ln_days : array_like, shape (n,)
            Of `ln_deltajd`.
        recipe : {"thesis", "alerce"}
        """
        if recipe not in RECIPES:
            raise ValueError(f"metadata recipe {recipe!r} is not one of {', '.join(RECIPES)}")
        moments = [_moments(_fill(features, ALL_FEATURES, recipe)) for features in (features_1, features_2)]
        mean, std = (np.stack(column) for column in zip(*moments, strict=True))
        days = np.asarray(ln_days, dtype=np.float64)
        centre, spread = _moments(np.nan_to_num(days, posinf=0.0, neginf=0.0).reshape(-1, 1))
        return cls(recipe, ALL_FEATURES, mean, std, (float(centre[0]), float(spread[0])))

    def transform(self, features: ArrayLike, alert: int, list_name: str) -> Floats32:
        """Standardise raw features, shape (n, at least len(names)), and keep those of one list, in its order."""
        known = np.asarray(features)[:, : len(self.names)]
        scaled = (_fill(known, self.names, self.recipe) - self.mean[alert - 1]) / self.std[alert - 1]
        return scaled[:, [self.names.index(name) for name in FEATURE_LISTS[list_name]]].astype(np.float32)

    def transform_deltajd(self, ln_days: ArrayLike) -> Floats32:
        """Standardise ln deltajd of any shape."""
        return ((np.asarray(ln_days, dtype=np.float64) - self.deltajd[0]) / self.deltajd[1]).astype(np.float32)

    @property
    def digest(self) -> str:
        """Return a digest of its numbers, by which a training set is recognised again."""
        numbers = np.concatenate([self.mean, self.std, [self.deltajd]], axis=None)
        return hashlib.sha256(numbers.tobytes()).hexdigest()[:16]

    def save(self, path: Path | str) -> None:
        """Write one JSON file, exact to the last bit."""
        content = {
            "recipe": self.recipe,
            "names": list(self.names),
            "mean": self.mean.tolist(),
            "std": self.std.tolist(),
            "deltajd": list(self.deltajd),
        }
        write_file(Path(path), json.dumps(content, indent=1) + "\n")

    @classmethod
    def load(cls, path: Path | str, names: Sequence[str] = ALL_FEATURES) -> Scaler:
        """Read `save`'s file, which may lack the last of `names`: features that were added since.

        Raises
        ------
        ValueError
            It was fitted on other features than the first of `names`, or the same in another order.
        """
        content = json.loads(Path(path).read_text())
        if content["names"] != list(names)[: len(content["names"])]:
            differing = sorted(set(content["names"]) ^ set(names)) or ["their order"]
            raise ValueError(f"{path} was fitted on other features ({', '.join(differing)}): write the records again")
        mean, std = np.array(content["mean"]), np.array(content["std"])
        centre, spread = content["deltajd"]
        return cls(content["recipe"], tuple(content["names"]), mean, std, (centre, spread))
