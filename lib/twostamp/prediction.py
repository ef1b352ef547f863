"""Predictions of a search's best two-alert model for objects without a label (thesis section 6.6)."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from tqdm.auto import tqdm

from twostamp.arrays import arrays_from_table, read_batches


def find_best_stacked(models: Path, report_weights: str = "last") -> pd.Series | None:
    """Best repetition of the best stacked combination of a search, by validation accuracy.

    Parameters
    ----------
    models : Path
        Folder ``search`` of a run.
    report_weights : {"last", "best"}
        As for `twostamp.search.read_results`.

    Returns
    -------
    Series or None
        A row of `twostamp.search.read_results`; None if the search has no stacked model.
    """
    from twostamp.search import rank_combinations, read_results, select_trials

    try:
        results = read_results(models, report_weights)
    except FileNotFoundError:
        return None
    stacked = results[(results["variant"] == "stacked") & (results["status"] == "done")]
    if stacked.empty:
        return None
    trials = select_trials(stacked, rank_combinations(stacked).iloc[0])
    return trials.iloc[int(trials["validation_accuracy"].to_numpy().argmax())]


def predict_pairs(
    pairs: Path,
    object_ids: Sequence[str],
    trial: pd.Series,
    records: Path,
    recipe: str = "thesis",
    batch_size: int = 256,
) -> pd.DataFrame:
    """Classify pairs of alerts with a trained two-alert model, a batch at a time.

    Parameters
    ----------
    pairs : Path
        ``unlabelled_pairs.parquet`` of the extraction.
    object_ids : sequence of str
        Objects to classify.
    trial : Series
        A row of `twostamp.search.read_results`.
    records : Path
        TFRecords that the model was trained on: their scaler, preparation and classes are used.
    recipe : {"thesis", "alerce"}
        Of the metadata.
    batch_size : int
        Objects in memory at a time.

    Returns
    -------
    DataFrame
        objectId, ra, dec (degrees, first alert), one probability per class (float32) and ``predicted``, sorted by
        objectId.
    """
    from twostamp.models import VARIANTS, predict
    from twostamp.records import load_scaler, read_info
    from twostamp.search import load_trial

    info, scaler, model = read_info(records), load_scaler(records, recipe), load_trial(trial)
    variant, crop = str(trial["variant"]), int(trial["crop_size"])
    features, names = VARIANTS[variant].features or "thesis26", list(info.classes)
    tables = []
    with tqdm(total=len(object_ids), unit="object", desc="predict") as progress:
        for batch in read_batches(pairs, batch_size, object_ids):
            arrays = arrays_from_table(batch, scaler, features=features, crop=crop, preparation=info.preparation)
            probabilities = pd.DataFrame(predict(model, variant, arrays), columns=names)
            place = batch[["objectId", "ra_1", "dec_1"]].set_axis(["objectId", "ra", "dec"], axis=1)
            tables.append(pd.concat([place.reset_index(drop=True), probabilities], axis=1))
            progress.update(len(batch))
    table = pd.concat(tables).sort_values("objectId", ignore_index=True)
    return table.assign(predicted=table[names].idxmax(axis=1))


def save_predictions(predictions: pd.DataFrame, path: Path) -> None:
    """Write predictions as one Parquet file, whole or not at all."""
    partial = path.with_name(f".{path.name}")
    predictions.to_parquet(partial, index=False)
    partial.replace(path)
