"""Random search over the grid of chapter 5: one result file a trial, resumable, equal for any number of workers."""

import itertools
import json
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from twostamp.data.features import FEATURE_LISTS
from twostamp.data.tfrecords import Records
from twostamp.models.architectures import VARIANTS
from twostamp.models.training import Hyperparameters
from twostamp.models.trial import SPLITS, WORKER_ENVIRONMENT, Job, Trial, record_failure, train_trial
from twostamp.params import Parameters
from twostamp.utils.files import write_json
from twostamp.utils.spark import open_spark, run_jobs

INDEX = "index.json"


def sample_combinations(params: Parameters) -> list[Hyperparameters]:
    """Draw the combinations that every architecture is trained with (chapter 5, decision T5).

    Parameters
    ----------
    params : Parameters
        The grid, ``n_combinations`` and ``seed``.

    Returns
    -------
    list of Hyperparameters
        In the grid's order, without repetition.

    Examples
    --------
    >>> params = Parameters(grid_batch_size=[64], grid_learning_rate=[0.001], grid_dropout_rate=[0.3, 0.5])
    >>> [combination.id for combination in sample_combinations(params)]
    ['k3-c21-b64-lr0.001-d0.3', 'k3-c21-b64-lr0.001-d0.5']
    """
    grid = [
        Hyperparameters(*values)
        for values in itertools.product(
            params.grid_kernel_size,
            params.grid_crop_size,
            params.grid_batch_size,
            params.grid_learning_rate,
            params.grid_dropout_rate,
        )
    ]
    chosen = np.random.default_rng(params.seed).choice(len(grid), params.n_combinations, replace=False)
    return [grid[i] for i in sorted(chosen)]


def make_repeats(variant: str, hyperparameters: Hyperparameters, n_repetitions: int, seed: int) -> list[Trial]:
    """List the repetitions of one training.

    Examples
    --------
    >>> [trial.id for trial in make_repeats("stacked", Hyperparameters(3, 21, 256, 0.001, 0.3), 2, seed=1)]
    ['stacked-k3-c21-b256-lr0.001-d0.3-r0', 'stacked-k3-c21-b256-lr0.001-d0.3-r1']
    """
    trials = [Trial(variant, hyperparameters, repetition, 0) for repetition in range(n_repetitions)]
    seeds = [np.random.SeedSequence([seed, zlib.crc32(trial.id.encode())]).generate_state(1)[0] for trial in trials]
    return [
        Trial(trial.variant, trial.hyperparameters, trial.repetition, int(state) >> 1)
        for trial, state in zip(trials, seeds, strict=True)
    ]


def make_trials(params: Parameters) -> list[Trial]:
    """List every training of the search: variants x combinations x repetitions."""
    return [
        trial
        for variant in params.search_variants
        for combination in sample_combinations(params)
        for trial in make_repeats(variant, combination, params.n_repetitions, params.seed)
    ]


def run_trials(
    trials: Sequence[Trial], records: Records, output_folder: Path, params: Parameters, width: float = 1.0
) -> pd.DataFrame:
    """Train what is not trained yet, on Spark, one JSON file and two weight files a trial.

    A finished trial is skipped if it was trained on the same data with the same settings. One that fails is tried
    once more, then recorded as failed with its reason, and tried again by the next call. The folders are on a file
    system that all workers share.

    Parameters
    ----------
    trials : sequence of Trial
    records : Records
    output_folder : Path
        One folder for one search: its index names the trials of the last call. TensorBoard's files go to the folder
        ``tensorboard`` next to it.
    params : Parameters
        ``epochs``, ``warmup_fraction``, ``mixed_precision``, ``spark_master``, ``workers`` (trials
        at a time on a local master), ``threads_per_trial``, ``report_weights``.
    width : float
        Of the networks.

    Returns
    -------
    DataFrame
        As of :func:`read_results`.
    """
    return run_groups([make_jobs(trials, records, output_folder, params, width)], params)[0]


