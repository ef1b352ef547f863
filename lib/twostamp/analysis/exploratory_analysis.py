"""Exploratory analysis: a sample of every class, its filters, its stamps (thesis section 3.3)."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import ks_2samp
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import StratifiedKFold, cross_val_score

from twostamp.alerts.archive import ArchiveError, iter_members
from twostamp.alerts.cutouts import SIZE, expected_shape
from twostamp.alerts.packet import SENTINEL, read_sound_packets
from twostamp.data.arrays import read_batches, read_metadata, read_triplets
from twostamp.data.features import ALL_FEATURES, FEATURE_LISTS, PACKET_FIELDS, compute_features
from twostamp.data.labels import read_labels
from twostamp.params import Parameters
from twostamp.taxonomy import CLASSES, order_classes
from twostamp.utils.dates import to_timestamps
from twostamp.utils.typing import Floats32

FILTER_PAIRS = ("gg", "gr", "rg", "rr", "other")
EXPLORED = tuple(name for name in FEATURE_LISTS["thesis26"] if not name.startswith("fid_"))
"""The 24 metadata of figures C.1 to C.4: Table 3.2's 18, features derived from them, and elong."""

_FROM_CATALOGUE = "Pan-STARRS1 source closest to the candidate"
_METADATA = (
    ("sgscore1, sgscore2, sgscore3", "", "packet", f"star/galaxy score of the first, second, third {_FROM_CATALOGUE}: "
     "near 1 is a star; -999 without a source"),
    ("distpsnr1, distpsnr2, distpsnr3", "arcsec", "packet", f"distance to the first, second, third {_FROM_CATALOGUE}, "
     "within 30 arcsec; -999 without a source"),
    ("isdiffpos", "", "packet", "1 where science minus template is positive, else 0"),
    ("fwhm", "pixel", "packet", "full width at half maximum of a Gaussian core, of SExtractor on the science image"),
    ("magpsf", "mag", "packet", "magnitude of PSF-fit photometry on the difference image"),
    ("sigmapsf", "mag", "packet", "1 sigma uncertainty of magpsf"),
    ("ra, dec", "deg", "packet", "right ascension and declination, J2000"),
    ("diffmaglim", "mag", "packet", "5 sigma limiting magnitude of the difference image"),
    ("classtar", "", "packet", "star/galaxy classification of SExtractor on the science image"),
    ("ndethist", "", "packet", "detections within 1.5 arcsec since the survey began, to a signal/noise of about 3"),
    ("ncovhist", "", "packet", "times that the position fell on any field and readout channel since the survey began"),
    ("chinr, sharpnr", "", "packet", "chi and sharp of DAOPhot of the closest source of the reference image, "
     "within 30 arcsec"),
    ("ecl_lat, ecl_long", "deg", "ra, dec", "ecliptic latitude and longitude, J2000"),
    ("gal_lat, gal_long", "deg", "ra, dec", "Galactic latitude and longitude"),
    ("non_detections", "", "ncovhist - ndethist", "visits to the position without a detection, approximately"),
    ("elong", "", "packet", "ratio of the major to the minor axis (added by the thesis)"),
    ("fid_g, fid_r", "", "fid", "filter of the alert, one-hot (added by the thesis)"),
    ("deltajd", "day", "jd_2 - jd_1", "time between the two alerts (added by the thesis)"),
)  # fmt: skip


def make_metadata_table() -> pd.DataFrame:
    """Make Table 3.2: every metadatum with its unit, source and description, and the additions of the thesis.

    Returns
    -------
    DataFrame
        Columns metadatum, unit, source, description (section 3.1.2; diffmaglim's 5 sigma comes from ZTF's schema).

    Examples
    --------
    >>> make_metadata_table()["metadatum"].tolist()[-1]
    'deltajd'
    """
    return pd.DataFrame(_METADATA, columns=["metadatum", "unit", "source", "description"])


def read_found(path: Path) -> pd.DataFrame:
    """Read the metadata of ``first_alerts.parquet``; one sentence where no labelled object was found."""
    if (table := read_metadata(path)).empty:
        raise ValueError(
            f"{path} holds no object: the archive has no usable alert of a labelled one; notebook 01 has the account"
        )
    return table


