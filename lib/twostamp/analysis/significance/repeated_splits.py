"""Repeated splits of a run's objects: split, weights and order of the batches are redrawn together.

Repetitions on one split measure the variation between trainings, but not between samples of objects (Bouthillier et al.
2021, MLSys). Here every repetition has its own split and scaler, the same for all models.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from twostamp.data.arrays import Preparation, read_metadata
from twostamp.data.splits import make_splits
from twostamp.models.cross_fitting import CrossFit, StoredObjects, cross_fit
from twostamp.models.search import draw_seeds, make_repeats
from twostamp.models.training import Hyperparameters
from twostamp.models.trial import TrainingConfig
from twostamp.params import Parameters
from twostamp.thesis import MODELS


def split_seeds(params: Parameters) -> list[int]:
    """Derive one seed per split from the run's; more splits keep the seeds of the first ones."""
    return draw_seeds(params.seed, 10, params.repeated_splits)


def train_splits(
    source: Path, combinations: Mapping[str, Hyperparameters], folder: Path, params: Parameters
) -> tuple[pd.DataFrame, float]:
    """Train every model once on every split of the run's objects, with networks of the run's ``width``.

    Parameters
    ----------
    source : Path
        ``pairs.parquet`` or ``first_alerts.parquet`` of the run.
    combinations : mapping of str to Hyperparameters
        Hyper-parameters by model of `twostamp.thesis.MODELS`.
    folder : Path
        Stores the stamps once, and each training's probabilities, so that nothing is repeated.
    params : Parameters
        Uses repeated_splits, the shares of validation and test, and the parameters of notebooks 03 and 04.

    Returns
    -------
    scores : DataFrame
        Accuracy on test, one row per split and one column per model.
    test_share : float
        Test objects over training objects, for `twostamp.evaluation.hypothesis_tests.corrected_t_test`.
    """
    table, seeds = read_metadata(source), split_seeds(params)
    splits = [make_splits(table, params, seed)[0] for seed in seeds]
    stored = {
        crop: StoredObjects.write(
            source, folder / f"objects_{crop}.npz", splits[0], crop, Preparation.of(params), (), params.metadata_recipe
        )
        for crop in {combination.crop_size for combination in combinations.values()}
    }
    jobs, tested = [], []
    for model, combination in combinations.items():
        objects = stored[combination.crop_size]
        for split, seed in zip(splits, seeds, strict=True):
            train, validation, test = (
                np.flatnonzero(split["split"] == name) for name in ("train", "validation", "test")
            )
            (trial,) = make_repeats(MODELS[model], combination, 1, seed)
            jobs.append(CrossFit(trial, objects.rows(train, validation), TrainingConfig.of(params), folder / "fits"))
            tested.append((model, seed, test))
    rows = []
    for (model, seed, test), job, answers in zip(tested, jobs, cross_fit(jobs, params), strict=True):
        right = answers[test].argmax(axis=1) == job.data.labels[test]
        rows.append(
            {
                "model": model,
                "split": seeds.index(seed),
                "accuracy": right.mean(),
                "share": len(test) / len(job.data.train),
            }
        )
    scores = pd.DataFrame(rows)
    return scores.pivot_table(index="split", columns="model", values="accuracy"), float(scores["share"].mean())
