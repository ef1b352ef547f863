"""Random search over the grid of chapter 5: one result file per trial, resumable, equal for any number of workers."""

import itertools
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from twostamp.data.tfrecords import Records
from twostamp.models.results import INDEX, SearchResults
from twostamp.models.training import Hyperparameters
from twostamp.models.trial import Job, TrainingConfig, Trial, train_jobs
from twostamp.params import Parameters
from twostamp.utils.files import write_json


def sample_combinations(params: Parameters) -> list[Hyperparameters]:
    """Draw the combinations with which every architecture is trained (chapter 5, decision T5).

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
    >>> grid = {"grid_batch_size": [64], "grid_learning_rate": [0.001], "grid_dropout_rate": [0.3, 0.5]}
    >>> params = Parameters(**grid, n_combinations=2)
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


def run_trials(trials: Sequence[Trial], records: Records, output_folder: Path, params: Parameters) -> SearchResults:
    """Run the missing trials on Spark; each writes one JSON file and two weight files.

    A finished trial is skipped if it was trained on the same data with the same settings. A failing trial is tried once
    more, then recorded as failed with its reason; the next call tries it again. The folders must be on a file system
    that all workers share.

    Parameters
    ----------
    trials : sequence of Trial
    records : Records
    output_folder : Path
        Folder of one search: its index names the trials of the last call. TensorBoard's files (parameter
        ``tensorboard``) go to the folder ``tensorboard`` next to it.
    params : Parameters
        ``epochs``, ``width``, ``warmup_fraction``, ``mixed_precision``, ``spark_master``, ``workers`` (trials
        at a time on a local master), ``threads_per_trial``, ``report_weights``.

    Returns
    -------
    SearchResults
    """
    return run_groups([make_jobs(trials, records, output_folder, params)], params)[0]


def make_jobs(trials: Sequence[Trial], records: Records, output_folder: Path, params: Parameters) -> list[Job]:
    """Make jobs of trials, with their records, settings and folders; arguments as for :func:`run_trials`."""
    output_folder.mkdir(parents=True, exist_ok=True)
    records = Records(records.folder.resolve(), records.recipe, params.cache_bytes)
    config = TrainingConfig.of(params)
    options = params.tensorboard, 60 * params.checkpoint_minutes
    return [Job(trial, records, output_folder.resolve(), config, *options) for trial in trials]


def run_groups(groups: Sequence[Sequence[Job]], params: Parameters) -> list[SearchResults]:
    """Train several groups of trials together, so that no worker waits for the end of another group.

    Parameters
    ----------
    groups : sequence of sequence of Job
        Groups from :func:`make_jobs`, each with its own folder, records and parameters. A group may occur twice.
    params : Parameters
        As for :func:`run_trials`: those of Spark and its workers, and ``report_weights``.

    Returns
    -------
    list of SearchResults
        Results of every group.
    """
    train_jobs(list({job.path: job for group in groups for job in group}.values()), params)
    results = []
    for group in groups:
        write_json(group[0].output_folder / INDEX, [job.trial.id for job in group])
        results.append(SearchResults.read(group[0].output_folder, params.report_weights))
        for trial in results[-1]:
            if not trial.is_done:
                tqdm.write(f"trial {trial.trial_id} failed twice and has no result: {trial.reason}")
    return results


def train_repeats(
    variant: str,
    hyperparameters: Hyperparameters,
    n_repetitions: int,
    records: Records,
    output_folder: Path,
    params: Parameters,
) -> SearchResults:
    """Train one combination several times, like trials of the search (sections 6.8 to 6.10).

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
    SearchResults
        One trial per repetition.
    """
    trials = make_repeats(variant, hyperparameters, n_repetitions, params.seed)
    return run_trials(trials, records, output_folder, params)


def draw_seeds(seed: int, notebook: int, count: int) -> list[int]:
    """Return seeds for several trainings of a notebook; more of them begin with the same."""
    states = (np.random.SeedSequence([seed, notebook, i]).generate_state(1)[0] for i in range(count))
    return [int(state) >> 1 for state in states]
