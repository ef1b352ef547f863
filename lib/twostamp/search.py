"""Random search over the grid of chapter 5: one result file a trial, resumable, equal for any number of workers."""

import itertools
import json
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from .cluster import open_spark
from .distribution import run_jobs
from .features import FEATURE_LISTS
from .models import VARIANTS, build_model
from .params import Parameters
from .records import read_info
from .training import Hyperparameters
from .trials import SPLITS, Job, Trial, record_failure, train_trial, write_json

INDEX = "index.json"
WORKER_ENVIRONMENT = {
    # 3 also hides what TensorFlow's own graph rewriting says about itself; an error still arrives as an exception.
    "TF_CPP_MIN_LOG_LEVEL": "3",
    # Without these, glibc gives every large activation back to the kernel after each operation: a sixth of the time.
    "MALLOC_MMAP_THRESHOLD_": str(2**32),
    "MALLOC_TRIM_THRESHOLD_": str(2**34),
    # Processes live on from trial to trial, and Spark may give the next one another GPU.
    "TF_FORCE_GPU_ALLOW_GROWTH": "true",
}


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
    trials: Sequence[Trial], records_folder: Path, output_folder: Path, params: Parameters, width: float = 1.0
) -> pd.DataFrame:
    """Train what is not trained yet, on Spark, one JSON file and two weight files a trial.

    A finished trial is skipped if it was trained on the same data with the same settings. One that fails is tried
    once more, then recorded as failed with its reason, and tried again by the next call. The folders are on a file
    system that all workers share.

    Parameters
    ----------
    trials : sequence of Trial
    records_folder : Path
        Of ``records.write_records``.
    output_folder : Path
        One folder for one search: its index names the trials of the last call. TensorBoard's files go to the folder
        ``tensorboard`` next to it.
    params : Parameters
        ``epochs``, ``warmup_fraction``, ``metadata_recipe``, ``mixed_precision``, ``spark_master``, ``workers`` (trials
        at a time on a local master), ``threads_per_trial``, ``report_weights``.
    width : float
        Of the networks.

    Returns
    -------
    DataFrame
        As of :func:`read_results`.
    """
    return run_groups([make_jobs(trials, records_folder, output_folder, params, width)], params)[0]


def make_jobs(
    trials: Sequence[Trial], records_folder: Path, output_folder: Path, params: Parameters, width: float = 1.0
) -> list[Job]:
    """Say where trials are trained, from what and with what; arguments as of :func:`run_trials`."""
    output_folder.mkdir(parents=True, exist_ok=True)
    shared = (records_folder.resolve(), output_folder.resolve(), params, settings(records_folder, params, width))
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
    records_folder: Path,
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
    records_folder, output_folder, params
        As of :func:`run_trials`. The number of classes is the records'.

    Returns
    -------
    DataFrame
        As of :func:`read_results`, one row a repetition.
    """
    trials = make_repeats(variant, hyperparameters, n_repetitions, params.seed)
    return run_trials(trials, records_folder, output_folder, params)


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
        test_confusion (counts), validation_predicted, test_predicted (labels, in the order of `records.load_arrays`)
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


def load_trial(row: pd.Series) -> keras.Model:
    """Rebuild the trained model of a row of :func:`read_results`.

    Raises
    ------
    ValueError
        If the trial failed.
    """
    if row["status"] != "done":
        raise ValueError(f"trial {row['trial_id']} has no weights, it failed: {row['reason']}")
    model = build_model(
        row["variant"],
        n_classes=int(row["n_classes"]),
        crop_size=int(row["crop_size"]),
        kernel_size=int(row["kernel_size"]),
        dropout_rate=float(row["dropout_rate"]),
        siamese=bool(row["siamese"]),
        width=float(row.get("width", 1.0)),
        batch_normalisation=bool(row.get("batch_normalisation", True)),
    )
    model.load_weights(row["weights"])
    return model


def settings(records_folder: Path, params: Parameters, width: float = 1.0) -> dict[str, Any]:
    """Return what a trial depends on besides itself; a result that was made with others is made again."""
    made_with = {name: getattr(params, name) for name in ("epochs", "metadata_recipe", "threads_per_trial")}
    made_with |= params.training_options()
    if params.batch_normalisation:  # named only where it is off: results from before the switch stay valid
        del made_with["batch_normalisation"]
    return {"data": read_info(records_folder).fingerprint, "width": width, **made_with}


def _cost(job: Job) -> int:
    # The longest first, so that no worker waits at the end for one that started late.
    branches = 2 if VARIANTS[job.trial.variant].architecture in ("separated", "one_or_two") else 1
    return branches * (job.trial.hyperparameters.crop_size * job.trial.hyperparameters.kernel_size) ** 2
