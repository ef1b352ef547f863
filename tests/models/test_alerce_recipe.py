"""ALeRCE's recipe as a baseline: its records, its training, and how two stamps are judged against it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.conftest import make_alert, make_stamp
from twostamp.analysis.model_comparison import MODELS, compare_winners, summarise_two_stamps
from twostamp.analysis.model_search import format_search
from twostamp.data.decode import decode_objects
from twostamp.data.tfrecords import Records
from twostamp.models import SearchResults, load_classifier
from twostamp.models.alerce_recipe import package_alerce, read_alerce, train_alerce, write_alerce_records
from twostamp.params import Parameters

CLASSES = ("AGN", "SN", "bogus")
PARAMS = Parameters(run_name="test", n_repetitions=1, epochs=2, workers=1, alerce_baseline=True, width=1.0)
OFF = PARAMS.model_copy(update={"alerce_baseline": False})


def make_alerts() -> list[dict[str, Any]]:
    rng = np.random.default_rng(1)
    alerts = []
    for i in range(18):
        stamps = tuple(make_stamp(seed=int(seed)) for seed in rng.integers(0, 1000, 3))
        values = {"ra": rng.uniform(0, 360), "magpsf": rng.uniform(16, 21), "chinr": -999.0, "fwhm": 2.0 + i}
        alerts.append(make_alert(f"ZTF18aaaa{i:03d}", i, stamps=stamps, **values))
    return alerts


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "data"
    labels = np.repeat(CLASSES, 6)
    table = decode_objects([(alert,) for alert in make_alerts()], 1).assign(classALeRCE=labels, subclassALeRCE=labels)
    (folder / "first_alerts.parquet").mkdir(parents=True)
    table.to_parquet(folder / "first_alerts.parquet" / "part-0.parquet")
    splits = (["train"] * 4 + ["validation", "test"]) * 3
    objects = table[["objectId", "classALeRCE", "subclassALeRCE"]].assign(split=splits)
    info = write_alerce_records(folder / "first_alerts.parquet", objects, folder, CLASSES, PARAMS)
    assert info is not None
    assert info.n_alerts == 1
    return folder


@pytest.mark.slow
def test_records_are_normalised_by_the_extremes_of_the_whole_stamp(data: Path) -> None:
    arrays = Records(data / "records_alerce", "alerce").arrays("train", "alerce23", crop=63)
    assert arrays.stamps_2 is None
    np.testing.assert_array_equal(arrays.stamps_1.min(axis=(1, 2)), 0)
    np.testing.assert_array_equal(arrays.stamps_1.max(axis=(1, 2)), 1)


@pytest.fixture(scope="module")
def trained(data: Path) -> SearchResults:
    return train_alerce(data, data.parent / "models", PARAMS)


@pytest.mark.slow
def test_training_is_at_the_published_setting_with_the_best_weights(data: Path, trained: SearchResults) -> None:
    (trial,) = trained.done
    assert trial.trial_id == "stamp_alerce-k5-c21-b64-lr0.001-d0.5-r0"
    assert trial.weights.name.endswith(".best.weights.h5")
    stored = json.loads((data.parent / "models" / "alerce" / f"{trial.trial_id}.json").read_text())
    wanted = {"epochs": 2, "metadata_recipe": "alerce", "dropout_layers": 3, "entropy_beta": 0.5}
    assert wanted.items() <= stored["settings"].items()
    assert list(read_alerce(data.parent / "models", PARAMS)) == list(trained)


@pytest.mark.slow
def test_its_model_takes_packets(data: Path, trained: SearchResults) -> None:
    folders = package_alerce(trained, data, data.parent / "models", PARAMS)
    classifier = load_classifier(folders["stamp_alerce"])
    assert classifier.card["stamps"]["normalisation"] == "minmax"
    assert classifier.card["scaler"]["recipe"] == "alerce"
    probabilities = classifier.predict([(alert,) for alert in make_alerts()[5::6]])
    correct = np.trace(trained[0].confusion("test"))
    assert (probabilities.argmax(axis=1) == np.arange(3)).sum() == correct


def test_a_run_without_it_does_nothing(tmp_path: Path) -> None:
    assert write_alerce_records(tmp_path, pd.DataFrame(), tmp_path, CLASSES, OFF) is None
    assert not train_alerce(tmp_path, tmp_path, OFF)
    assert not read_alerce(tmp_path, OFF)
    assert package_alerce(SearchResults(), tmp_path, tmp_path, OFF) == {}
    assert list(tmp_path.iterdir()) == []


def make_winners(**means: float) -> pd.DataFrame:
    rows = []
    for variant, mean in means.items():
        values = [mean - 0.01, mean, mean, mean, mean + 0.01]
        scores = {"validation_mean": mean, "validation_values": values, "test_values": values}
        rows.append({"variant": variant} | scores)
    return pd.DataFrame(rows)


@pytest.mark.parametrize(("alerce", "stronger"), [(0.95, "M0 (ALeRCE)"), (0.85, "M0 (23)")])
def test_two_stamps_are_judged_against_the_stronger_baseline(alerce: float, stronger: str) -> None:
    winners = make_winners(stamp_23=0.9, stamp_26=0.89, stamp_alerce=alerce, stacked=0.94)
    (sentence,) = summarise_two_stamps(winners, compare_winners(winners, "test"))
    assert sentence.startswith(f"M1 against {stronger}, the stronger baseline on validation: ")
    assert ("not significant" in sentence) == (alerce > 0.94)


def test_a_run_without_a_baseline_or_two_stamps_is_not_judged() -> None:
    for winners, message in (
        (make_winners(stacked=0.9), "no one-stamp classifier"),
        (make_winners(stamp_23=0.9), "no two-stamp classifier"),
    ):
        assert message in summarise_two_stamps(winners, compare_winners(winners, "test"))[0]


def test_rows_that_the_thesis_does_not_have_say_so() -> None:
    numbers = {"dropout_rate": 0.5, "kernel_size": 5, "learning_rate": 1e-3, "crop_size": 21, "batch_size": 64}
    scores = {f"{split}_{kind}": 0.9 for split in ("validation", "test") for kind in ("mean", "std", "values")}
    rows = [{"variant": variant, "features": 23, "n": 5} | numbers | scores for variant in ("stamp_23", "stamp_alerce")]
    assert format_search(pd.DataFrame(rows))["remark"].tolist() == ["", "ours: ALeRCE's recipe"]
    assert "remark" not in format_search(pd.DataFrame(rows[:1]))
    assert MODELS["M0 (ALeRCE)"] == "stamp_alerce"
