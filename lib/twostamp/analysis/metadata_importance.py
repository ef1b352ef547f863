"""Notebook 08: ablations, and the thesis's claims about metadata."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from twostamp.data.tfrecords import Records
from twostamp.models.results import SearchResults, TrialResult, package_winners
from twostamp.models.search import make_repeats, run_trials
from twostamp.params import Parameters

_HIGH_SHARE = 0.25
"""Definition of "among the most important": the first quarter of the ranking. The thesis gives no number."""

FILTERS = ("fid_g_1", "fid_r_1", "fid_g_2", "fid_r_2")


def check_claims(importance: pd.DataFrame) -> pd.DataFrame:
    """Check the thesis's claims about the importance of metadata (sections 6.7, 6.11 and 7.1).

    Parameters
    ----------
    importance : DataFrame
        `Forests.importance`.

    Returns
    -------
    DataFrame
        One row per claim: claim, section, holds (by impurity, the thesis's measure), ranks of the features concerned,
        then the same by permutation.

    Examples
    --------
    >>> from twostamp.data.features import feature_names_two
    >>> names = feature_names_two("thesis26")
    >>> ranks = range(1, 54)
    >>> table = pd.DataFrame({"feature": names, "impurity_rank": ranks, "permutation_rank": ranks})
    >>> check_claims(table)["impurity holds"].tolist()
    [False, False, False, False, False]
    """
    n = len(importance)
    high = round(_HIGH_SHARE * n)
    rules = [
        ("deltajd is the most important", "6.7, 7.1", ("ln_deltajd",), 1, 1),
        *(
            (f"{name} of both alerts is among the first {high} of {n}", section, (f"{name}_1", f"{name}_2"), 1, high)
            for name, section in (("distpsnr1", "6.7, 6.11"), ("magpsf", "6.7, 6.11"), ("ndethist", "6.11"))
        ),
        ("the filters of both alerts are last", "6.7", FILTERS, n + 1 - len(FILTERS), n),
    ]
    ranks = importance.set_index("feature")
    rows = []
    for claim, section, names, first, last in rules:
        row: dict[str, object] = {"claim": claim, "section": section}
        for measure in ("impurity", "permutation"):
            places = ranks.loc[[name for name in names if name in ranks.index], f"{measure}_rank"]
            row[f"{measure} holds"] = bool(len(places)) and bool(places.between(first, last).all())
            row[f"{measure} ranks"] = ", ".join(map(str, places))
        rows.append(row)
    return pd.DataFrame(rows)


def train_ablations(
    variants: Sequence[str],
    best: TrialResult | None,
    records: Records,
    models: Path,
    params: Parameters,
    data_note: str = "",
) -> dict[str, SearchResults]:
    """Train stacked classifiers with fewer inputs (sections 6.8 and 6.9), and save the best of each.

    Returns finished trials by variant, with the hyper-parameters of `best`; empty for a run without a stacked
    classifier.
    """
    if best is None:
        return {}
    values, count = best.hyperparameters, params.ablation_repetitions
    trials = [trial for variant in variants for trial in make_repeats(variant, values, count, params.seed)]
    results = run_trials(trials, records, models / "ablations", params)
    package_winners(results, records, models, params, data_note)
    trained = {variant: results.of(variant).done for variant in variants}
    return {variant: trials for variant, trials in trained.items() if trials}
