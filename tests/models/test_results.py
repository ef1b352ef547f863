"""Results of a search: read by its index, ranked by validation, and the winners among them."""

import json
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest

from twostamp.models.results import SearchResults, TrialResult, describe_origin, package_winners
from twostamp.models.training import Hyperparameters
from twostamp.params import Parameters


def make_result(
    variant: str, repetition: int = 0, validation: float = 0.5, test: float = 0.5, status: str = "done", **changed: Any
) -> TrialResult:
    """A trial that nobody trained; `changed` are hyper-parameters and other parts of its file."""
    sizes = {"kernel_size": 3, "crop_size": 21, "batch_size": 64, "learning_rate": 1e-3, "dropout_rate": 0.3} | changed
    name = f"{variant}-k{sizes['kernel_size']}-d{sizes['dropout_rate']}-r{repetition}"
    content = {"trial_id": name, "variant": variant, "repetition": repetition, "seed": 1, "status": status}
    scores = {"validation_accuracy": validation, "test_accuracy": test}
    content |= sizes | {"reason": "" if status == "done" else "no memory"}
    return TrialResult(content | ({"last": scores, "best": scores} if status == "done" else {}), Path("nowhere"))


def make_search() -> SearchResults:
    rows = ((0.3, 0, 0.90, 0.8), (0.3, 1, 0.92, 0.9), (0.5, 1, 0.93, 0.7), (0.5, 0, 0.95, 0.7))
    return SearchResults(make_result("stacked", i, *scores, dropout_rate=rate) for rate, i, *scores in rows)


def test_ranking_is_by_mean_validation_accuracy_with_ddof_0() -> None:
    ranked = make_search().rank()
    assert ranked["dropout_rate"].tolist() == [0.5, 0.3]
    assert ranked["validation_std"].tolist() == pytest.approx([0.01, 0.01])
    assert ranked["test_values"].tolist() == [[0.7, 0.7], [0.8, 0.9]]
    assert ranked["features"].tolist() == [26, 26]
    assert ranked["rank"].tolist() == [1, 2]
    (_, second) = make_search().combinations()
    assert second.accuracies("validation").tolist() == [0.90, 0.92]


@pytest.mark.parametrize("grid", [(5, 3, 7), (3, 7, 5)])
def test_equals_keep_the_order_of_the_grid_whatever_the_test_says(grid: tuple[int, ...]) -> None:
    tests = {3: 0.7, 5: 0.8, 7: 0.95}
    results = SearchResults(make_result("stacked", 0, 0.9, tests[size], kernel_size=size) for size in grid)
    assert results.rank()["kernel_size"].tolist() == list(grid)


def test_equal_means_of_repetitions_in_another_order_are_equal() -> None:
    values = {3: (0.1, 0.2, 0.3), 5: (0.3, 0.2, 0.1)}
    assert np.mean(values[3]) != np.mean(values[5])
    for grid in ((3, 5), (5, 3)):
        trials = [make_result("stacked", i, score, kernel_size=k) for k in grid for i, score in enumerate(values[k])]
        assert SearchResults(trials).rank()["kernel_size"].tolist() == list(grid)


def test_a_survivor_never_outranks_a_combination_with_all_its_repetitions() -> None:
    whole = [make_result("stacked", i, 0.90) for i in range(5)]
    lucky = [make_result("stacked", i, 0.93, status="failed" if i else "done", kernel_size=5) for i in range(5)]
    luckier = [make_result("stacked", i, 0.99, status="failed", kernel_size=7) for i in range(5)]
    ranked = SearchResults([*luckier, *lucky, *whole]).rank()
    assert ranked[["kernel_size", "n"]].to_numpy().tolist() == [[3, 5], [5, 1]]


def test_winners_are_the_repetitions_of_the_best_combination() -> None:
    others = make_result("stamp_23", 0, 0.97), make_result("separated", 0, 0.99, status="failed")
    results = make_search() + others
    assert list(results.winners()) == ["stamp_23", "stacked"]
    winners = results.winners({"M0": "stamp_23", "M1": "stacked", "M2": "separated"})
    assert list(winners) == ["M0", "M1"]
    assert [trial.repetition for trial in winners["M1"]] == [0, 1]
    assert winners["M1"][0].hyperparameters == Hyperparameters(3, 21, 64, 1e-3, 0.5)


