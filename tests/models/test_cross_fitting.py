"""Trainings on any rows: balanced draws, what they depend on, and that what is done is not done again."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.models.test_search import CLASSES, SMALL, make_records
from twostamp.data.arrays import Preparation, UnscaledArrays, read_metadata
from twostamp.data.tfrecords import Records
from twostamp.models import cross_fitting as folds
from twostamp.models.cross_fitting import Fold, FoldError, balance_rows, train_folds, write_objects
from twostamp.params import TRAINING_OPTIONS, Parameters

PARAMS = Parameters(ageing_epochs=1, workers=2, width=0.25)
OTHERWISE = {
    **{"ageing_epochs": 2, "width": 0.5, "metadata_recipe": "alerce", "threads_per_trial": 2, "warmup_fraction": 0.5},
    **{
        "dropout_layers": 3,
        "siamese": True,
        "batch_normalisation": False,
        "entropy_beta": 0.5,
        "mixed_precision": True,
    },
}
"""Another value of every parameter that a result depends on."""


@given(st.lists(st.integers(0, 3), min_size=1, max_size=40), st.integers(0, 60), st.integers(0, 9))
def test_classes_take_turns_and_no_object_is_ahead(labels, n, seed):
    labels = np.array(labels)
    rows = np.arange(len(labels))
    drawn = balance_rows(labels, rows, n, seed)
    classes = np.unique(labels)
    assert labels[drawn].tolist() == [classes[i % len(classes)] for i in range(n)]
    for label in classes:
        times = np.bincount(drawn[labels[drawn] == label], minlength=len(labels))[labels == label]
        assert times.max() - times.min() <= 1
    assert drawn.tolist() == balance_rows(labels, rows, n, seed).tolist()


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_records(tmp_path_factory.mktemp("folds")).folder.parent / "pairs.parquet"


@pytest.fixture(scope="module")
def jobs(pairs: Path) -> list[Fold]:
    table = read_metadata(pairs)
    labels = np.array([CLASSES.index(name) for name in table["classALeRCE"]])
    path = pairs.parent / "objects.npz"
    digest = write_objects(pairs, path, table, 21, Preparation())
    rows = np.arange(len(table))
    options = {"hyperparameters": SMALL, "seed": 3, "folder": pairs.parent / "done", "params": PARAMS}
    return [
        Fold(path, digest, labels, rows[rows % 4 != 0], rows[rows % 4 == 0], variant, **options)
        for variant in ("stamp_26", "stacked_drift_safe_no_coordinates")
    ]


def test_objects_are_what_records_hold(pairs: Path, jobs: list[Fold]) -> None:
    table = read_metadata(pairs)
    stamps, place = UnscaledArrays.load(jobs[0].objects).stamps, {name: i for i, name in enumerate(table["objectId"])}
    arrays = Records(pairs.parent / "records").arrays("train")
    rows = [place[name] for name in arrays.object_ids]
    assert stamps[0][rows] == pytest.approx(arrays.stamps_1)
    assert stamps[1][rows] == pytest.approx(arrays.stamps_2)


def test_the_digest_is_of_the_content_alone(pairs: Path, jobs: list[Fold], tmp_path: Path) -> None:
    table = read_metadata(pairs)
    assert write_objects(pairs, tmp_path / "a.npz", table, 21, Preparation()) == jobs[0].digest
    assert write_objects(pairs, tmp_path / "b.npz", table.iloc[::-1], 21, Preparation()) != jobs[0].digest


def test_the_name_of_a_result_knows_what_it_depends_on(jobs: list[Fold]) -> None:
    fold = jobs[0]
    others = [
        replace(fold, train=fold.train[1:]),
        replace(fold, seed=4),
        replace(fold, digest="other"),
        replace(fold, variant="stamp_23"),
        *(replace(fold, params=PARAMS.model_copy(update={name: value})) for name, value in OTHERWISE.items()),
    ]
    assert set(OTHERWISE) == set(folds.FOLD_OPTIONS)
    assert len({fold.path, *(other.path for other in others)}) == 1 + len(others)
    assert replace(fold, params=PARAMS.model_copy(update={"workers": 1})).path == fold.path


@pytest.mark.slow
def test_trainings_judge_all_objects_and_are_kept(spark: Any, jobs: list[Fold]) -> None:
    first = train_folds(jobs, PARAMS)
    for probabilities in first:
        assert probabilities.shape == (len(jobs[0].labels), len(CLASSES))
        assert probabilities.sum(axis=1) == pytest.approx(1, abs=1e-5)
    times = [job.path.stat().st_mtime_ns for job in jobs]
    again = train_folds(jobs, PARAMS)
    assert times == [job.path.stat().st_mtime_ns for job in jobs]
    assert all((one == two).all() for one, two in zip(first, again, strict=True))


@pytest.mark.slow
def test_a_training_follows_the_run(jobs: list[Fold], monkeypatch: pytest.MonkeyPatch) -> None:
    told: dict[str, Any] = {}

    def note(*_: Any, **options: Any) -> None:
        told.update(options)
        raise InterruptedError

    monkeypatch.setattr("twostamp.models.training.train_model", note)
    monkeypatch.setattr("twostamp.models.training.limit_threads", lambda threads: None)
    params = PARAMS.model_copy(update={name: OTHERWISE[name] for name in TRAINING_OPTIONS})
    with pytest.raises(InterruptedError):
        folds.train_fold(replace(jobs[0], params=params))
    assert {name: told[name] for name in TRAINING_OPTIONS} == params.training_options()


@pytest.mark.slow
def test_a_training_that_fails_says_why(spark: Any, jobs: list[Fold], tmp_path: Path) -> None:
    broken = replace(jobs[0], objects=tmp_path / "absent.npz", digest="none", folder=tmp_path)
    with pytest.raises(FoldError, match=r"stamp_26 failed twice: FileNotFoundError.*absent\.npz"):
        train_folds([broken], PARAMS)


def test_what_is_held_out_teaches_nothing(jobs: list[Fold]) -> None:
    fold = jobs[0]
    drawn = balance_rows(fold.labels, fold.train, 100, fold.seed)
    assert set(drawn) <= set(fold.train)
    arrays = folds._make_arrays(fold)
    known = pd.DataFrame(arrays.metadata_1[fold.train])
    assert known.mean().to_numpy() == pytest.approx(0, abs=1e-4)
