"""Notebook 16: one night scored as it arrives, and the results to inspect the morning after."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from twostamp import stream
from twostamp.alerts.archive_listing import measure_sources
from twostamp.data.arrays import read_metadata
from twostamp.data.decode import decode_objects
from twostamp.data.features import ALL_FEATURES, FEATURE_LISTS, compute_features, packet_fields
from twostamp.data.sources import find_archive
from twostamp.evaluation.drift import count_bins, measure_psi
from twostamp.params import ParameterError, Parameters
from twostamp.utils.typing import Floats, Floats32

CROWDED = 1e-3
"""Probability, over all exposures of a night, below which an exposure has more alerts than expected by chance."""
_FEWEST = 10  # first alerts that a night needs for a comparison


@dataclass(frozen=True)
class ScoredNight:
    """Predictions of a night, their model, and the account of the alerts in sentences."""

    answers: stream.Night
    model: stream.NightModel
    account: Sequence[str]


def score_run(root: Path, params: Parameters) -> ScoredNight:
    """Score a night of a run with its own model, or with the package's; skip alerts that are already scored.

    For a simulated survey all previous nights are scored too; without them there would be no second alerts.

    Parameters
    ----------
    root : Path
        Folder of the run; receives ``tonight``.
    params : Parameters
        Uses archive and night.
    """
    archive = find_archive(params, root / "data")
    night = params.night or _find_busiest(archive, params)
    source = stream.ArchiveSource(archive, _list_nights(archive, night) if params.simulated else [night])
    model = stream.NightModel.of_run(root / "models")
    with stream.open_sink(root / "tonight" / stream.FILE, model) as sink:
        stream.score_stream(source, stream.Scorer(model), sink, threading.Event())
        account = [*stream.describe_account(sink), *source.damage, *sink.check_account()]
        answers = stream.Night(sink.path, night)
    stream.export_night(answers, root / "tonight")
    return ScoredNight(answers, model, account)


def _list_nights(archive: str, last: str) -> list[str]:
    found = (Path(source).name.partition(".")[0].rpartition("_")[2] for source in measure_sources(archive))
    return [night for night in found if night <= last]


def _find_busiest(archive: str, params: Parameters) -> str:
    if not params.simulated:
        raise ParameterError("night: name the one to score, YYYYMMDD, for the run has real alerts")
    sizes = measure_sources(archive)
    return _list_nights(max(sizes, key=lambda source: sizes[source]), "9")[0]


def count_answers(night: stream.Night) -> pd.DataFrame:
    """Count the predictions of a night by class and number of alerts, and those with each flag."""
    answers = _of_night(night)
    named = answers["n_alerts"].map({1: "at the first alert", 2: "at the second"})
    table = pd.crosstab(answers["class"], named).reindex(list(night.classes), fill_value=0)
    flags = {"seen before": "first_unseen", "Solar System": "solar_system_match", "near a star": "near_star"}
    for title, name in (flags | {"negative": "negative_difference"}).items():
        table[title] = answers.groupby("class")[name].sum().reindex(table.index, fill_value=0)
    return table.reset_index()


def _of_night(night: stream.Night) -> pd.DataFrame:
    answers = night.answers()
    return answers[answers["night"] == night.night].reset_index(drop=True)


def measure_latency(night: stream.Night) -> pd.DataFrame:
    """Measure the seconds from an alert's arrival to its prediction: median, 99th percentile and longest."""
    answers = _of_night(night)
    seconds = (answers["scored"] - answers["received"]).to_numpy()
    values = {"p50": np.quantile(seconds, 0.5), "p99": np.quantile(seconds, 0.99), "longest": seconds.max()}
    return pd.DataFrame([{"answers": len(seconds)} | {f"{name} (s)": value for name, value in values.items()}])


def list_candidates(night: stream.Night, wanted: str, most: int) -> pd.DataFrame:
    """List the most probable objects of a class in a night, by their latest predictions.

    Returns
    -------
    DataFrame
        object_id, p at the first alert and at the second (NaN without one), jd, ra, dec, magnitude and flags.
    """
    answers = night.answers()
    column = f"p_{wanted}"
    last = answers.drop_duplicates("object_id", keep="last").nlargest(most, column)
    by_alerts = answers.pivot_table(index="object_id", columns="n_alerts", values=column, aggfunc="last")
    probabilities = by_alerts.reindex(index=last["object_id"], columns=[1, 2]).to_numpy()
    flags = ["first_unseen", "solar_system_match", "near_star", "negative_difference"]
    said = [", ".join(name for name in flags if row[name]) for row in last.to_dict("records")]
    table = last[["object_id", "jd", "ra", "dec", "magpsf"]].assign(flags=said)
    table.insert(1, "at the first", probabilities[:, 0])
    table.insert(2, "at the second", probabilities[:, 1])
    return table.reset_index(drop=True)