def test_the_best_repetition_is_that_of_validation_and_of_equals_the_first() -> None:
    results = make_search()
    assert results.best is not None
    assert results.best.trial_id == "stacked-k3-d0.5-r0"
    equal = SearchResults(make_result("stacked", i, accuracy) for i, accuracy in enumerate((0.5, 0.7, 0.7)))
    assert [trial.repetition for trial in equal.best_first()] == [1, 2, 0]


def test_a_search_without_a_result_has_no_best_and_ranking_says_why() -> None:
    assert SearchResults().best is None
    failed = SearchResults([make_result("stacked", status="failed")])
    assert failed.best is None
    assert np.isnan(failed.accuracies("test")).all()
    with pytest.raises(ValueError, match="none of the 1 trials has a result; the first failed: no memory"):
        failed.rank()
    with pytest.raises(ValueError, match="none of the 0 trials has a result"):
        SearchResults().rank()
    with pytest.raises(ValueError, match="has no weights, it failed: no memory"):
        failed[0].load(Path("nowhere"))


def test_a_folder_without_a_search_names_the_notebook(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="run notebook 04_model_search first"):
        SearchResults.read(tmp_path)


def test_the_index_decides_which_trials_count(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.json").write_text(json.dumps({"trial_id": name, "status": "done"}))
    (tmp_path / "index.json").write_text(json.dumps(["b"]))
    assert [trial.trial_id for trial in SearchResults.read(tmp_path)] == ["b"]


def test_scores_are_those_of_the_reported_weights(tmp_path: Path) -> None:
    content = {"trial_id": "a", "status": "done"} | {
        which: {"test_accuracy": value, "weights": f"{which}.h5"} for which, value in (("last", 0.1), ("best", 0.2))
    }
    (tmp_path / "a.json").write_text(json.dumps(content))
    (tmp_path / "index.json").write_text(json.dumps(["a"]))
    for which, value in (("last", 0.1), ("best", 0.2)):
        (trial,) = SearchResults.read(tmp_path, which)
        assert trial.accuracy("test") == value
        assert trial.weights == tmp_path / f"{which}.h5"


def test_ranking_keeps_so_many_of_each_variant_in_the_order_asked_for() -> None:
    sizes = {3: 0.9, 5: 0.8, 7: 0.7}
    results = SearchResults(
        make_result(variant, 0, score, score, kernel_size=size)
        for variant in ("stacked", "stamp_23", "stacked_stamps")
        for size, score in sizes.items()
    )
    ranked = results.rank(2, ["stamp_23", "stacked_stamps"])
    assert ranked["variant"].tolist() == ["stamp_23"] * 2 + ["stacked_stamps"] * 2
    assert ranked["kernel_size"].tolist() == [3, 5] * 2
    assert ranked.index.tolist() == [0, 1, 2, 3]
    assert ranked["features"].tolist() == [23, 23, 0, 0]
    assert ranked["trial_id"].tolist()[0] == "stamp_23-k3-d0.3-r0"
    assert ranked["test_mean"].tolist() == [0.9, 0.8] * 2
    assert len(results.rank()) == 9


def test_trials_are_found_cut_and_joined() -> None:
    results = make_search()
    assert isinstance(results[1:], SearchResults)
    assert [trial.trial_id for trial in results[1:]] == [t.trial_id for t in results][1:]
    assert results.find("stacked-k3-d0.5-r1").accuracy("validation") == 0.93
    assert [t.variant for t in SearchResults([*results, make_result("stamp_23")]).of("stamp_23")] == ["stamp_23"]
    assert results.accuracies("validation").dtype == float
    assert SearchResults().accuracies("test").dtype == float


class FakeNetwork:
    """What `build_model` would have made."""

    def __init__(self, variant: str, **sizes: Any) -> None:
        self.variant, self.sizes, self.weights = variant, sizes, Path()

    def load_weights(self, path: Path) -> None:
        self.weights = path


SETTINGS = {"siamese": True, "width": 0.25, "batch_normalisation": False, "epochs": 9}


@pytest.mark.parametrize("settings", [{}, SETTINGS])
def test_a_classifier_is_rebuilt_as_it_was_trained(settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("twostamp.models.results.build_model", FakeNetwork)
    trial = make_result("separated", 2, 0.7, 0.6, kernel_size=5, dropout_rate=0.5, settings=settings)
    scores = {"weights": "a.h5", "validation_confusion": [[1]], "test_confusion": [[2]], "test_predicted": [0, 1]}
    trial = TrialResult(trial.content | {"last": trial.content["last"] | scores}, Path("folder"))
    info = SimpleNamespace(classes=["AGN", "SN"], preparation="prepared", counts={"train": 3}, fingerprint="abc")
    classifier = trial.load(SimpleNamespace(info=info, scaler="scaler", ages="ages"))  # type: ignore[arg-type]
    network: Any = classifier.network
    assert (network.variant, network.weights) == ("separated", Path("folder/a.h5"))
    plain = {"siamese": False, "width": 1.0, "batch_normalisation": True}
    built = plain | {name: settings[name] for name in plain if name in settings}
    assert network.sizes == {"n_classes": 2, "crop_size": 21, "kernel_size": 5, "dropout_rate": 0.5} | built
    assert (classifier.variant, classifier.classes, classifier.crop_size) == ("separated", ("AGN", "SN"), 21)
    assert (classifier.scaler, classifier.preparation, classifier.ages) == ("scaler", "prepared", "ages")
    training = {"trial": "separated-k5-d0.5-r2", "seed": 1, "weights": "last"}
    sizes = {"kernel_size": 5, "crop_size": 21, "batch_size": 64, "learning_rate": 1e-3, "dropout_rate": 0.5}
    assert classifier.card == {
        "width": built["width"],
        "hyperparameters": sizes,
        "training": training | {"objects": {"train": 3}, "data": "abc"},
        "metrics": {
            "validation": {"accuracy": 0.7, "confusion": [[1]]},
            "test": {"accuracy": 0.6, "confusion": [[2]]},
        },
    }
    assert trial.predicted("test") == [0, 1]
    assert SearchResults([trial]).confusions("validation") == [[[1]]]


@dataclass(frozen=True)
class FakeClassifier:
    """Notes what is saved where."""

    card: dict[str, Any]
    saved: ClassVar[dict[Path, dict[str, Any]]] = {}

    def save(self, folder: Path) -> None:
        self.saved[folder] = self.card


@pytest.mark.parametrize("depth", ["models", "models/stacked"])
def test_the_card_of_a_winner_says_where_it_comes_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, depth: str
) -> None:
    marks = {"01_data_extraction": "one", "03_dataset_preparation": "three", "04_model_search": "four"}
    manifest = {name: {"fingerprint": mark} for name, mark in marks.items()}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    monkeypatch.setattr(TrialResult, "load", lambda self, records: FakeClassifier({"trial": self.trial_id}))
    models, params = tmp_path / depth, Parameters(seed=5)
    folders = package_winners(make_search(), None, models, params, "a mark")  # type: ignore[arg-type]
    assert folders == {"stacked": models / "stacked"}
    card = FakeClassifier.saved[models / "stacked"]
    assert card["trial"] == "stacked-k3-d0.5-r0"
    assert card["trained on"] == "a mark"
    assert card["run"]["parameters"] == params.model_dump()
    assert card["run"]["fingerprints"] == {"01_data_extraction": "one", "03_dataset_preparation": "three"}
    assert card["run"]["versions"]["numpy"] == np.__version__
    assert list(card["run"]["versions"]) == ["twostamp", "tensorflow", "keras", "numpy"]
    package_winners(make_search(), None, models, params)  # type: ignore[arg-type]
    assert FakeClassifier.saved[models / "stacked"]["trained on"] == "real alerts"
    failed = SearchResults([make_result("stacked", status="failed")])
    assert package_winners(failed, None, models, params) == {}  # type: ignore[arg-type]


def test_a_model_without_a_manifest_has_no_fingerprints(tmp_path: Path) -> None:
    assert describe_origin(tmp_path / "a" / "b", Parameters())["fingerprints"] == {}
