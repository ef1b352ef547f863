"""The classifiers of notebook 12: trained by the search's machinery, resumed, and seen from every side."""

from typing import Any

import pytest

from tests.models.test_results import make_result
from tests.models.test_search import CLASSES, SMALL, make_records
from twostamp.analysis.second_alert import cadence_stress, classifiers
from twostamp.analysis.second_alert.cadence_stress import UNDISTURBED, Stress
from twostamp.data.tfrecords import Records
from twostamp.evaluation.bootstrap import Bootstrap
from twostamp.models.results import SearchResults, TrialResult
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
def trained(spark: Any, records: Records) -> dict[str, SearchResults]:
    return classifiers.train_classifiers(COMBINATIONS, records, records.folder.parent / "models", PARAMS)


def test_every_classifier_is_trained_at_the_runs_width(trained: dict[str, SearchResults]) -> None:
    assert list(trained) == list(classifiers.CLASSIFIERS)
    for name, trials in trained.items():
        assert [trial.repetition for trial in trials] == [0, 1]
        assert {trial.variant for trial in trials} == {classifiers.CLASSIFIERS[name].variant}
        assert {trial.settings["width"] for trial in trials} == {0.25}


def read_seed(trial: TrialResult) -> int:
    return trial.content["seed"]


def read_losses(trial: TrialResult) -> list[float]:
    return trial.content["history"]["loss"]


def test_a_model_that_learns_gaps_starts_as_its_twin_and_ends_elsewhere(trained: dict[str, SearchResults]) -> None:
    for learned, twin in classifiers.LEARNED.items():
        pair = trained[learned], trained[twin]
        seeds, losses = ([[read(trial) for trial in trials] for trials in pair] for read in (read_seed, read_losses))
        assert seeds[0] == seeds[1]
        assert losses[0] != losses[1]


def test_what_is_trained_is_not_trained_again(records: Records, trained: dict[str, SearchResults]) -> None:
    again = classifiers.train_classifiers(COMBINATIONS, records, records.folder.parent / "models", PARAMS)
    for name, trials in trained.items():
        assert list(again[name]) == list(trials)


def test_models_are_seen_as_far_as_it_concerns_them(records: Records, trained: dict[str, SearchResults]) -> None:
    seen = classifiers.predict_views(trained, records, [GAP])
    two_stamps = [name for name, each in classifiers.CLASSIFIERS.items() if each.variant != "stamp_26"]
    joint = [name for name in two_stamps if classifiers.CLASSIFIERS[name].variant == "one_or_two"]
    assert list(seen[UNDISTURBED].probabilities) == list(classifiers.CLASSIFIERS)
    assert list(seen[GAP.name].probabilities) == two_stamps
    assert list(seen[classifiers.FIRST_ALONE].probabilities) == ["one alert", *joint]
    for name, trials in trained.items():
        assert seen[UNDISTURBED].probabilities[name].shape == (2, 3, 3)
        assert seen[UNDISTURBED].accuracy(name) == pytest.approx(trials.accuracies("test").mean())
    for name in two_stamps:
        assert (seen[GAP.name].probabilities[name] != seen[UNDISTURBED].probabilities[name]).any()
    table = cadence_stress.tabulate_stress(
        {name: seen[name] for name in (UNDISTURBED, GAP.name)}, [GAP], Bootstrap(100, seed=1)
    )
    assert len(table) == (1 + len(CLASSES)) * (1 + 2 * len(two_stamps))
    assert seen[UNDISTURBED].classes == CLASSES


def test_no_models_give_no_rows(records: Records) -> None:
    assert cadence_stress.tabulate_stress(
        classifiers.predict_views({}, records, [GAP]), [GAP], Bootstrap(100, seed=1)
    ).empty


def test_only_repetitions_that_all_have_finished_count() -> None:
    whole, broken, lost = (
        SearchResults(make_result("stacked", i, status=status) for i, status in enumerate(each))
        for each in (["done"] * 3, ["done", "failed", "done"], ["failed"] * 3)
    )
    kept = classifiers._keep_finished({"a": whole, "b": broken})
    assert all([trial.repetition for trial in trials] == [0, 2] for trials in kept.values())
    with pytest.raises(RuntimeError, match="one failed: no memory"):
        classifiers._keep_finished({"a": whole, "b": lost})


def test_a_variant_that_was_not_searched_takes_the_nearest_winner() -> None:
    rows = (("stamp_26", 0.2), ("stacked", 0.3))
    results = SearchResults(make_result(name, batch_size=16, dropout_rate=rate) for name, rate in rows)
    chosen = classifiers.choose_combinations(results)
    assert {variant: values.dropout_rate for variant, values in chosen.items()} == {
        "stamp_26": 0.2,
        "separated": 0.3,
        "one_or_two": 0.3,
    }
    assert chosen["separated"] == Hyperparameters(3, 21, 16, 0.001, 0.3)