def sample_per_class(table: pd.DataFrame, size: int, seed: int) -> pd.DataFrame:
    """Draw up to `size` objects of every class, independent of the order of the rows (the thesis takes 2000).

    Parameters
    ----------
    table : DataFrame
        Columns objectId and classALeRCE.
    size, seed : int

    Returns
    -------
    DataFrame
        In random order, so that no class is drawn on top of another.

    Examples
    --------
    >>> table = pd.DataFrame({"objectId": list("abcde"), "classALeRCE": ["SN"] * 4 + ["VS"]})
    >>> sample_per_class(table, 2, seed=1)["classALeRCE"].value_counts().to_dict()
    {'SN': 2, 'VS': 1}
    """
    shuffled = table.sort_values("objectId").sample(frac=1, random_state=np.random.default_rng(seed))
    return shuffled.groupby("classALeRCE").head(size).reset_index(drop=True)


def name_filter_pairs(fid_1: pd.Series, fid_2: pd.Series) -> pd.Series:
    """Name the filters of the first and second alert, for example ``gr``; pairs with the i band are ``other`` (figure
    3.6).

    Examples
    --------
    >>> name_filter_pairs(pd.Series([1, 2, 3]), pd.Series([2, 2, 1])).tolist()
    ['gr', 'rr', 'other']
    """
    names = {1: "g", 2: "r"}
    return (fid_1.map(names) + fid_2.map(names)).fillna("other")


def count_whole_stamps(table: pd.DataFrame) -> pd.DataFrame:
    """Count objects with 63 x 63 stamps by class, from their positions on the chip (S1); no stamp is opened.

    Parameters
    ----------
    table : DataFrame
        Columns classALeRCE and xpos_1, ypos_1, xpos_2, ypos_2 (pixels).

    Returns
    -------
    DataFrame
        Columns class, objects, first, second, both: percent of the objects, with ``all`` in the last row.
    """
    whole = pd.DataFrame({name: _are_whole(table, alert) for name, alert in (("first", 1), ("second", 2))})
    whole["both"] = whole["first"] & whole["second"]
    groups = {name: whole[(table["classALeRCE"] == name).to_numpy()] for name in order_classes(table["classALeRCE"])}
    rows = [(name, len(group), *(100 * group.mean()).round(2)) for name, group in (groups | {"all": whole}).items()]
    return pd.DataFrame(rows, columns=["class", "objects", *whole])


def _are_whole(table: pd.DataFrame, alert: int) -> list[bool]:
    positions = zip(table[f"xpos_{alert}"], table[f"ypos_{alert}"], strict=True)
    return [expected_shape(x, y) == (SIZE, SIZE) for x, y in positions]


def explored_metadata(table: pd.DataFrame) -> dict[int, pd.DataFrame]:
    """Return the 24 metadata of annex C for the first and the second alert, with sentinels of -999 set to NaN.

    Returns
    -------
    dict of DataFrame
        Keys 1 and 2; columns `EXPLORED`, rows as in `table`.
    """
    frames = {}
    for alert in (1, 2):
        values = pd.DataFrame(compute_features(table, alert), columns=list(ALL_FEATURES), index=table.index)
        frames[alert] = values[list(EXPLORED)].where(values != SENTINEL)
    return frames


def read_gallery(path: Path, table: pd.DataFrame, per_class: int) -> dict[str, NDArray[Any]]:
    """Read the first alert's stamps of the first objects of every class in `table`.

    Parameters
    ----------
    path : Path
        ``pairs.parquet`` or ``first_alerts.parquet``.
    table : DataFrame
        Columns objectId and classALeRCE, in random order.
    per_class : int

    Returns
    -------
    dict of ndarray, shape (at most per_class, 63, 63, 3), float32
        Stamps by class, in DN, NaN for missing pixels.
    """
    chosen = table.groupby("classALeRCE").head(per_class)
    drawn = pd.concat(read_batches(path, object_ids=chosen["objectId"].tolist())).sort_values("objectId")
    groups = dict(list(drawn.groupby("classALeRCE")))
    return {name: read_triplets(groups[name], alert=1) for name in order_classes(drawn["classALeRCE"])}


