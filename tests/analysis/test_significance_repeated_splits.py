"""Repeated splits: the same objects divided anew, every model on all of them, narrow networks, resumed when killed."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.models.test_search import CLASSES, SMALL, make_records
from twostamp.analysis.significance.repeated_splits import (
    pivot_scores,
    share_of_test,
    split_seeds,
    train_splits,
    write_split_records,
)
from twostamp.data.tfrecords import Records
from twostamp.models.prediction import predict_winners
from twostamp.models.results import SearchResults
from twostamp.params import Parameters

pytestmark = pytest.mark.slow
PARAMS = Parameters(
    repeated_splits=2, validation_per_class=1, test_per_class=1, cap_per_class=6, epochs=1, workers=2, width=0.25
)
COMBINATIONS = {"stamp_26": SMALL, "stacked": SMALL}


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = make_records(tmp_path_factory.mktemp("data")).folder.parent / "pairs.parquet" / "part-0.parquet"
    pd.read_parquet(path).assign(ssdistnr_1=-999.0, ssdistnr_2=-999.0).to_parquet(path)
    return path.parent


@pytest.fixture(scope="module")
def records(pairs: Path) -> list[Records]:
    return write_split_records(pairs, pairs.parent / "splits", PARAMS)


@pytest.fixture(scope="module")
def trained(spark: Any, records: list[Records]) -> list[SearchResults]:
    return train_splits(COMBINATIONS, records, records[0].folder.parents[1] / "models", PARAMS)


def test_splits_divide_the_same_objects_differently(pairs: Path, records: list[Records]) -> None:
    infos = [each.info for each in records]
    assert infos[0].fingerprint != infos[1].fingerprint
    for info in infos:
        assert info.classes == CLASSES
        assert info.counts["test"] == dict.fromkeys(CLASSES, 1)
        assert info.counts["train"] == dict.fromkeys(CLASSES, 4)
        assert share_of_test(info.counts) == 0.25
    written = {path: path.stat().st_mtime_ns for each in records for path in each.folder.rglob("*.tfrecord")}
    write_split_records(pairs, records[0].folder.parent, PARAMS)
    assert written == {path: path.stat().st_mtime_ns for path in written}


def test_more_splits_keep_the_first_ones() -> None:
    seeds = split_seeds(PARAMS.model_copy(update={"repeated_splits": 6}))
    assert seeds[:2] == split_seeds(PARAMS)
    assert len(set(seeds)) == 6


def test_every_model_is_trained_on_every_split_with_its_own_seed(trained: list[SearchResults]) -> None:
    assert [[trial.variant for trial in trials.done] for trials in trained] == [list(COMBINATIONS)] * 2
    trials = [trial for results in trained for trial in results]
    assert len({trial.content["seed"] for trial in trials}) == 4
    assert {trial.settings["width"] for trial in trials} == {0.25}
    scores = pivot_scores(trained)
    assert scores.shape == (2, 2)
    assert set(scores) == {"M0", "M1"}


def test_narrow_models_are_rebuilt_narrow(records: list[Records], trained: list[SearchResults]) -> None:
    classifier = trained[0].of("stacked")[0].load(records[0])
    assert classifier.network.count_params() < 264_469 / 8


def test_finished_splits_are_not_trained_again(records: list[Records], trained: list[SearchResults]) -> None:
    folder = records[0].folder.parents[1] / "models"
    again = train_splits(COMBINATIONS, records, folder, PARAMS)
    assert [list(trials) for trials in again] == [list(trials) for trials in trained]


def test_a_failed_training_takes_its_split_out(trained: list[SearchResults]) -> None:
    failed = replace(trained[0][0], content=trained[0][0].content | {"status": "failed"})
    assert pivot_scores([SearchResults([failed, trained[0][1]]), trained[1]]).index.tolist() == [1]
    assert pivot_scores([SearchResults([failed])]).empty


def test_predictions_are_those_that_were_judged(records: list[Records], trained: list[SearchResults]) -> None:
    winners = trained[0].winners({"M0": "stamp_26", "M1": "stacked", "M2": "separated"})
    assert list(winners) == ["M0", "M1"]
    predictions = predict_winners(winners, records[0], "test")
    assert predictions.classes == CLASSES
    for model, trials in winners.items():
        assert predictions.probabilities[model].shape == (1, 3, 3)
        assert predictions.right[model].mean() == pytest.approx(trials[0].accuracy("test"))
        assert predictions.ensemble()[model] == pytest.approx(predictions.probabilities[model][0])
