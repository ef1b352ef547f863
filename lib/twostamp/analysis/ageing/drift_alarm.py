"""How long before accuracy falls does the drift alarm ring?"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import isotonic_regression

from twostamp.analysis.ageing.simulated_survey import FORWARD, make_survey, read_years
from twostamp.analysis.ageing.yearly import YearlyPredictions, average_recalls, resample_recalls
from twostamp.data.features import ALL_FEATURES, FEATURE_LISTS, compute_features
from twostamp.evaluation.bootstrap import Bootstrap, Estimate
from twostamp.evaluation.drift import (
    Alarm,
    StationaryModel,
    calibrate_alarm,
    check_alarm,
    count_bins,
    count_false_alarms,
    measure_psi,
    psi,
)
from twostamp.params import Parameters
from twostamp.utils.typing import Floats, Ints

_FALL = 0.02
"""Loss of accuracy that counts as a fall."""
MONTHS = 12
MONITORED = ("thesis26", "drift_safe")
"""Lists of features that have an alarm."""


@dataclass(frozen=True)
class MonitoredSurvey:
    """The features of a survey, batch by batch, with an alarm set on its first year.

    Attributes
    ----------
    alarm : Alarm
    counts : ndarray, shape (batches, p, bins), int64
        Of `twostamp.evaluation.drift.count_bins`.
    index : ndarray, shape (batches after the first year, p)
        Stability index.
    checked : DataFrame
        False alarms in stationary surveys, of `twostamp.evaluation.drift.check_alarm`.
    """

    alarm: Alarm
    counts: Ints
    index: Floats
    checked: pd.DataFrame

    def resample_index(self, bootstrap: Bootstrap) -> Floats:
        """Indices of resampled batches, shape (resamples, batches, p), without the bias of resampling.

        A resample of a batch differs from the reference by the batch's noise twice; what is added on average is taken
        off.
        """
        rng, n_reference = bootstrap.generator(), self.alarm.n_reference
        reference, later = self.counts[:n_reference].sum(axis=0), self.counts[n_reference:]
        sizes = later.sum(axis=-1)
        shares = later / np.maximum(sizes, 1)[..., None]
        shares[sizes == 0, 0] = 1
        drawn = np.stack([psi(reference, rng.multinomial(sizes, shares)) for _ in range(bootstrap.resamples)])
        return drawn - (drawn.mean(axis=0) - np.nan_to_num(self.index))


def monitor_survey(table: pd.DataFrame, list_name: str, params: Parameters) -> MonitoredSurvey:
    """Set an alarm on the first year of a survey, check it on stationary surveys, and index the other years.

    Coordinates have no alarm: they follow the seasons, so that every batch differs from its year in them.

    Parameters
    ----------
    table : DataFrame
        Of `read_years`, of ``first_alerts.parquet``.
    list_name : str
        Of features.
    params : Parameters
        ageing_years, alarm_batches, alarm_surveys, seed.
    """
    names = FEATURE_LISTS[f"{list_name}_no_coordinates"]
    features, batch = np.nan_to_num(read_features(table, names)), table["batch"].to_numpy()
    n_reference, n_batches = params.alarm_batches, params.alarm_batches * params.ageing_years
    known = batch < n_reference
    model = StationaryModel.fit(features[known], batch[known])
    sizes = np.bincount(batch, minlength=n_batches).tolist()
    options: dict[str, Any] = {"surveys": params.alarm_surveys, "seed": params.seed}
    alarm = calibrate_alarm(model, sizes, n_reference, names, **options)
    counts = count_bins(features, batch, n_batches, n_reference)
    checked = check_alarm(alarm, model, sizes, **options)
    return MonitoredSurvey(alarm, counts, measure_psi(counts, n_reference), checked)


def read_features(table: pd.DataFrame, names: tuple[str, ...]) -> Floats:
    """Raw features of the first alerts, shape (objects, names)."""
    return np.asarray(compute_features(table, 1), float)[:, [ALL_FEATURES.index(name) for name in names]]


def tabulate_false_alarms(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Put counts of false alarms, of `twostamp.evaluation.drift.check_alarm`, together, the list in ``features``."""
    return pd.concat(tables, names=["features"]).reset_index("features") if tables else pd.DataFrame()


