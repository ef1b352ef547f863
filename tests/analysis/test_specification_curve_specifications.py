"""Specifications: what is drawn, what is shared, and that two models of each are trained once and only once."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.models.test_search import CLASSES, SMALL, make_records
from twostamp.analysis.specification_curve.specifications import (
    SWITCHES,
    Specification,
    _list_trainings,
    default_specification,
    draw_specifications,
    list_alternatives,
    list_failures,
    read_labels,
    stack_right,
    tabulate_switches,
    train_specifications,
    write_preparations,
)
from twostamp.data.features import FEATURE_LISTS
from twostamp.data.tfrecords import Records
from twostamp.models.results import SearchResults
from twostamp.models.trial import TrainingConfig
from twostamp.params import Parameters

PARAMS = Parameters(
    validation_per_class=1, test_per_class=1, cap_per_class=6, epochs=1, workers=2, width=0.25, seed=1
)  # of the records of make_records, but for how they are split


def count_changes(specification: Specification) -> int:
    return sum(level != getattr(Specification(), name) for name, level in asdict(specification).items())


def test_every_switch_is_a_field_whose_first_level_is_the_librarys_own() -> None:
    assert list(SWITCHES) == list(asdict(Specification()))
    assert Specification() == Specification(**{name: levels[0] for name, levels in SWITCHES.items()})
    assert Specification() == default_specification(Parameters(), SMALL)
    assert set(SWITCHES["features"]) <= set(FEATURE_LISTS)


def test_one_switch_at_a_time_comes_first_and_every_switch_before_any_twice() -> None:
    drawn = draw_specifications(Specification(), 60, seed=1)
    singles = sum(len(levels) - 1 for levels in SWITCHES.values())
    assert drawn[0] == Specification()
    assert [count_changes(each) for each in drawn[1 : singles + 1]] == [1] * singles
    own = asdict(drawn[0])
    first = [asdict(each) for each in drawn[1 : len(SWITCHES) + 1]]
    first_round = [name for levels in first for name in SWITCHES if levels[name] != own[name]]
    assert first_round == list(SWITCHES)
    assert min(count_changes(each) for each in drawn[singles + 1 :]) > 1


def test_more_specifications_keep_the_first_ones_and_none_comes_twice() -> None:
    many = draw_specifications(Specification(), 300, seed=1)
    assert len(set(many)) == len({each.id for each in many}) == 300
    assert draw_specifications(Specification(), 8, seed=1) == many[:8]
    assert draw_specifications(Specification(), 300, seed=2) != many


def test_the_whole_factorial_is_drawn_when_it_is_small(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, levels in SWITCHES.items():
        monkeypatch.setitem(SWITCHES, name, levels[: 2 if name in ("normalisation", "features") else 1])
    assert len(draw_specifications(Specification(), 1000, seed=1)) == 4


def test_the_default_is_the_runs_own_even_where_no_level_is_it() -> None:
    params = Parameters(normalisation="minmax", warmup_fraction=0.2)
    default = default_specification(params, replace(SMALL, crop_size=63))
    assert (default.normalisation, default.warmup_fraction, default.crop_size) == ("minmax", 0.2, 63)
    alternatives = list_alternatives(default)
    assert alternatives["normalisation"] == ("range", "literal")
    assert alternatives["warmup_fraction"] == (0.05, 0.0)
    assert alternatives["crop_size"] == (21, 41)
    table = tabulate_switches(default).set_index("switch")
    assert table.loc["crop_size"].tolist() == ["63", "21, 41"]
    assert list(table.index) == list(SWITCHES)


def test_a_specification_reaches_the_parameters_and_hyperparameters_of_its_trainings() -> None:
    one = Specification("minmax", "alerce", 41, True, "drift_safe", False, 3, 0.5, 0.0, "siamese", 0.5)
    params = one.parameters(PARAMS)
    for name in SWITCHES:
        if name not in ("crop_size", "dropout_rate", "features", "two_alerts"):
            assert getattr(params, name) == getattr(one, name), name
    assert params.siamese
    assert params.epochs == PARAMS.epochs
    assert one.hyperparameters(SMALL) == replace(SMALL, crop_size=41, dropout_rate=0.5)
    assert not one.one_alert().parameters(PARAMS).siamese


def test_labels_are_in_the_order_of_the_classes() -> None:
    assert read_labels({"AGN": 1, "SN": 2, "bogus": 0}).tolist() == [0, 1, 1]


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = make_records(tmp_path_factory.mktemp("data")).folder.parent / "pairs.parquet" / "part-0.parquet"
    pd.read_parquet(path).assign(ssdistnr_1=-999.0, ssdistnr_2=-999.0).to_parquet(path)
    return path.parent


CHOSEN = [
    Specification(),
    Specification(two_alerts="separated"),
    Specification(two_alerts="siamese"),
    Specification(normalisation="minmax", batch_normalisation=False, features="drift_safe", warmup_fraction=0.0),
]


@pytest.fixture(scope="module")
def records(pairs: Path) -> dict[str, Path]:
    own = pairs.parent / "own"
    (made,) = write_preparations([CHOSEN[0]], pairs, own, pairs.parent / "s", PARAMS).values()
    assert made == own  # which is notebook 03's to write
    assert not own.exists()
    other = PARAMS.model_copy(update={"normalisation": "literal"})
    written = write_preparations([CHOSEN[0]], pairs, own, pairs.parent / "t", other)["range"]
    written.rename(own)
    return write_preparations(CHOSEN, pairs, own, pairs.parent / "specifications", PARAMS)


@pytest.mark.slow
def test_preparations_are_written_once_with_the_same_objects_in_the_same_order(
    pairs: Path, records: dict[str, Path]
) -> None:
    assert list(records) == ["range", "minmax"]
    assert [Records(path).info.preparation.normalisation for path in records.values()] == ["range", "minmax"]
    tests = [Records(path).arrays("test") for path in records.values()]
    np.testing.assert_array_equal(tests[0].object_ids, tests[1].object_ids)
    assert not np.array_equal(tests[0].stamps_1, tests[1].stamps_1)
    before = (records["minmax"] / "dataset.json").stat().st_mtime_ns
    write_preparations(CHOSEN, pairs, records["range"], records["minmax"].parent, PARAMS)
    assert (records["minmax"] / "dataset.json").stat().st_mtime_ns == before


@pytest.mark.slow
def test_a_one_alert_model_is_shared_by_the_architectures_that_it_knows_nothing_of(
    records: dict[str, Path], tmp_path: Path
) -> None:
    made = [_list_trainings(each, SMALL, records[each.records_name], tmp_path, PARAMS) for each in CHOSEN[:3]]
    assert made[0]["one"] == made[1]["one"] == made[2]["one"]
    assert len({job.path for sides in made for job in sides["two"]}) == 3


@pytest.fixture(scope="module")
def trained(spark: Any, records: dict[str, Path]) -> tuple[Path, dict[int, dict[str, SearchResults]]]:
    folder = records["range"].parent / "models"
    return folder, train_specifications(CHOSEN, SMALL, records, folder, PARAMS)


@pytest.mark.slow
def test_every_specification_has_both_models_and_their_answers(
    records: dict[str, Path], trained: tuple[Path, dict[int, dict[str, SearchResults]]]
) -> None:
    results = trained[1]
    assert list_failures(results) == set()
    assert [list(sides) for sides in results.values()] == [["one", "two"]] * len(CHOSEN)
    assert [sides["two"][0].variant for sides in results.values()] == [
        *("stacked", "separated", "separated", "stacked_drift_safe")
    ]
    labels = read_labels(Records(records["range"]).info.counts["test"])
    right = stack_right(results, labels)
    assert list(right) == [0, 1, 2, 3]
    for place, sides in right.items():
        of = {side: trials[0].accuracy("test") for side, trials in results[place].items()}
        assert {side: values.mean() for side, values in sides.items()} == pytest.approx(of)
        assert sides["one"].shape == (1, len(CLASSES))


@pytest.mark.slow
def test_models_without_batch_normalisation_are_rebuilt_without(
    records: dict[str, Path], trained: tuple[Path, dict[int, dict[str, SearchResults]]]
) -> None:
    for place, name, expected in ((0, "range", True), (3, "minmax", False)):
        network = trained[1][place]["two"][0].load(Records(records[name])).network
        assert any(layer.name.startswith("batch_normalisation") for layer in network.layers) == expected


@pytest.mark.slow
def test_finished_specifications_are_not_trained_again(
    records: dict[str, Path], trained: tuple[Path, dict[int, dict[str, SearchResults]]]
) -> None:
    folder, results = trained
    path = folder / CHOSEN[1].id / "trials" / f"{results[1]['two'][0].trial_id}.json"
    path.unlink()  # as a kill leaves it
    again = train_specifications(CHOSEN, SMALL, records, folder, PARAMS)
    pairs = [(again[place][side][0], results[place][side][0]) for place in results for side in ("one", "two")]
    same = [one.content["seconds"] == other.content["seconds"] for one, other in pairs]
    assert same == [True, True, True, False, True, True, True, True]
    assert all(one.predicted("test") == other.predicted("test") for one, other in pairs)


@pytest.mark.slow
def test_a_specification_that_failed_is_left_out(trained: tuple[Path, dict[int, dict[str, SearchResults]]]) -> None:
    trial = trained[1][1]["two"][0]
    failed = replace(trial, content=trial.content | {"status": "failed", "reason": "no memory"})
    broken = trained[1] | {1: trained[1][1] | {"two": SearchResults([failed])}}
    assert list(stack_right(broken, np.zeros(3, int))) == [0, 2, 3]
    assert list_failures(broken) == {(trial.trial_id, "no memory")}


@pytest.mark.slow
def test_results_from_before_the_switch_of_batch_normalisation_stay_valid() -> None:
    off = PARAMS.model_copy(update={"batch_normalisation": False})
    assert "batch_normalisation" not in TrainingConfig.of(PARAMS).describe("stacked", "data", "thesis")
    assert TrainingConfig.of(off).describe("stacked", "data", "thesis")["batch_normalisation"] is False
