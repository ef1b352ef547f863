"""What the gain is made of: designs, what each hides, claims on answers that are made up, and the gain in time."""

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from tests.models.test_search import SMALL, make_records
from twostamp.analysis.second_alert import gains
from twostamp.analysis.second_alert.gains import NETWORK, PARTS, PLACEBOS, WHOLE, Design
from twostamp.evaluation.bootstrap import Bootstrap
from twostamp.evaluation.predictions import Predictions
from twostamp.params import Parameters
from twostamp.plots.second_alert import plot_gains, plot_waiting

CLASSES = ("AGN", "SN", "VS")
BOOTSTRAP = Bootstrap(200, seed=1)
PARAMS = Parameters(
    validation_per_class=1, test_per_class=1, cap_per_class=6, epochs=1, workers=2, width=0.25, gain_repetitions=1
)


def make_view(one, two, n=600, trainings=5, seed=1):
    labels, luck = np.arange(n) % 3, np.random.default_rng(seed).random((trainings, n))
    sides = {"one": one, "two": two}
    wrong = {side: (luck > share) for side, share in sides.items()}
    return Predictions(labels, CLASSES, {side: np.eye(3)[(labels + off) % 3] for side, off in wrong.items()})


def test_a_run_without_repetitions_has_no_designs_and_says_nothing():
    assert gains.list_designs(Parameters()) == []
    assert gains.train_designs(Path(), [], SMALL, Path(), Parameters()) == {}
    assert gains.compare_designs({}, BOOTSTRAP).empty


def test_designs_have_names_of_their_own_and_follow_the_parameters():
    more = {"gain_sizes": [50], "gain_epochs": [40], "gain_widths": [0.5], "gain_noise": [0.1]}
    designs = gains.list_designs(PARAMS.model_copy(update=more))
    names = [design.name for design in designs]
    assert names[-4:] == ["50 objects a class", "40 epochs", "width 0.5", "10% wrong labels"]
    assert len(set(names)) == len(names) == 1 + len(PLACEBOS) + len(PARTS) + 4


def test_one_alert_is_kept_from_nothing_of_the_second():
    for design in PLACEBOS:
        assert design.hidden_from("one") == ()
        assert design.hidden_from("two") == design.hidden
    assert PARTS[0].hidden_from("one") == ("metadata",)


def test_rows_and_labels_are_those_of_the_design():
    labels, train = np.repeat([0, 1, 2], 20), np.arange(0, 60, 2)
    rows, told = gains._choose_rows(Design("", per_class=4), labels, train, seed=1)
    assert np.bincount(labels[rows]).tolist() == [4, 4, 4]
    assert set(rows) <= set(train)
    assert (told == labels).all()
    rows, told = gains._choose_rows(Design("", noise=0.5), labels, train, seed=1)
    assert rows.tolist() == train.tolist()
    assert 5 <= (told != labels).sum() <= 25
    assert set(np.flatnonzero(told != labels)) <= set(train)
    assert set(told) == {0, 1, 2}


def test_claims_are_paired_and_say_what_a_placebo_leaves_of_the_gain():
    placebo = PLACEBOS[0].name
    results = {(NETWORK, WHOLE): make_view(0.7, 0.8), (NETWORK, placebo): make_view(0.7, 0.7)}
    table = gains.tabulate_gains(results, BOOTSTRAP).set_index("design")
    assert table["verdict"].to_dict() == {WHOLE: "gains", placebo: "undecided"}
    assert table.loc[WHOLE, "gain"] == pytest.approx(0.1, abs=0.02)
    claims = gains.compare_designs(results, BOOTSTRAP)
    assert claims["verdict"].tolist() == ["gains", "smaller"]
    assert claims["value"].sum() == pytest.approx(0)
    results[NETWORK, PARTS[1].name] = make_view(0.6, 0.8)
    claims = gains.compare_designs(results, BOOTSTRAP).set_index("claim")["value"]
    assert claims["network: what stamps add to the metadata of one"] == pytest.approx(0.1, abs=0.02)
    assert claims["network: what stamps add to the metadata of two"] == 0
    few = {key: make_view(0.7, 0.8, trainings=4) for key in results}
    assert set(gains.compare_designs(few, BOOTSTRAP)["verdict"]) == {"undecided"}
    figure = plot_gains(gains.tabulate_gains(results, BOOTSTRAP))
    assert len(figure.axes) == 1
    plt.close(figure)


