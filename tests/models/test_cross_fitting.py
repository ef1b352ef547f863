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
from twostamp.data.features import Scaler
from twostamp.data.tfrecords import Records
from twostamp.models import adapter
from twostamp.models.classifier import Classifier
from twostamp.models.cross_fitting import (
    HIDDEN,
    CrossFit,
    CrossFitError,
    StoredObjects,
    StoredRows,
    balance_rows,
    cross_fit,
    hide,
)
from twostamp.models.trial import TrainingConfig, Trial, train
from twostamp.params import TRAINING_OPTIONS, Parameters

PARAMS = Parameters(ageing_epochs=1, workers=2, width=0.25)
OTHERWISE = {
    **{"ageing_epochs": 2, "width": 0.5, "threads_per_trial": 2, "warmup_fraction": 0.5},
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
def jobs(pairs: Path) -> list[CrossFit]:
    table = read_metadata(pairs)
    stored = StoredObjects.write(pairs, pairs.parent / "objects.npz", table, 21, Preparation(), CLASSES)
    rows = np.arange(len(table))
    data = stored.rows(rows[rows % 4 != 0], rows[rows % 4 == 0])
    return [
        CrossFit(Trial(variant, SMALL, 0, 3), data, make_config(PARAMS), pairs.parent / "done")
        for variant in ("stamp_26", "stacked_drift_safe_no_coordinates")
    ]


def make_config(params: Parameters) -> TrainingConfig:
    return TrainingConfig.of(params, params.ageing_epochs)


def test_objects_are_what_records_hold(pairs: Path, jobs: list[CrossFit]) -> None:
    table = read_metadata(pairs)
    stamps, place = UnscaledArrays.load(jobs[0].data.path).stamps, {n: i for i, n in enumerate(table["objectId"])}
    arrays = Records(pairs.parent / "records").arrays("train")
    rows = [place[name] for name in arrays.object_ids]
    assert stamps[0][rows] == pytest.approx(arrays.stamps_1)
    assert stamps[1][rows] == pytest.approx(arrays.stamps_2)


def test_the_digest_is_of_the_content_alone(pairs: Path, jobs: list[CrossFit], tmp_path: Path) -> None:
    table = read_metadata(pairs)
    same, other = (
        StoredObjects.write(pairs, tmp_path / "o.npz", each, 21, Preparation()).digest for each in (table, table[::-1])
    )
    assert (same == jobs[0].data.digest, other == jobs[0].data.digest) == (True, False)


def test_the_name_of_a_result_knows_what_it_depends_on(jobs: list[CrossFit]) -> None:
    job, data = jobs[0], jobs[0].data
    changed = ({"train": data.train[1:]}, {"digest": "other"}, {"recipe": "alerce"}, {"hidden": ("deltajd",)})
    others = [
        *(replace(job, data=replace(data, **change)) for change in changed),
        *(replace(job, trial=replace(job.trial, **change)) for change in ({"seed": 4}, {"variant": "stamp_23"})),
        *(replace(job, config=make_config(PARAMS.model_copy(update={k: v}))) for k, v in OTHERWISE.items()),
        *(replace(job, nights=np.arange(len(data.labels)) % n) for n in (1, 2)),
    ]
    assert set(OTHERWISE) == {"ageing_epochs", "width", "threads_per_trial", *TRAINING_OPTIONS}
    assert len({job.path, *(other.path for other in others)}) == 1 + len(others)
    assert replace(job, config=make_config(PARAMS.model_copy(update={"workers": 1}))).path == job.path


def test_the_name_of_a_result_knows_where_its_splits_end(jobs: list[CrossFit]) -> None:
    data = replace(jobs[0].data, train=np.arange(4), validation=np.arange(4, 6))
    other = replace(data, train=np.arange(3), validation=np.arange(3, 6))
    assert replace(jobs[0], data=data).path != replace(jobs[0], data=other).path


@pytest.mark.parametrize("name", HIDDEN)
def test_what_is_hidden_cannot_be_told_and_nothing_else_changes(jobs: list[CrossFit], name: str) -> None:
    whole = jobs[0].data.arrays("all", "thesis26", 21)
    seen = hide(whole, [name])
    changed = {field for field, values in vars(whole).items() if values is not getattr(seen, field)}
    expected = {"second stamps": {"stamps_2"}, "second metadata": {"metadata_2"}, "deltajd": {"deltajd"}}
    assert changed == expected.get(name, {f"{name}_1", f"{name}_2"})
    for field in changed:
        assert getattr(seen, field) is whole.stamps_1 if name == "second stamps" else True
        assert name.startswith("second") or not getattr(seen, field).any()
    with pytest.raises(ValueError, match="cannot be hidden"):
        hide(whole, ["magpsf"])


@pytest.mark.slow
def test_trainings_judge_all_objects_and_are_kept(spark: Any, jobs: list[CrossFit]) -> None:
    first = cross_fit(jobs, PARAMS)
    for probabilities in first:
        assert probabilities.shape == (len(jobs[0].data.labels), len(CLASSES))
        assert probabilities.sum(axis=1) == pytest.approx(1, abs=1e-5)
    times = [job.path.stat().st_mtime_ns for job in jobs]
    again = cross_fit(jobs, PARAMS)
    assert times == [job.path.stat().st_mtime_ns for job in jobs]
    assert all((one == two).all() for one, two in zip(first, again, strict=True))


@pytest.mark.slow
def test_a_network_is_adapted_to_each_night_of_enough_objects(
    jobs: list[CrossFit], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = jobs[0].data
    nights = np.arange(len(data.labels)) % 3 - 1
    monkeypatch.setattr(adapter, "LEAST", 5)
    ages = data.unscaled().metadata[0]
    monkeypatch.setattr(StoredRows, "ages", adapter.SurveyAges.measure([ages / 4], data.labels))
    job = replace(jobs[0], nights=nights, folder=tmp_path)
    job.run()
    plain, adapted = np.load(job.path)
    np.testing.assert_array_equal(plain[nights < 0], adapted[nights < 0])
    assert all((plain != adapted)[nights == night].any() for night in (0, 1))
    monkeypatch.setattr(adapter, "LEAST", len(nights))
    job.run()
    np.testing.assert_array_equal(*np.load(job.path))


@pytest.mark.slow
def test_fine_tuning_begins_with_a_saved_network_and_its_statistics(
    pairs: Path, jobs: list[CrossFit], tmp_path: Path
) -> None:
    job = replace(jobs[0], folder=tmp_path)
    trained, scaler = train(job.trial, job.data, job.config), Scaler.load(pairs.parent / "records" / "scaler.json")
    classifier = Classifier(trained.model, job.trial.variant, tuple(CLASSES), 21, scaler, Preparation())
    classifier.save(tmp_path / "model")
    expected = classifier.predict_unscaled(job.data.unscaled())
    still = replace(SMALL, learning_rate=1e-9)
    tuned = replace(job, trial=replace(job.trial, hyperparameters=still), start=tmp_path / "model")
    assert tuned.path != replace(tuned, start=None).path
    tuned.run()
    tracked = 0.05  # batch normalisation follows the objects, whatever the learning rate
    np.testing.assert_allclose(np.load(tuned.path), expected, atol=tracked)
    fresh = replace(tuned, start=None)
    fresh.run()
    assert np.abs(np.load(fresh.path) - expected).max() > tracked


@pytest.mark.slow
def test_a_training_follows_the_run(jobs: list[CrossFit], monkeypatch: pytest.MonkeyPatch) -> None:
    told: dict[str, Any] = {}

    def note(*_: Any, **options: Any) -> None:
        told.update(options)
        raise InterruptedError

    monkeypatch.setattr("twostamp.models.trial.train_model", note)
    params = PARAMS.model_copy(update={name: OTHERWISE[name] for name in TRAINING_OPTIONS})
    with pytest.raises(InterruptedError):
        replace(jobs[0], config=make_config(params)).run()
    assert {name: told[name] for name in TRAINING_OPTIONS} == params.training_options()


@pytest.mark.slow
def test_a_training_that_fails_says_why(spark: Any, jobs: list[CrossFit], tmp_path: Path) -> None:
    data = replace(jobs[0].data, path=tmp_path / "absent.npz", digest="none")
    broken = replace(jobs[0], data=data, folder=tmp_path)
    with pytest.raises(CrossFitError, match=r"stamp_26 failed twice: FileNotFoundError.*absent\.npz"):
        cross_fit([broken], PARAMS)


def test_what_is_held_out_teaches_nothing(jobs: list[CrossFit]) -> None:
    data = jobs[0].data
    drawn = balance_rows(data.labels, data.train, 100, seed=3)
    assert set(drawn) <= set(data.train)
    known = pd.DataFrame(data.arrays("all", "thesis26", 21).metadata_1[data.train])
    assert known.mean().to_numpy() == pytest.approx(0, abs=1e-4)
