"""Notebook 03: tables of the data set."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from twostamp.alerts.packet import SENTINEL
from twostamp.data.features import ALL_FEATURES, Scaler
from twostamp.data.splits import SPLITS, count_subclasses, level_subclasses
from twostamp.taxonomy import LABEL_COLUMNS
from twostamp.utils.typing import Floats32


def summarise_sentinels(features: Floats32, scalers: Sequence[Scaler]) -> pd.DataFrame:
    """Measure the effect of -999 sentinels on the statistics of a feature, by recipe (M5).

    Parameters
    ----------
    features : ndarray, shape (n, len(ALL_FEATURES)), float32
        Raw features of the first alerts of the training set.
    scalers : sequence of Scaler
        Scalers of that training set, one per recipe.

    Returns
    -------
    DataFrame
        One row per feature with sentinels: their share in per cent, then mean, standard deviation and spread for each
        recipe. Spread is the standard deviation of the real values after standardising (1 without sentinels).
    """
    rows = []
    for column, (name, values) in enumerate(zip(ALL_FEATURES, features.T, strict=True)):
        missing = values <= SENTINEL
        if not missing.any() or missing.all():
            continue
        row = {"feature": name, "sentinels %": 100 * missing.mean()}
        for scaler in scalers:
            mean, std = scaler.mean[0, column], scaler.std[0, column]
            row |= {f"mean {scaler.recipe}": mean, f"std {scaler.recipe}": std}
            row[f"spread {scaler.recipe}"] = np.nanstd(values[~missing], dtype=np.float64) / std
        rows.append(row)
    columns = [f"{statistic} {scaler.recipe}" for scaler in scalers for statistic in ("mean", "std", "spread")]
    return pd.DataFrame(rows, columns=["feature", "sentinels %", *columns]).round(3)


def make_split_table(table: pd.DataFrame) -> pd.DataFrame:
    """Make Table 3.5: training, validation and test objects by subclass, their total and percentage.

    Parameters
    ----------
    table : DataFrame
        Table from `split_objects`.

    Returns
    -------
    DataFrame
        Columns class, subclass, training, validation, test; last rows ``Total`` and ``%``.

    Examples
    --------
    >>> table = pd.DataFrame({"classALeRCE": "SN", "subclassALeRCE": "SNIa", "split": ["train"] * 3 + ["test"]})
    >>> make_split_table(table).to_csv(index=False).split()
    ['class,subclass,training,validation,test', 'SN,SNIa,3,0,1', 'Total,,3,0,1', '%,,75.00,0.00,25.00']
    """
    labels = LABEL_COLUMNS[1:]
    counts = pd.crosstab([table[name] for name in labels], table["split"]).reindex(columns=SPLITS, fill_value=0)
    rows = count_subclasses(table)[labels].join(counts, on=labels)
    rows.columns = pd.Index(["class", "subclass", "training", "validation", "test"])
    totals = rows[["training", "validation", "test"]].sum()
    shares = (100 * totals / totals.sum()).map("{:.2f}".format)
    footer = pd.DataFrame([{"class": "Total", "subclass": "", **totals}, {"class": "%", "subclass": "", **shares}])
    return pd.concat([rows.astype(object), footer], ignore_index=True)


def level_subclasses_by_loop(counts: Mapping[str, int], cap: int) -> dict[str, int]:
    """Run algorithm B.1 literally, as the reference for `level_subclasses` (annex B).

    Examples
    --------
    >>> level_subclasses_by_loop({"QSO": 900, "AGN": 900, "Blazar": 40}, cap=301)
    {'QSO': 131, 'AGN': 130, 'Blazar': 40}
    """
    levelled = dict(counts)
    while sum(levelled.values()) > cap:
        largest = max(levelled.values())
        levelled[min(name for name, count in levelled.items() if count == largest)] -= 1
    return levelled


def summarise_levelling(counts: pd.DataFrame, cap: int) -> pd.DataFrame:
    """Apply algorithm B.1 to a data set: objects before and after, in closed form and by the literal loop.

    Parameters
    ----------
    counts : DataFrame
        Columns classALeRCE, subclassALeRCE, objects, from `twostamp.data.splits.count_subclasses`.
    cap : int
        Objects per class, at most.

    Returns
    -------
    DataFrame
        Columns class, subclass, before, after, after by the loop.

    Examples
    --------
    >>> counts = pd.DataFrame({"classALeRCE": "SN", "subclassALeRCE": ["SNIa", "SLSN"], "objects": [9, 2]})
    >>> summarise_levelling(counts, cap=6).to_csv(index=False).split()[-2:]
    ['SN,SNIa,9,4,4', 'SN,SLSN,2,2,2']
    """
    table = counts.rename(columns={"classALeRCE": "class", "subclassALeRCE": "subclass", "objects": "before"})
    ways = {"after": level_subclasses, "after by the loop": level_subclasses_by_loop}
    for _, part in table.groupby("class"):
        sizes = dict(zip(part["subclass"], part["before"].tolist(), strict=True))
        for column, level in ways.items():
            table.loc[part.index, column] = part["subclass"].map(level(sizes, cap))
    return table.astype(dict.fromkeys(ways, int))