def make_jobs(
    trials: Sequence[Trial], records: Records, output_folder: Path, params: Parameters, width: float = 1.0
) -> list[Job]:
    """Say where trials are trained, from what and with what; arguments as of :func:`run_trials`."""
    output_folder.mkdir(parents=True, exist_ok=True)
    records = Records(records.folder.resolve(), records.recipe)
    shared = (records, output_folder.resolve(), params, settings(records, params, width))
    return [Job(trial, *shared) for trial in trials]


def run_groups(groups: Sequence[Sequence[Job]], params: Parameters) -> list[pd.DataFrame]:
    """Train several groups of trials in one go, so that no worker waits for the end of another group.

    Parameters
    ----------
    groups : sequence of sequence of Job
        Each of :func:`make_jobs`, with a folder, records and parameters of its own. A group may be there twice.
    params : Parameters
        As for :func:`run_trials`: of Spark and its workers, and ``report_weights``.

    Returns
    -------
    list of DataFrame
        Of every group, as of :func:`read_results`.
    """
    train_jobs(list({job.path: job for group in groups for job in group}.values()), params)
    tables = []
    for group in groups:
        write_json(group[0].output_folder / INDEX, [job.trial.id for job in group])
        tables.append(read_results(group[0].output_folder, params.report_weights))
        for _, row in tables[-1][tables[-1]["status"] == "failed"].iterrows():
            tqdm.write(f"trial {row['trial_id']} failed twice and has no result: {row['reason']}")
    return tables


def train_jobs(jobs: Sequence[Job], params: Parameters) -> None:
    """Train those of the jobs that have no result yet, on Spark; each writes its own files.

    Parameters
    ----------
    jobs : sequence of Job
        Their records and output folders may differ; the output folders exist.
    params : Parameters
        As for :func:`run_trials`.
    """
    pending = sorted((job for job in jobs if not job.is_finished()), key=_cost, reverse=True)
    if pending:
        # Another number of threads needs other processes: TensorFlow takes it once.
        environment = WORKER_ENVIRONMENT | {"TWOSTAMP_THREADS": str(params.threads_per_trial)}
        with open_spark(params.spark_master, params.workers) as spark:
            run_jobs(spark, train_trial, pending, failed=record_failure, environment=environment, description="trials")


def train_repeats(
    variant: str,
    hyperparameters: Hyperparameters,
    n_repetitions: int,
    records: Records,
    output_folder: Path,
    params: Parameters,
) -> pd.DataFrame:
    """Train one combination several times, by the machinery of the search (sections 6.8 to 6.10).

    Parameters
    ----------
    variant : str
        A key of ``models.VARIANTS``.
    hyperparameters : Hyperparameters
    n_repetitions : int
    records, output_folder, params
        As of :func:`run_trials`. The number of classes is the records'.

    Returns
    -------
    DataFrame
        As of :func:`read_results`, one row a repetition.
    """
    trials = make_repeats(variant, hyperparameters, n_repetitions, params.seed)
    return run_trials(trials, records, output_folder, params)


def read_results(folder: Path, report_weights: str = "last") -> pd.DataFrame:
    """Read the trials of the last search in a folder.

    Parameters
    ----------
    folder : Path
        ``output_folder`` of :func:`run_trials`.
    report_weights : {"last", "best"}
        Weights whose scores are reported: of the last epoch, or best on validation (decision T4).

    Returns
    -------
    DataFrame
        One row a trial: trial_id, variant, kernel_size, crop_size, batch_size, learning_rate, dropout_rate, repetition,
        seed, siamese, width, batch_normalisation, status (done, failed), reason, classes, n_classes, history, seconds,
        objects_per_second; of the reported weights validation_accuracy, test_accuracy, validation_confusion,
        test_confusion (counts), validation_predicted, test_predicted (labels, in the order of `Records.arrays`)
        and weights (path); the accuracies of both as last_validation_accuracy, best_test_accuracy and so on.

    Raises
    ------
    FileNotFoundError
        If no search has run in that folder.
    """
    if not (folder / INDEX).exists():
        raise FileNotFoundError(f"{folder} holds no finished search; run notebook 04_model_search first")
    rows = []
    for name in json.loads((folder / INDEX).read_text()):
        row = json.loads((folder / f"{name}.json").read_text())
        scores = {which: row.pop(which, {}) for which in ("last", "best")}
        row.update(scores[report_weights])
        for which, split in itertools.product(scores, SPLITS):
            row[f"{which}_{split}_accuracy"] = scores[which].get(f"{split}_accuracy", float("nan"))
        row["weights"] = str(folder / row["weights"]) if "weights" in row else ""
        made_with = row.pop("settings")
        built = {"siamese": False, "width": 1.0, "batch_normalisation": True}
        row |= {name: made_with.get(name, default) for name, default in built.items()}
        rows.append(row)
    return pd.DataFrame(rows)


