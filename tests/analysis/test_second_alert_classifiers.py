"""The classifiers of notebook 12: trained by the search's machinery, resumed, and seen from every side."""

from typing import Any

import pandas as pd
import pytest

from tests.models.test_search import CLASSES, SMALL, make_records
from twostamp.analysis.second_alert import cadence_stress as robustness
from twostamp.analysis.second_alert import classifiers as rivals
from twostamp.analysis.second_alert.cadence_stress import UNDISTURBED, Stress
from twostamp.data.tfrecords import Records
from twostamp.models.training import Hyperparameters
from twostamp.params import Parameters

pytestmark = pytest.mark.slow
PARAMS = Parameters(revision_repetitions=2, epochs=1, workers=2, width=0.25)
COMBINATIONS = {"stamp_26": SMALL, "separated": SMALL, "one_or_two": SMALL}
GAP = Stress("gap", 30)


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Records:
    return make_records(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def trained(spark: Any, records: Records) -> dict[str, pd.DataFrame]:
    return rivals.train_rivals(COMBINATIONS, records, records.folder.parent / "models", PARAMS)


def test_every_rival_is_trained_at_the_runs_width(trained: dict[str, pd.DataFrame]) -> None:
    assert list(trained) == list(rivals.RIVALS)
    for name, trials in trained.items():
        assert trials["repetition"].tolist() == [0, 1]
        assert set(trials["variant"]) == {rivals.RIVALS[name].variant}
        assert (trials["width"] == 0.25).all()


def test_a_model_that_learns_gaps_starts_as_its_twin_and_ends_elsewhere(trained: dict[str, pd.DataFrame]) -> None:
    for learned, twin in rivals.LEARNED.items():
        pair = trained[learned], trained[twin]
        assert pair[0]["seed"].tolist() == pair[1]["seed"].tolist()
        losses = [[history["loss"] for history in trials["history"]] for trials in pair]
        assert losses[0] != losses[1]


def test_what_is_trained_is_not_trained_again(records: Records, trained: dict[str, pd.DataFrame]) -> None:
    again = rivals.train_rivals(COMBINATIONS, records, records.folder.parent / "models", PARAMS)
    for name, trials in trained.items():
        assert again[name]["seconds"].tolist() == trials["seconds"].tolist()


def test_models_are_seen_as_far_as_it_concerns_them(records: Records, trained: dict[str, pd.DataFrame]) -> None:
    seen = rivals.predict_rivals(trained, records, [GAP])
    two_stamps = [name for name, rival in rivals.RIVALS.items() if rival.variant != "stamp_26"]
    joint = [name for name in two_stamps if rivals.RIVALS[name].variant == "one_or_two"]
    assert list(seen[UNDISTURBED].probabilities) == list(rivals.RIVALS)
    assert list(seen[GAP.name].probabilities) == two_stamps
    assert list(seen[rivals.FIRST_ALONE].probabilities) == ["one alert", *joint]
    for name, trials in trained.items():
        assert seen[UNDISTURBED].probabilities[name].shape == (2, 3, 3)
        assert seen[UNDISTURBED].accuracy(name) == pytest.approx(trials["test_accuracy"].mean())
    for name in two_stamps:
        assert (seen[GAP.name].probabilities[name] != seen[UNDISTURBED].probabilities[name]).any()
    table = robustness.tabulate_stress(
        {name: seen[name] for name in (UNDISTURBED, GAP.name)}, [GAP], resamples=100, seed=1
    )
    assert len(table) == 1 + 2 * len(two_stamps)
    assert seen[UNDISTURBED].classes == CLASSES


def test_no_models_give_no_rows(records: Records) -> None:
    assert robustness.tabulate_stress(rivals.predict_rivals({}, records, [GAP]), [GAP], resamples=100, seed=1).empty


def test_only_repetitions_that_all_have_finished_count() -> None:
    table = pd.DataFrame({"repetition": [0, 1, 2], "status": "done", "reason": ""})
    broken = table.assign(status=["done", "failed", "done"], reason=["", "no memory", ""])
    kept = rivals._keep_finished({"a": table, "b": broken})
    assert all(trials["repetition"].tolist() == [0, 2] for trials in kept.values())
    with pytest.raises(RuntimeError, match="one failed: no memory"):
        rivals._keep_finished({"a": table, "b": broken.assign(status="failed", reason="no memory")})


def test_a_variant_that_was_not_searched_takes_the_nearest_winner() -> None:
    sizes = {"kernel_size": 3, "crop_size": 21, "batch_size": 16, "learning_rate": 0.001}
    rows = [
        sizes
        | {"variant": variant, "dropout_rate": rate, "repetition": 0, "validation_accuracy": 0.5, "test_accuracy": 0.5}
        for variant, rate in (("stamp_26", 0.2), ("stacked", 0.3))
    ]
    results = pd.DataFrame(rows).assign(status="done", reason="")
    chosen = rivals.choose_combinations(results)
    assert {variant: values.dropout_rate for variant, values in chosen.items()} == {
        "stamp_26": 0.2,
        "separated": 0.3,
        "one_or_two": 0.3,
    }
    assert chosen["separated"] == Hyperparameters(3, 21, 16, 0.001, 0.3)