_AGEING = ("ra", "dec", "ndethist", "ncovhist", "non_detections", "redetection_ratio")
"""Never used by the forest: position and survey age, which identify a few real nights."""

_COORDINATES = ("ecl_lat", "ecl_long", "gal_lat", "gal_long")
"""Left out of the second AUC too: 2018's real packets come from few fields, so position alone identifies them."""

_MINIMUM, _FOLDS = 15, 5


def read_real_alerts(archive: str | Path, labels: str | Path, year: int | None = 2018) -> pd.DataFrame:
    """Read the first packet of every labelled object of a year from an archive of real alerts, without Spark.

    Parameters
    ----------
    archive : str or Path
        As in `twostamp.alerts.archive.list_sources`.
    labels : str or Path
        CSV with the columns of thesis Table 3.4.
    year : int, optional
        Use only packets of this year (UTC), so that survey drift is not taken for a flaw of the simulation; None for
        all.

    Returns
    -------
    DataFrame
        One row per object, sorted by objectId, with the columns of ``first_alerts.parquet`` except the stamps:
        objectId, classALeRCE, subclassALeRCE, candid_1, jd_1 and ``<candidate field>_1``. Unreadable packets, and those
        after the damage of a tarball, are left out (the extraction quarantines and counts them).

    Raises
    ------
    ValueError
        If the archive holds no alert of the year, or none of a labelled object.
    """
    rows: list[dict[str, object]] = []
    with contextlib.suppress(ArchiveError):  # raised at the end, after all readable sources
        for member in iter_members(str(archive)):
            packets = read_sound_packets(member.data, history=False)
            rows += [packet["candidate"] | {"objectId": packet["objectId"]} for packet in packets]
    alerts = pd.DataFrame(rows)
    if year is not None and len(alerts):
        alerts = alerts[to_timestamps(alerts["jd"]).dt.year == year]
    if alerts.empty:
        raise ValueError(f"{archive} holds no alert of {year or 'any year'}: choose another archive or year")
    alerts = alerts.sort_values(["objectId", "jd", "candid"]).drop_duplicates("objectId")
    fields = alerts.drop(columns="objectId").add_suffix("_1").assign(objectId=alerts["objectId"])
    table = read_labels(labels)[0].merge(fields, on="objectId").sort_values("objectId", ignore_index=True)
    if table.empty:
        raise ValueError(f"{labels} has no label of the {len(alerts)} objects of {year or 'any year'} in {archive}")
    return table.assign(**{name: np.nan for field in PACKET_FIELDS if (name := f"{field}_1") not in table})


def find_real_alerts(params: Parameters) -> tuple[pd.DataFrame | None, str]:
    """Read real first alerts to compare a simulated survey with; None and the reason if a run has none.

    The comparison is optional: an error in `real_archive` is returned as the reason, and stops nothing.
    """
    if not params.simulated or not params.real_archive:
        return None, "the run is not simulated, or real_archive names no real packets"
    try:
        return read_real_alerts(params.real_archive, f"{params.real_archive}/labels.csv"), ""
    except (OSError, ValueError) as error:
        return None, str(error)


def compare_metadata(simulated: pd.DataFrame, real: pd.DataFrame) -> pd.DataFrame:
    """Compare simulated first alerts with real ones, per class and feature.

    Parameters
    ----------
    simulated, real : DataFrame
        First alerts with classALeRCE and ``<candidate field>_1``, from ``first_alerts.parquet`` and `read_real_alerts`.

    Returns
    -------
    DataFrame
        Columns classALeRCE (classes on both sides), feature, n_simulated, n_real. For both sides median, q16 and q84
        (``median_simulated``, ...) and the share of -999 and missing values (``missing_simulated``, ...). ``ks`` is the
        Kolmogorov-Smirnov distance (0 equal, 1 disjoint; NaN if a side has no value).

    Examples
    --------
    >>> from twostamp.data.features import PACKET_FIELDS
    >>> row = dict.fromkeys(PACKET_FIELDS, 1.0) | {"isdiffpos": "t"}
    >>> table = pd.DataFrame([row] * 3).add_suffix("_1").assign(classALeRCE="VS")
    >>> float(compare_metadata(table, table)["ks"].max())
    0.0
    """
    return pd.DataFrame(
        [
            {"classALeRCE": name, "feature": feature} | _compare(*values)
            for name, first, second in _pair_classes(simulated, real)
            for feature, *values in zip(ALL_FEATURES, first.T, second.T)
        ]
    )