def rank_combinations(results: pd.DataFrame) -> pd.DataFrame:
    """Rank the combinations of each variant by mean accuracy on validation (Tables 6.1-6.3).

    Parameters
    ----------
    results : DataFrame
        Of :func:`read_results`; failed trials do not count.

    Returns
    -------
    DataFrame
        variant, the five hyper-parameters, features (metadata per alert), validation_mean, validation_std (ddof 0),
        validation_values, the same for test, and n; best first (of equals the first on test, then in the grid's order).

    Raises
    ------
    ValueError
        If no trial is done; the message has the reason of the first.
    """
    keys = ["variant", *Hyperparameters.__dataclass_fields__]
    done = results[results["status"] == "done"]
    if done.empty:
        raise ValueError(
            f"none of the {len(results)} trials has a result; the first failed: {results['reason'].iloc[0]}"
        )
    rows = []
    for values, group in done.groupby(keys, sort=True):
        row: dict[str, Any] = {**dict(zip(keys, values, strict=True)), "n": len(group)}
        for split in SPLITS:
            scores = group.sort_values("repetition")[f"{split}_accuracy"]
            row |= {f"{split}_mean": scores.mean(), f"{split}_std": scores.std(ddof=0)}
            row[f"{split}_values"] = scores.tolist()
        rows.append(row)
    ranked = pd.DataFrame(rows)
    lists = {variant: FEATURE_LISTS.get(spec.features or "", ()) for variant, spec in VARIANTS.items()}
    ranked["features"] = ranked["variant"].map(lists).map(len)
    return ranked.sort_values(["validation_mean", "test_mean"], ascending=False, kind="stable", ignore_index=True)


def select_trials(results: pd.DataFrame, combination: pd.Series) -> pd.DataFrame:
    """Return the finished repetitions of one row of :func:`rank_combinations`."""
    keys = ["variant", *Hyperparameters.__dataclass_fields__]
    same = (results[keys] == combination[keys]).all(axis=1)
    return results[same & (results["status"] == "done")].sort_values("repetition")


def settings(records: Records, params: Parameters, width: float = 1.0) -> dict[str, Any]:
    """Return what a trial depends on besides itself; a result that was made with others is made again."""
    made_with = {"epochs": params.epochs, "metadata_recipe": records.recipe}
    made_with |= {"threads_per_trial": params.threads_per_trial} | params.training_options()
    if params.batch_normalisation:  # named only where it is off: results from before the switch stay valid
        del made_with["batch_normalisation"]
    return {"data": records.info.fingerprint, "width": width, **made_with}


def _cost(job: Job) -> int:
    # The longest first, so that no worker waits at the end for one that started late.
    branches = 2 if VARIANTS[job.trial.variant].architecture in ("separated", "one_or_two") else 1
    return branches * (job.trial.hyperparameters.crop_size * job.trial.hyperparameters.kernel_size) ** 2