def count_exposures(night: stream.Night) -> pd.DataFrame:
    """Count the predictions of each exposure, whose alerts share one time.

    An exposure with far more than its share most likely has a failed calibration, whatever classes are predicted.

    Returns
    -------
    DataFrame
        jd, answers, commonest class, chance (Poisson probability that any exposure of the night has so many) and
        crowded.
    """
    answers = _of_night(night)
    groups = answers.groupby("jd")
    table = groups.size().rename("answers").reset_index()
    table["commonest class"] = groups["class"].agg(lambda names: names.mode()[0]).to_numpy()
    tail = stats.poisson.sf(table["answers"] - 1, table["answers"].median() + 1)
    table["chance"] = np.minimum(tail * len(table), 1.0)
    return table.assign(crowded=table["chance"] < CROWDED)


def watch_drift(scored: ScoredNight, first_alerts: Path) -> pd.DataFrame:
    """Compare the first alerts of a night with the run's, feature by feature.

    The run's first alerts are cut, in order of time, into batches of the night's size, and each batch is compared with
    the others. A feature raises an alarm if the night differs more from the run than any of these batches does, weather
    included. By chance this happens in one of so many nights. Coordinates, which follow the seasons, are left out.

    Parameters
    ----------
    scored : ScoredNight
    first_alerts : Path
        ``first_alerts.parquet`` of the run.

    Returns
    -------
    DataFrame
        feature, index (PSI), largest (of the run's own batches), batches, rings; largest excess first. Empty with fewer
        than ten first alerts, or too few of the run's own for two batches.
    """
    names = FEATURE_LISTS["drift_safe_no_coordinates"]
    columns = ["feature", "index", "largest", "batches", "rings"]
    tonight = _read_features(scored.answers, names)
    table = read_metadata(first_alerts).sort_values("jd_1")
    n_batches = len(table) // max(len(tonight), 1)
    if len(tonight) < _FEWEST or n_batches < 2:
        return pd.DataFrame(columns=columns)
    reference = _pick(compute_features(table, 1), names)
    batch = np.arange(len(table)) * n_batches // len(table)
    own = [_compare(reference[batch != k], reference[batch == k]) for k in range(n_batches)]
    index, largest = _compare(reference, tonight), np.max(own, axis=0)
    rows = zip(names, index, largest, [n_batches] * len(names), index > largest, strict=True)
    order = np.argsort(largest - index, kind="stable")
    return pd.DataFrame(rows, columns=columns).iloc[order].reset_index(drop=True)


def _compare(reference: Floats, batch: Floats) -> Floats:
    """Compute the stability index of each feature, shape (p,)."""
    of_batch = np.repeat([0, 1], [len(reference), len(batch)])
    return np.asarray(measure_psi(count_bins(np.concatenate([reference, batch]), of_batch, 2, 1), 1)[0])


def _read_features(night: stream.Night, names: Sequence[str]) -> Floats:
    """Read the features of a night's first alerts whose packets are stored, shape (n, names)."""
    answers = _of_night(night)
    kept = answers[(answers["n_alerts"] == 1) & answers["has_packets"]]
    packets = [(night.packet(candid),) for candid in kept["candid_1"]]
    if not packets:
        return np.empty((0, len(names)))
    return _pick(compute_features(decode_objects(packets, 1, fields=packet_fields("drift_safe")), 1), names)


def _pick(features: Floats32, names: Sequence[str]) -> Floats:
    return np.asarray(features, float)[:, [ALL_FEATURES.index(name) for name in names]]


def summarise_night(scored: ScoredNight, candidates: pd.DataFrame, drift: pd.DataFrame, exposures: pd.DataFrame) -> str:
    """Summarise a night in a few lines."""
    night, rings = scored.answers, drift[drift["rings"].astype(bool)]["feature"].tolist()
    crowded = exposures[exposures["crowded"]]
    best = candidates[["at the first", "at the second"]].ffill(axis=1)["at the second"]
    name = ", ".join(filter(None, [f"night {night.night}", night.mark]))
    lines = [
        f"{name}: {len(_of_night(night))} answers by {scored.model.name}",
        f"candidates with a probability of 0.5 or more: {int((best >= 0.5).sum())} of the {len(candidates)} listed",
        f"drift alarm: {', '.join(rings) if rings else 'silent'}",
        f"crowded exposures: {len(crowded)} of {len(exposures)}, with {int(crowded['answers'].sum())} answers",
    ]
    return "\n".join(lines)
