"""Notebook 11: the mix of classes of a night, and candidates per supernova."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from twostamp.evaluation.bootstrap import Bootstrap
from twostamp.evaluation.calibration import apply_temperature, estimate_shares
from twostamp.params import Parameters
from twostamp.utils.typing import Floats

_SHARE_RESAMPLES = 200
_SHARE_OBJECTS = 20_000  # among which an estimate of shares is resampled


def choose_mix(
    predictions: Path, temperature: float, classes: Sequence[str], params: Parameters, truth: Path | None = None
) -> tuple[pd.DataFrame, str]:
    """Shares of the classes among a night's new objects, and where they come from.

    Parameters
    ----------
    predictions : Path
        ``predictions.parquet`` of notebook 07; need not exist.
    temperature : float
        Of the model that made them.
    classes : sequence of str
    params : Parameters
        night_mix, seed.
    truth : Path, optional
        A simulated survey's ``truth.csv``: the mix that the estimate should find.

    Returns
    -------
    mix : DataFrame
        class, share, low, high (95 %, bootstrap over the objects), called (share of the objects that the model calls
        so) and true, as far as they are known.
    source : str
        One sentence.
    """
    if params.night_mix:
        given = np.array([params.night_mix.get(name, 0.0) for name in classes])
        return pd.DataFrame({"class": list(classes), "share": given / given.sum()}), "given by the parameter night_mix"
    if not predictions.exists():
        equal = np.full(len(classes), 1 / len(classes))
        return pd.DataFrame({"class": list(classes), "share": equal}), "equal, for this run has no unlabelled objects"
    table = pd.read_parquet(predictions, columns=["objectId", *classes])
    probabilities = apply_temperature(table[list(classes)].to_numpy(), temperature)
    mix = _estimate_mix(probabilities, classes, params)
    if truth is not None and truth.exists():
        known = pd.read_csv(truth).set_index("objectId")["classALeRCE"].reindex(table["objectId"])
        mix["true"] = mix["class"].map(known.value_counts(normalize=True)).fillna(0.0)
    return mix, f"estimated from the {len(table)} unlabelled objects of notebook 07 (expectation and maximisation)"


def _estimate_mix(probabilities: Floats, classes: Sequence[str], params: Parameters) -> pd.DataFrame:
    """Estimated shares of the classes with intervals, and the shares that the model calls."""
    rng = np.random.default_rng([params.seed, 12])
    sample = probabilities[rng.permutation(len(probabilities))[:_SHARE_OBJECTS]]
    drawn = Bootstrap(_SHARE_RESAMPLES, params.seed).weights(np.zeros(len(sample)), rng)
    low, high = np.quantile([estimate_shares(sample, weights) for weights in drawn], [0.025, 0.975], axis=0)
    called = np.bincount(probabilities.argmax(axis=1), minlength=len(classes)) / len(probabilities)
    shares = estimate_shares(probabilities)
    return pd.DataFrame({"class": list(classes), "share": shares, "low": low, "high": high, "called": called})


def summarise_candidates(curves: Mapping[str, pd.DataFrame], completeness: float = 0.9) -> list[str]:
    """Say how many candidates each model needs at one completeness, one sentence a table of `tabulate_candidates`."""
    sentences = []
    for title, table in curves.items():
        rows = table[table["completeness"] == completeness].to_dict("records")
        values = [f"{r['model']} {r['candidates']:.1f} ({r['low']:.1f} to {r['high']:.1f})" for r in rows]
        sentences.append(f"{title}: candidates per true one at {completeness:.0%}: {', '.join(values)}")
    return sentences