def _pair_classes(simulated: pd.DataFrame, real: pd.DataFrame) -> Iterator[tuple[str, Floats32, Floats32]]:
    """Yield each class present on both sides, with the features of its alerts on either side."""
    tables = [(compute_features(table, alert=1), table["classALeRCE"].to_numpy()) for table in (simulated, real)]
    for name in CLASSES:
        first, second = (features[classes == name] for features, classes in tables)
        if len(first) and len(second):
            yield name, first, second


def _compare(simulated: Floats32, real: Floats32) -> dict[str, float]:
    row: dict[str, float] = {"n_simulated": len(simulated), "n_real": len(real)}
    kept = []
    for side, values in (("simulated", simulated), ("real", real)):
        valid = values[values > SENTINEL]
        quantiles = np.quantile(valid, [0.5, 0.16, 0.84]) if len(valid) else [np.nan] * 3
        row |= {f"{name}_{side}": float(value) for name, value in zip(("median", "q16", "q84"), quantiles)}
        row[f"missing_{side}"] = 1 - len(valid) / len(values)
        kept.append(valid)
    known = all(map(len, kept))
    return row | {"ks": float(ks_2samp(*kept, method="asymp").statistic) if known else np.nan}


def realism_auc(simulated: pd.DataFrame, real: pd.DataFrame, seed: int, *, coordinates: bool = True) -> pd.DataFrame:
    """Measure how well a random forest separates simulated from real first alerts (AUC): 0.5 not at all, 1 always.

    Parameters
    ----------
    simulated, real : DataFrame
        As in `compare_metadata`.
    seed : int
    coordinates : bool
        Whether the forest uses ecliptic and galactic coordinates. It never uses the position or counts that grow with
        the survey's age.

    Returns
    -------
    DataFrame
        One row per class with 15 alerts or more on both sides: classALeRCE, n_simulated, n_real, auc_mean, auc_std and
        ``tells``. The std has ddof 0, over five stratified folds; ``tells`` names the three most important features.

    Notes
    -----
    The larger side is thinned to twice the smaller. A high value means that the two differ in some of these features,
    for instance because the real alerts come from few nights. `compare_metadata` shows in which.
    """
    hidden = _AGEING if coordinates else (*_AGEING, *_COORDINATES)
    names = [name for name in ALL_FEATURES if name not in hidden]
    columns = [ALL_FEATURES.index(name) for name in names]
    rows = [
        {"classALeRCE": name} | _tell_apart(first[:, columns], second[:, columns], names, seed)
        for name, first, second in _pair_classes(simulated, real)
        if min(len(first), len(second)) >= _MINIMUM
    ]
    return pd.DataFrame(rows, columns=["classALeRCE", "n_simulated", "n_real", "auc_mean", "auc_std", "tells"])


def _tell_apart(simulated: Floats32, real: Floats32, names: list[str], seed: int) -> dict[str, object]:
    rng = np.random.default_rng(seed)
    size = 2 * min(len(simulated), len(real))
    sides = [side[np.sort(rng.permutation(len(side))[:size])] for side in (simulated, real)]
    features = np.nan_to_num(np.concatenate(sides), nan=-999.0)
    is_real = np.repeat([0, 1], [len(side) for side in sides])
    forest = RandomForestClassifier(200, min_samples_leaf=2, class_weight="balanced", random_state=seed, n_jobs=1)
    folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=seed)
    scores = cross_val_score(forest, features, is_real, cv=folds, scoring="roc_auc")
    importance = forest.fit(features, is_real).feature_importances_
    return {
        "n_simulated": len(simulated),
        "n_real": len(real),
        "auc_mean": float(scores.mean()),
        "auc_std": float(scores.std()),
        "tells": ", ".join(names[i] for i in np.argsort(-importance)[:3]),
    }