def check_whole_surveys(data: Path, params: Parameters) -> pd.DataFrame:
    """Count false alarms in whole simulated surveys that do not age, each with alarms set on its own first year.

    Returns
    -------
    DataFrame
        Of `tabulate_false_alarms`; empty if the run has no such surveys.
    """
    tables = [
        read_years(make_survey(data, params, number=number) / "first_alerts.parquet", params)
        for number in range(1, params.stationary_surveys + 1)
        if params.simulated
    ]
    counted = {}
    for name in MONITORED if tables else ():
        surveys = [monitor_survey(table, name, params) for table in tables]
        counted[name] = count_false_alarms([survey.alarm.excess(survey.index) > 1 for survey in surveys])
    return tabulate_false_alarms(counted)


def find_fall(accuracy: Floats, weights: Floats, before: float) -> int:
    """First batch in which accuracy, made monotone, lies 2 points below what it was; the number of batches for none.

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
    fallen = known[fitted < before - _FALL]
    return int(fallen[0]) if len(fallen) else len(accuracy)


def measure_lead(
    predictions: YearlyPredictions, survey: MonitoredSurvey, list_name: str, bootstrap: Bootstrap
) -> dict[str, object]:
    """When the alarm rings, when accuracy has fallen by two points, and the time between, in months.

    Returns
    -------
    dict
        features, alarm and fall (months after the first year, at the end of the batch; NaN for never), lead with low
        and high (95 %, bootstrap over objects, repetitions and batches), and the shares of resamples without an alarm
        and without a fall, whose fall is put at the end of the survey, so that the lead is a lower bound there.
    """
    n_batches, per_year = len(survey.index), survey.alarm.n_reference
    falls = _find_falls(predictions, survey, list_name, bootstrap)
    alarms = survey.alarm.first(np.concatenate([survey.index[None], survey.resample_index(bootstrap)]))
    leads = np.where(alarms >= 0, falls - alarms, np.minimum(falls - n_batches, 0)) * MONTHS / per_year
    return {
        "features": list_name,
        "alarm": (alarms[0] + 1) * (MONTHS / per_year) if alarms[0] >= 0 else np.nan,
        "fall": (falls[0] + 1) * (MONTHS / per_year) if falls[0] < n_batches else np.nan,
        **Estimate.from_resamples(leads[0], leads[1:]).to_row("lead"),
        "no alarm": float((alarms[1:] < 0).mean()),
        "no fall": float((falls[1:] == n_batches).mean()),
    }


def _find_falls(predictions: YearlyPredictions, survey: MonitoredSurvey, list_name: str, bootstrap: Bootstrap) -> Ints:
    """Batch after the first year in which accuracy falls, shape (1 + resamples,): the objects as they are first."""
    n_batches = len(survey.index)
    groups = np.where(predictions.years > 1, predictions.batches - survey.alarm.n_reference + 1, 0)
    alone = replace(predictions, correct={list_name: predictions.correct[list_name]})
    found = average_recalls(resample_recalls(alone, groups, FORWARD, bootstrap)[list_name])
    accuracy = np.full((1 + bootstrap.resamples, n_batches + 1), np.nan)
    accuracy[:, np.unique(groups)] = np.concatenate([found.value[None], found.drawn])
    weights = np.bincount(groups, minlength=n_batches + 1)[1:].astype(float)
    return np.array([find_fall(each[1:], weights, each[0]) for each in accuracy])


def summarise_leads(leads: pd.DataFrame, checked: pd.DataFrame, data: str) -> list[str]:
    """One sentence a list: false alarms, alarm, fall and lead.

    Parameters
    ----------
    leads : DataFrame
        Rows of `measure_lead`.
    checked : DataFrame
        Of `tabulate_false_alarms`.
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
        late = "warned too late" if row["high"] < 0 else "cannot tell whether in time"
        lines.append(
            f"{data}, {row['features']}: alarm {rung}, accuracy {fell}, lead {row['lead']:.0f} months "
            f"[{row['low']:.0f}, {row['high']:.0f}] ({'warned in time' if row['low'] > 0 else late}; "
            f"no fall in {row['no fall']:.0%} of the resamples); false alarms in {rate} stationary surveys"
        )
    return lines