def choose_models(results: pd.DataFrame, count: int, variants: tuple[str, ...]) -> pd.DataFrame:
    """Best combinations of each variant on validation, each with the trained model of its first repetition.

    Repetitions of one combination are the same computation, so one of them is timed.

    Parameters
    ----------
    results : DataFrame
        Of `twostamp.models.search.read_results`.
    count : int
        Combinations per variant, at most.
    variants : tuple of str
        Those without a finished trial are left out.

    Returns
    -------
    DataFrame
        Rows of `results`, and rank (from 1, best on validation), and of validation and test each mean, std (ddof 0)
        and values over the repetitions.
    """
    ranked = rank_combinations(results)
    rows = []
    for variant in variants:
        best = ranked[ranked["variant"] == variant].head(count)
        for rank, (_, combination) in enumerate(best.iterrows(), start=1):
            means = combination.filter(regex="_(mean|std|values)$")
            rows.append(pd.concat([select_trials(results, combination).iloc[0], means, pd.Series({"rank": rank})]))
    return pd.DataFrame(rows).reset_index(drop=True)


def find_best_stacked(models: Path, report_weights: str = "last") -> pd.Series | None:
    """Best repetition of the best stacked combination of a search, by validation accuracy.

    Parameters
    ----------
    models : Path
        Folder ``search`` of a run.
    report_weights : {"last", "best"}
        As for `twostamp.models.search.read_results`.

    Returns
    -------
    Series or None
        A row of `twostamp.models.search.read_results`; None if the search has no stacked model.
    """
    from twostamp.models.search import rank_combinations, read_results, select_trials

    try:
        results = read_results(models, report_weights)
    except FileNotFoundError:
        return None
    stacked = results[(results["variant"] == "stacked") & (results["status"] == "done")]
    if stacked.empty:
        return None
    trials = select_trials(stacked, rank_combinations(stacked).iloc[0])
    return trials.iloc[int(trials["validation_accuracy"].to_numpy().argmax())]


def choose_winners(results: pd.DataFrame, models: Mapping[str, str]) -> dict[str, pd.DataFrame]:
    """Finished repetitions of the combination with the best mean accuracy on validation, by model.

    Parameters
    ----------
    results : DataFrame
        Of `twostamp.models.search.read_results`.
    models : mapping of str to str
        Variant by the model's name; those without a finished trial are left out.

    Returns
    -------
    dict of DataFrame
        Rows of `results`, the best repetition on validation first.
    """
    from twostamp.models.search import rank_combinations, select_trials

    ranked = rank_combinations(results)
    winners = {}
    for model, variant in models.items():
        best = ranked[ranked["variant"] == variant]
        if len(best):
            trials = select_trials(results, best.iloc[0])
            winners[model] = trials.sort_values("validation_accuracy", ascending=False, kind="stable")
    return winners


def best_hyperparameters(trial: pd.Series) -> "Hyperparameters":
    """Take the hyper-parameters out of a row of `twostamp.models.search.read_results`.

    Examples
    --------
    >>> row = {"kernel_size": 3, "crop_size": 21, "batch_size": 64, "learning_rate": 0.001, "dropout_rate": 0.3}
    >>> best_hyperparameters(pd.Series(row)).id
    'k3-c21-b64-lr0.001-d0.3'
    """
    from twostamp.models.training import Hyperparameters

    # a row of a table holds NumPy's numbers, which JSON refuses
    return Hyperparameters(
        kernel_size=int(trial["kernel_size"]),
        crop_size=int(trial["crop_size"]),
        batch_size=int(trial["batch_size"]),
        learning_rate=float(trial["learning_rate"]),
        dropout_rate=float(trial["dropout_rate"]),
    )


def _finished(trained: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    done = {name: trials[trials["status"] == "done"] for name, trials in trained.items()}
    return {name: trials for name, trials in done.items() if len(trials)}


def draw_seeds(seed: int, notebook: int, count: int) -> list[int]:
    """Return seeds for several trainings of a notebook; more of them begin with the same."""
    states = (np.random.SeedSequence([seed, notebook, i]).generate_state(1)[0] for i in range(count))
    return [int(state) >> 1 for state in states]
