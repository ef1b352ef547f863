"""Repeated splits of a run's objects: split, weights and order of the batches drawn anew together.

Repetitions on one split measure how much a training varies; what other objects would change they cannot see
(Bouthillier et al. 2021, MLSys). Here every repetition has its own split, scaler included, the same for all models.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from twostamp.data.arrays import Preparation, read_metadata
from twostamp.data.splits import make_splits
from twostamp.data.tfrecord_writer import write_records
from twostamp.data.tfrecords import Records
from twostamp.models.results import SearchResults
from twostamp.models.search import draw_seeds, make_jobs, make_repeats, run_groups
from twostamp.models.training import Hyperparameters
from twostamp.params import Parameters
from twostamp.thesis import MODELS


def split_seeds(params: Parameters) -> list[int]:
    """Derive one seed a split from the run's; more splits keep the seeds of the first."""
    return draw_seeds(params.seed, 10, params.repeated_splits)


def write_split_records(pairs_path: Path, folder: Path, params: Parameters) -> list[Records]:
    """Write the TFRecords of every split, of the same objects as the run's own.

    Parameters
    ----------
    pairs_path : Path
        ``pairs.parquet`` of the run, or ``first_alerts.parquet``.
    folder : Path
        Gets one folder a split; what is there already, of the same objects, is left alone.
    params : Parameters
        repeated_splits, the shares of validation and test, and all that notebook 03 uses.

    Returns
    -------
    list of Records
    """
    pairs = read_metadata(pairs_path)
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for i, seed in enumerate(split_seeds(params)):
        objects, classes = make_splits(pairs, params, seed)
        records = Records(folder / f"{i:02d}", params.metadata_recipe)
        write_records(pairs_path, objects, records.folder, classes, Preparation.of(params), seed=seed)
        written.append(records)
    return written


def train_splits(
    combinations: Mapping[str, Hyperparameters], records: list[Records], folder: Path, params: Parameters
) -> list[SearchResults]:
    """Train every model once on every split, by the machinery of the search, with networks of the run's ``width``.

    Parameters
    ----------
    combinations : mapping of str to Hyperparameters
        By variant.
    records : list of Records
        Of `write_split_records`.
    folder : Path
        Gets one folder a split.
    params : Parameters

    Returns
    -------
    list of SearchResults
        Of every split.
    """
    groups = []
    for source, seed in zip(records, split_seeds(params), strict=True):
        trials = [trial for name, values in combinations.items() for trial in make_repeats(name, values, 1, seed)]
        groups.append(make_jobs(trials, source, folder / source.folder.name / "trials", params))
    return run_groups(groups, params)


def pivot_scores(results: Sequence[SearchResults]) -> pd.DataFrame:
    """Accuracy on test, one row a split and one column a model; splits on which a training failed are left out."""
    scores = {i: {trial.variant: trial.accuracy("test") for trial in trials.done} for i, trials in enumerate(results)}
    table = pd.DataFrame.from_dict(scores, orient="index").sort_index(axis=1).dropna()
    return table.rename(columns={variant: model for model, variant in MODELS.items()}).rename_axis(index="split")


def share_of_test(counts: Mapping[str, Mapping[str, int]]) -> float:
    """Test objects over training objects, what `twostamp.evaluation.hypothesis_tests.corrected_t_test` takes."""
    return sum(counts["test"].values()) / sum(counts["train"].values())
