"""Notebook 11: class mix of a night, and candidates per supernova."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from twostamp.data.tfrecords import Records
from twostamp.evaluation.bootstrap import Bootstrap
from twostamp.evaluation.calibration import apply_temperature, estimate_shares
from twostamp.models.architectures import VARIANTS
from twostamp.models.calibration import Calibration, save_calibration
from twostamp.models.classifier import CARD, load_classifier
from twostamp.params import Parameters
from twostamp.utils.typing import Floats

_SHARE_RESAMPLES = 200
_SHARE_OBJECTS = 20_000  # among which an estimate of shares is resampled


def choose_mix(
    predictions: Path, temperature: float, classes: Sequence[str], params: Parameters, truth: Path | None = None
) -> tuple[pd.DataFrame, Floats, str]:
    """Choose the shares of the classes among a night's new objects, and name their source.

    Parameters
    ----------
    predictions : Path
        ``predictions.parquet`` of notebook 07; need not exist.
    temperature : float
        Temperature of the model that predicted them.
    classes : sequence of str
    params : Parameters
        night_mix, seed.
    truth : Path, optional
        ``truth.csv`` of a simulated survey: the mix that the estimate should find.

    Returns
    -------
    mix : DataFrame
        class, share, low, high (95 %, bootstrap over the objects), called (share of objects predicted as the class) and
        true, as far as available.
    drawn : ndarray, shape (resamples, classes)
        Shares of resampled objects if the mix is an estimate; otherwise the mix itself.
    source : str
        One sentence.
    """
    if params.night_mix:
        given = np.array([params.night_mix.get(name, 0.0) for name in classes])
        given = given / given.sum()
        return pd.DataFrame({"class": list(classes), "share": given}), given[None], "given by the parameter night_mix"
    if not predictions.exists():
        equal = np.full(len(classes), 1 / len(classes))
        table = pd.DataFrame({"class": list(classes), "share": equal})
        return table, equal[None], "equal, for this run has no unlabelled objects"
    table = pd.read_parquet(predictions, columns=["objectId", *classes])
    probabilities = apply_temperature(table[list(classes)].to_numpy(), temperature)
    mix, drawn = _estimate_mix(probabilities, classes, params)
    if truth is not None and truth.exists():
        known = pd.read_csv(truth).set_index("objectId")["classALeRCE"].reindex(table["objectId"])
        mix["true"] = mix["class"].map(known.value_counts(normalize=True)).fillna(0.0)
    return (
        mix,
        drawn,
        f"estimated from the {len(table)} unlabelled objects of notebook 07 (expectation and maximisation)",
    )


def save_calibrations(models: Path, records: Records, shares: Sequence[float], coverage: float) -> list[str]:
    """Fit each packaged model's calibration for a night on validation, and save it with the model.

    Parameters
    ----------
    models : Path
        The run's folder of models.
    records : Records
    shares : sequence of float
        Shares of the classes among a night's new objects.
    coverage : float
        Coverage of conformal sets.

    Returns
    -------
    list of str
        Names of the models.
    """
    names = [path.parent.name for path in sorted(models.glob(f"*/{CARD}")) if path.parent.name in VARIANTS]
    for name in names:
        classifier = load_classifier(models / name)
        arrays = classifier.load_split(records, "validation")
        cases = {classifier.n_alerts: classifier}
        if name.startswith("one_or_two"):
            cases[1] = classifier.at_first_alert()
        fitted = {}
        for n_alerts, each in cases.items():
            probabilities = each.predict_arrays(arrays)
            fitted[n_alerts] = Calibration.fit(probabilities, arrays.labels, coverage, shares)
        save_calibration(models / name, fitted)
    return names


def _estimate_mix(probabilities: Floats, classes: Sequence[str], params: Parameters) -> tuple[pd.DataFrame, Floats]:
    """Estimate the shares of the classes with intervals and the predicted shares; return the resampled shares too."""
    rng = np.random.default_rng([params.seed, 12])
    sample = probabilities[rng.permutation(len(probabilities))[:_SHARE_OBJECTS]]
    weights = Bootstrap(_SHARE_RESAMPLES, params.seed).weights(np.zeros(len(sample)), rng)
    drawn = np.stack([estimate_shares(sample, each) for each in weights])
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    called = np.bincount(probabilities.argmax(axis=1), minlength=len(classes)) / len(probabilities)
    shares = estimate_shares(probabilities)
    table = pd.DataFrame({"class": list(classes), "share": shares, "low": low, "high": high, "called": called})
    return table, drawn


def summarise_mix(mix: pd.DataFrame) -> str:
    """Summarise the errors of the estimated mix and of the predicted shares, if the truth is available.

    Examples
    --------
    >>> mix = pd.DataFrame({"share": [0.5, 0.5], "called": [0.7, 0.3], "true": [0.6, 0.4], "low": 0.45, "high": 0.55})
    >>> summarise_mix(mix)
    'sum of absolute errors: estimated mix 0.20, calls counted 0.20; 0 of 2 classes within the interval of the estimate'
    """
    if "true" not in mix:
        return "how far the mix is from the truth is not known"
    errors = [(mix[name] - mix["true"]).abs().sum() for name in ("share", "called")]
    within = int(mix["true"].between(mix["low"], mix["high"]).sum())
    return (
        f"sum of absolute errors: estimated mix {errors[0]:.2f}, calls counted {errors[1]:.2f}; {within} of {len(mix)} "
        "classes within the interval of the estimate"
    )


def summarise_candidates(curves: Mapping[str, pd.DataFrame], completeness: float = 0.9) -> list[str]:
    """Summarise the candidates that each model needs at one completeness, one sentence per table of
    `tabulate_candidates`."""
    sentences = []
    for title, table in curves.items():
        rows = table[table["completeness"] == completeness].to_dict("records")
        values = [f"{r['model']} {r['candidates']:.1f} ({r['low']:.1f} to {r['high']:.1f})" for r in rows]
        sentences.append(f"{title}: candidates per true one at {completeness:.0%}: {', '.join(values)}")
    return sentences
