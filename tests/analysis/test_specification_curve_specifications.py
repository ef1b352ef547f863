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
    _keep_share,
    default_specification,
    draw_specifications,
    list_alternatives,
    tabulate_switches,
    train_specifications,
)
from twostamp.data.features import FEATURE_LISTS
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
    one = Specification("minmax", "alerce", 41, True, "drift_safe", False, 3, 0.5, 0.0, "siamese", 0.5, 2.0, 2.0)
    params = one.parameters(PARAMS)
    for name in SWITCHES:
        if name not in ("crop_size", "dropout_rate", "features", "two_alerts", "epochs", "width", "objects"):
            assert getattr(params, name) == getattr(one, name), name
    assert params.siamese
    assert (params.epochs, params.width) == (2 * PARAMS.epochs, 2 * PARAMS.width)
    assert one.parameters(PARAMS.model_copy(update={"width": 0.8})).width == 1
    assert one.hyperparameters(SMALL) == replace(SMALL, crop_size=41, dropout_rate=0.5)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = make_records(tmp_path_factory.mktemp("data")).folder.parent / "pairs.parquet" / "part-0.parquet"
    pd.read_parquet(path).assign(ssdistnr_1=-999.0, ssdistnr_2=-999.0).to_parquet(path)
    return path.parent


CHOSEN = [
    Specification(),
    Specification(two_alerts="separated"),
    Specification(normalisation="minmax", batch_normalisation=False, features="drift_safe", objects=0.5),
]


@pytest.mark.slow
def test_every_specification_has_both_models_trained_once_and_preparations_are_stored_once(
    spark: Any, pairs: Path
) -> None:
    folder = pairs.parent / "specifications"
    right, labels = train_specifications(CHOSEN, pairs, SMALL, folder, PARAMS)
    assert sorted(labels.tolist()) == list(range(len(CLASSES)))
    assert {place: {side: values.shape for side, values in sides.items()} for place, sides in right.items()} == {
        place: dict.fromkeys(("one", "two"), (1, len(CLASSES))) for place in range(3)
    }
    assert sorted(path.name for path in folder.glob("*.npz")) == ["minmax-c21.npz", "range-c21.npz"]
    names = sorted(path.name.rpartition("-")[0] for path in (folder / "fits").iterdir())
    assert names == ["separated", "stacked", "stacked_drift_safe", "stamp_26", "stamp_26", "stamp_drift_safe"]
    times = {path: path.stat().st_mtime_ns for path in (folder / "fits").iterdir()}
    again, _ = train_specifications(CHOSEN, pairs, SMALL, folder, PARAMS)
    assert all((again[place][side] == right[place][side]).all() for place in right for side in ("one", "two"))
    assert {path: path.stat().st_mtime_ns for path in times} == times


def test_a_share_of_the_objects_is_one_of_every_class() -> None:
    labels, rows = np.repeat([0, 1], [10, 40]), np.arange(5, 45)
    kept = _keep_share(labels, rows, 0.5, seed=1)
    assert np.bincount(labels[kept]).tolist() == [2, 18]
    assert set(kept) <= set(rows)
