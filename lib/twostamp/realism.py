"""How much the simulated survey looks like real packets: metadata field by field, and a forest tells them apart."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import StratifiedKFold, cross_val_score

from twostamp.alerts.archive import iter_members
from twostamp.alerts.packet import PacketError, read_packets
from twostamp.features import ALL_FEATURES, compute_features
from twostamp.taxonomy import CLASSES, read_labels

SENTINEL = -900.0
"""Values below are ZTF's -999 for "none"; `compare_metadata` reports their share and leaves them out of the rest."""

AGEING = ("ra", "dec", "ndethist", "ncovhist", "non_detections", "redetection_ratio")
"""Never shown to the forest: the field pointed at and the age of the survey, which a few real nights give away."""

COORDINATES = ("ecl_lat", "ecl_long", "gal_lat", "gal_long")
"""Left out as well in the second AUC: 2018's real packets come from few fields, so position alone betrays them."""

MINIMUM = 20
FOLDS = 5


def read_real_alerts(archive: str | Path, labels: str | Path, year: int | None = 2018) -> pd.DataFrame:
    """Read the first packet of every labelled object of a year from an archive of real alerts, without Spark.

    Parameters
    ----------
    archive : str or Path
        As in `twostamp.alerts.archive.list_sources`.
    labels : str or Path
        CSV with the columns of thesis Table 3.4.
    year : int, optional
        Only packets of this year (UTC), so that drift of the survey is not taken for a flaw of the simulation; None for
        all.

    Returns
    -------
    DataFrame
        One row an object, sorted by objectId, with the columns of ``first_alerts.parquet`` but for the stamps:
        objectId, classALeRCE, subclassALeRCE, candid_1, jd_1 and ``<candidate field>_1``. Packets that cannot be read
        are left out (the extraction quarantines and counts them).

    Examples
    --------
    >>> real = read_real_alerts("alerts", "alerts/labels.csv")  # doctest: +SKIP
    """
    rows = [row for member in iter_members(str(archive)) for row in _read_candidates(member.data)]
    alerts = pd.DataFrame(rows)
    if year is not None and len(alerts):
        alerts = alerts[pd.to_datetime(alerts["jd"] - 2440587.5, unit="D").dt.year == year]
    if alerts.empty:
        raise ValueError(f"{archive} holds no alert of {year or 'any year'}: choose another archive or year")
    alerts = alerts.sort_values(["objectId", "jd", "candid"]).drop_duplicates("objectId")
    fields = alerts.drop(columns="objectId").add_suffix("_1").assign(objectId=alerts["objectId"])
    return read_labels(labels)[0].merge(fields, on="objectId").sort_values("objectId", ignore_index=True)


def _read_candidates(data: bytes) -> list[dict[str, object]]:
    try:
        return [packet["candidate"] | {"objectId": packet["objectId"]} for packet in read_packets(data)]
    except PacketError:
        return []


def compare_metadata(simulated: pd.DataFrame, real: pd.DataFrame, classes: Sequence[str] = CLASSES) -> pd.DataFrame:
    """Set simulated first alerts against real ones, per class and feature.

    Parameters
    ----------
    simulated, real : DataFrame
        First alerts with classALeRCE and ``<candidate field>_1``: ``first_alerts.parquet`` and `read_real_alerts`.
    classes : sequence of str
        Classes to compare; one that either side lacks is left out.

    Returns
    -------
    DataFrame
        Columns classALeRCE, feature, n_simulated, n_real, median, q16 and q84 of both (``median_simulated``, ...), the
        share of -999 and missing values of both (``missing_simulated``, ...) and ``ks``, the Kolmogorov-Smirnov
        distance (0 equal, 1 disjoint; NaN where a side has no value). Sentinels count as missing.

    Examples
    --------
    >>> from twostamp.features import PACKET_FIELDS
    >>> row = dict.fromkeys(PACKET_FIELDS, 1.0) | {"isdiffpos": "t"}
    >>> table = pd.DataFrame([row] * 3).add_suffix("_1").assign(classALeRCE="VS")
    >>> float(compare_metadata(table, table, ["VS"])["ks"].max())
    0.0
    """
    sides = [_features_by_class(table) for table in (simulated, real)]
    return pd.DataFrame(
        [
            {"classALeRCE": name, "feature": feature} | _compare(*(side[name][:, column] for side in sides))
            for name in classes
            if all(name in side for side in sides)
            for column, feature in enumerate(ALL_FEATURES)
        ]
    )