def test_objects_that_wait_in_vain_count():
    labels = np.repeat([0, 1], 50)
    one, two = np.zeros((5, 100), bool), np.ones((5, 100), bool)
    days = np.where(np.arange(100) % 2, 0.01, 5.0)
    table = gains.tabulate_waiting(one, two, days, labels, np.array([1.0, 0.5]), BOOTSTRAP).set_index("days")
    assert table.loc[1.0, "answered"] == table.loc[1.0, "gain"] == pytest.approx(0.375)
    assert table.loc[100.0, "accuracy"] == pytest.approx(0.75)
    assert table["gain"].is_monotonic_increasing
    assert set(table["verdict"]) == {"gains"}
    plt.close(plot_waiting(table.reset_index()))


def test_seconds_are_counted_among_all_first_alerts(tmp_path):
    pairs = pd.DataFrame({"objectId": list("ab"), "classALeRCE": ["SN", "VS"], "deltajd": [1.0, 500.0]})
    pairs.assign(ssdistnr_1=-999.0, ssdistnr_2=-999.0).to_parquet(tmp_path / "pairs.parquet")
    first = pd.DataFrame({"objectId": list("abc"), "classALeRCE": ["SN", "VS", "SN"]})
    first.to_parquet(tmp_path / "first.parquet")
    way = tmp_path / "first.parquet", tmp_path / "pairs.parquet"
    assert gains.count_seconds(*way, ("AGN", "SN", "VS"), Parameters()).tolist() == [0, 0.5, 0]


def test_claims_of_the_notebook_have_one_form():
    revised = pd.DataFrame({"grouping": ["all", "deltajd"], "group": ["all", "same night"], "gain": 0.1})
    revised = revised.assign(**{"gain low": 0.05, "gain high": 0.2}, n=9, trainings=5, verdict="helps")
    waiting = pd.DataFrame({"days": [0.5], "gain": 0.1, "low": 0.0, "high": 0.2, "n": 9, "trainings": 5, "verdict": ""})
    table = gains.collect_claims(revised, waiting, pd.DataFrame())
    assert table["claim"].tolist() == [
        "second alert shown to one network, gain for all",
        "gain 0.5 days after the first of all first alerts",
    ]
    assert table[["value", "low", "high"]].to_numpy().tolist() == [[0.1, 0.05, 0.2], [0.1, 0.0, 0.2]]


@pytest.mark.slow
def test_designs_are_trained_once_and_judged_on_the_same_objects(spark: Any, tmp_path: Path) -> None:
    path = make_records(tmp_path).folder.parent / "pairs.parquet" / "part-0.parquet"
    pd.read_parquet(path).assign(ssdistnr_1=-999.0, ssdistnr_2=-999.0).to_parquet(path)
    designs = [Design(WHOLE), PLACEBOS[0], PARTS[1]]
    results = gains.train_designs(path.parent, designs, SMALL, tmp_path / "gains", PARAMS)
    learners = {learner for learner, _ in results}
    assert learners == {NETWORK, gains.FOREST, gains.BOOSTING}
    assert len(results) == 3 + 2 * 2
    for view in results.values():
        assert {side: values.shape for side, values in view.correct.items()} == {"one": (1, 3), "two": (1, 3)}
    # both designs show one alert alike: it is trained once for them, and once without stamps; two alerts three times
    assert len(list((tmp_path / "gains" / "fits").iterdir())) == 2 + 3
