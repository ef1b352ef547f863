"""How long before accuracy falls does the drift alarm ring?"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import isotonic_regression

from twostamp.analysis.ageing.simulated_survey import FORWARD, make_survey, read_years
from twostamp.analysis.ageing.yearly import Answers, resample_recalls
from twostamp.data.features import ALL_FEATURES, COORDINATES, FEATURE_LISTS, compute_features
from twostamp.evaluation.bootstrap import mean_known, percentile_interval
from twostamp.evaluation.drift import (
    LEVEL,
    Alarm,
    StationaryModel,
    calibrate_alarm,
    check_alarm,
    count_bins,
    find_edges,
    measure_psi,
    psi,
    summarise,
)
from twostamp.params import Parameters

Floats = NDArray[np.float64]
FALL = 0.02
"""Loss of accuracy that counts as a fall."""
PER_YEAR = 12
LISTS = ("thesis26", "drift_safe")
"""Lists of features that are watched and judged."""


@dataclass(frozen=True)
class Watch:
    """A survey as an alarm on one list of features sees it.

    Attributes
    ----------
    alarm : Alarm
    features : ndarray, shape (n, p)
    batch : ndarray of int, shape (n,)
    n_batches : int
    index : ndarray, shape (batches after the first year, p)
    checked : DataFrame
        False alarms in stationary surveys, of `twostamp.evaluation.drift.check_alarm`.
    """

    alarm: Alarm
    features: Floats
    batch: NDArray[np.int64]
    n_batches: int
    index: Floats
    checked: pd.DataFrame


def watched_features(list_name: str) -> tuple[str, ...]:
    """Features of a list that an alarm watches: all but the coordinates, which follow the seasons."""
    return tuple(name for name in FEATURE_LISTS[list_name] if name not in COORDINATES)


def check_whole_surveys(data: Path, params: Parameters) -> pd.DataFrame:
    """Count false alarms in whole simulated surveys that do not age, each with alarms set on its own first year.

    Returns
    -------
    DataFrame
        features, then as of `twostamp.evaluation.drift.check_alarm`; empty if the run has none.
    """
    tables = [
        read_years(make_survey(data, params, number=number) / "first_alerts.parquet", params)
        for number in range(1, params.stationary_surveys + 1)
        if params.simulated
    ]
    counted = {}
    for name in LISTS if tables else ():
        watches = [watch_survey(table, params, watched_features(name)) for table in tables]
        counted[name] = summarise([watch.alarm.excess(watch.index) > 1 for watch in watches])
    return pd.concat(counted, names=["features"]).reset_index("features") if counted else pd.DataFrame()


def resample_indices(watch: Watch, resamples: int, seed: int) -> Floats:
    """Indices of resampled batches, shape (resamples, batches, p), without the bias of resampling.

    A resample of a batch differs from the reference by the batch's noise twice; what is added on average is taken off.
    """
    rng, n_reference = np.random.default_rng(seed), watch.alarm.n_reference
    known = watch.features[watch.batch < n_reference]
    counts = count_bins(watch.features, find_edges(known), watch.batch, watch.n_batches)
    later = counts[n_reference:]
    sizes = later.sum(axis=-1)
    shares = later / np.maximum(sizes, 1)[..., None]
    shares[sizes == 0, 0] = 1
    drawn = np.stack([psi(counts[:n_reference].sum(axis=0), rng.multinomial(sizes, shares)) for _ in range(resamples)])
    return drawn - (drawn.mean(axis=0) - np.nan_to_num(watch.index))


def find_fall(accuracy: Floats, weights: Floats, before: float) -> int:
    """First batch in which accuracy, made monotone, lies `FALL` below what it was; the number of batches for none.

    Parameters
    ----------
    accuracy, weights : ndarray, shape (batches,)
        NaN where nothing was tested.
    before : float
        Accuracy of the first year.

    Examples
    --------
    >>> find_fall(np.array([0.9, 0.91, 0.89, 0.8]), np.ones(4), before=0.9), find_fall(np.ones(3), np.ones(3), 0.9)
    (3, 3)
    """
    known = np.flatnonzero(~np.isnan(accuracy))
    fitted = isotonic_regression(accuracy[known], weights=weights[known], increasing=False).x
    fallen = known[fitted < before - FALL]
    return int(fallen[0]) if len(fallen) else len(accuracy)


def measure_lead(answers: Answers, watch: Watch, list_name: str, params: Parameters) -> dict[str, object]:
    """When the alarm rings, when accuracy has fallen by two points, and the time between, in months.

    Parameters
    ----------
    answers : Answers
    watch : Watch
    list_name : str
        Whose models and, in `watch`, whose features.
    params : Parameters

    Returns
    -------
    dict
        features, alarm and fall (months after the first year, at the end of the batch; NaN for never), lead with low
        and high (95 %, bootstrap over objects, repetitions and batches), and the shares of resamples without an alarm
        and without a fall, whose fall is put at the end of the survey, so that the lead is a lower bound there.
    """
    tested, later = answers.tested[FORWARD], answers.years > 1
    groups = np.where(later, answers.batches - watch.alarm.n_reference + 1, 0)
    options = {"resamples": params.bootstrap_resamples, "seed": params.seed}
    alone = replace(answers, right={list_name: answers.right[list_name]})
    values, drawn = resample_recalls(alone, groups, tested, **options)[list_name]
    present = np.unique(groups)
    n_batches = watch.n_batches - watch.alarm.n_reference
    weights = np.bincount(groups, minlength=n_batches + 1)[1:].astype(float)
    everything = np.full((params.bootstrap_resamples + 1, n_batches + 1), np.nan)
    everything[:, present] = mean_known(np.concatenate([values[None], drawn]), axis=-1)
    falls = np.array([find_fall(accuracy[1:], weights, accuracy[0]) for accuracy in everything])
    index = np.concatenate([watch.index[None], resample_indices(watch, params.bootstrap_resamples, params.seed)])
    alarms = watch.alarm.first(index)
    leads = np.where(alarms >= 0, falls - alarms, np.minimum(falls - n_batches, 0)) * PER_YEAR / params.alarm_batches
    month = PER_YEAR / params.alarm_batches
    low, high = percentile_interval(leads[1:], LEVEL)
    return {
        "features": list_name,
        "alarm": (alarms[0] + 1) * month if alarms[0] >= 0 else np.nan,
        "fall": (falls[0] + 1) * month if falls[0] < n_batches else np.nan,
        "lead": leads[0],
        "low": low,
        "high": high,
        "no alarm": float((alarms[1:] < 0).mean()),
        "no fall": float((falls[1:] == n_batches).mean()),
    }


def describe_leads(leads: pd.DataFrame, checked: pd.DataFrame, data: str) -> list[str]:
    """One sentence a list: false alarms, alarm, fall and lead.

    Parameters
    ----------
    leads : DataFrame
        Rows of `measure_lead`.
    checked : DataFrame
        Of `twostamp.evaluation.drift.check_alarm`, with the column features.
    data : str
        What the alerts are.
    """
    lines = []
    alarms = checked[checked["what"] == "surveys"].set_index("features")
    for row in leads.to_dict("records"):
        false = alarms.loc[row["features"]]
        rate = f"{100 * false['share']:.1f} % [{100 * false['low']:.1f}, {100 * false['high']:.1f}] of {false['n']}"
        rung = "never rings" if np.isnan(row["alarm"]) else f"rings by month {row['alarm']:.0f}"
        fell = "does not fall" if np.isnan(row["fall"]) else f"has fallen by month {row['fall']:.0f}"
        if row["low"] > 0:
            verdict = "warned in time"
        else:
            verdict = "warned too late" if row["high"] < 0 else "cannot tell whether in time"
        lines.append(
            f"{data}, {row['features']}: alarm {rung}, accuracy {fell}, lead {row['lead']:.0f} months "
            f"[{row['low']:.0f}, {row['high']:.0f}] ({verdict}; no fall in {row['no fall']:.0%} of the resamples); "
            f"false alarms in {rate} stationary surveys"
        )
    return lines


WATCHED: tuple[str, ...] = tuple(name for name in FEATURE_LISTS["thesis26"] if name not in COORDINATES)
"""Features of the alarm. Sky coordinates follow the seasons, so that every batch differs from its year in them."""


def watch_survey(table: pd.DataFrame, params: Parameters, names: Sequence[str] = WATCHED) -> Watch:
    """Set an alarm on the first year of a survey, check it on stationary surveys, and watch the other years.

    Parameters
    ----------
    table : DataFrame
        Of `twostamp.analysis.ageing.simulated_survey.read_years`, of ``first_alerts.parquet``.
    params : Parameters
        ageing_years, alarm_batches, alarm_surveys, seed.
    names : sequence of str
        Features.
    """
    features, batch = np.nan_to_num(select(compute_features(table, 1), names)), table["batch"].to_numpy()
    n_reference, n_batches = params.alarm_batches, params.alarm_batches * params.ageing_years
    known = batch < n_reference
    model = StationaryModel.fit(features[known], batch[known])
    sizes = np.bincount(batch, minlength=n_batches).tolist()
    options: dict[str, Any] = {"surveys": params.alarm_surveys, "seed": params.seed}
    alarm = calibrate_alarm(model, sizes, n_reference, names, **options)
    checked = check_alarm(alarm, model, sizes, **options)
    return Watch(alarm, features, batch, n_batches, measure_psi(features, batch, n_batches, n_reference), checked)


def select(features: ArrayLike, names: Sequence[str] = WATCHED) -> Floats:
    """Keep some columns of `twostamp.data.features.compute_features`."""
    return np.asarray(features, float)[:, [ALL_FEATURES.index(name) for name in names]]