def _features_by_class(table: pd.DataFrame) -> dict[str, NDArray[np.float32]]:
    features = compute_features(table, alert=1)
    names = table["classALeRCE"].to_numpy()
    return {name: features[names == name] for name in pd.unique(names)}


def _compare(simulated: NDArray[np.float32], real: NDArray[np.float32]) -> dict[str, float]:
    row: dict[str, float] = {"n_simulated": len(simulated), "n_real": len(real)}
    kept = []
    for side, values in (("simulated", simulated), ("real", real)):
        valid = values[values > SENTINEL]
        quantiles = np.quantile(valid, [0.5, 0.16, 0.84]) if len(valid) else [np.nan] * 3
        row |= {f"{name}_{side}": float(value) for name, value in zip(("median", "q16", "q84"), quantiles)}
        row[f"missing_{side}"] = 1 - len(valid) / len(values)
        kept.append(np.sort(valid))
    return row | {"ks": _kolmogorov_smirnov(*kept)}


def _kolmogorov_smirnov(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    if not len(first) or not len(second):
        return float("nan")
    every = np.concatenate([first, second])
    shares = [np.searchsorted(values, every, side="right") / len(values) for values in (first, second)]
    return float(np.abs(shares[0] - shares[1]).max())


def realism_auc(
    simulated: pd.DataFrame,
    real: pd.DataFrame,
    seed: int,
    *,
    coordinates: bool = True,
    classes: Sequence[str] = CLASSES,
) -> pd.DataFrame:
    """How well a random forest tells simulated from real first alerts: 0.5 it cannot, 1 it always can.

    Parameters
    ----------
    simulated, real : DataFrame
        As in `compare_metadata`.
    seed : int
    coordinates : bool
        Whether the forest sees ecliptic and galactic coordinates. It never sees `AGEING`.
    classes : sequence of str
        Only those with 20 or more on both sides are in the result.

    Returns
    -------
    DataFrame
        Columns classALeRCE, n_simulated, n_real, auc_mean, auc_std (ddof 0 over five stratified folds) and ``tells``,
        the three most important features.

    Notes
    -----
    The larger side is thinned to twice the smaller. A high value says that the two differ somewhere in these features,
    for instance because the real ones come from a few nights; `compare_metadata` says where.

    Examples
    --------
    >>> from twostamp.features import PACKET_FIELDS
    >>> rng = np.random.default_rng(1)
    >>> def draw():
    ...     table = pd.DataFrame(rng.normal(size=(200, len(PACKET_FIELDS))), columns=list(PACKET_FIELDS))
    ...     return table.assign(isdiffpos="t").add_suffix("_1").assign(classALeRCE="VS")
    >>> realism_auc(draw(), draw(), seed=1)["auc_mean"].between(0.35, 0.65).all().item()
    True
    """
    hidden = AGEING if coordinates else (*AGEING, *COORDINATES)
    names = [name for name in ALL_FEATURES if name not in hidden]
    columns = [ALL_FEATURES.index(name) for name in names]
    sides = [_features_by_class(table) for table in (simulated, real)]
    rows = []
    for name in classes:
        if all(name in side and len(side[name]) >= MINIMUM for side in sides):
            simulated_rows, real_rows = (side[name][:, columns] for side in sides)
            rows.append({"classALeRCE": name} | _tell_apart(simulated_rows, real_rows, names, seed))
    return pd.DataFrame(rows, columns=["classALeRCE", "n_simulated", "n_real", "auc_mean", "auc_std", "tells"])


def _tell_apart(
    simulated: NDArray[np.float32], real: NDArray[np.float32], names: list[str], seed: int
) -> dict[str, object]:
    rng = np.random.default_rng(seed)
    size = 2 * min(len(simulated), len(real))
    sides = [side[np.sort(rng.permutation(len(side))[:size])] for side in (simulated, real)]
    features = np.nan_to_num(np.concatenate(sides), nan=-999.0)
    is_real = np.repeat([0, 1], [len(side) for side in sides])
    forest = RandomForestClassifier(200, min_samples_leaf=2, class_weight="balanced", random_state=seed, n_jobs=1)
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    scores = cross_val_score(forest, features, is_real, cv=folds, scoring="roc_auc")
    importance = forest.fit(features, is_real).feature_importances_
    return {
        "n_simulated": len(simulated),
        "n_real": len(real),
        "auc_mean": float(scores.mean()),
        "auc_std": float(scores.std()),
        "tells": ", ".join(names[i] for i in np.argsort(-importance)[:3]),
    }
