"""From one alert to two: flips, groups of objects, comparisons with dedicated classifiers."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twostamp.analysis.second_alert import revisions
from twostamp.evaluation.bootstrap import Bootstrap
from twostamp.evaluation.predictions import Predictions
from twostamp.plots.second_alert import plot_dedicated, plot_flips, plot_value

CLASSES = ("AGN", "SN", "VS", "asteroid", "bogus")
BOOTSTRAP = Bootstrap(100, seed=1)


def sharpen(answers):
    values = 0.05 + 0.8 * np.eye(5)[answers]
    return values / values.sum(axis=-1, keepdims=True)


def make_answers(n=200, r=3, one=0.6, two=0.9, seed=1):
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 5
    views = [np.where(rng.random((r, n)) < share, labels, rng.integers(0, 5, (r, n))) for share in (one, two)]
    return labels, *(sharpen(answers) for answers in views)


@given(st.integers(0, 1000), st.integers(1, 3), st.integers(1, 40))
def test_every_object_is_kept_won_lost_or_moved(seed, r, n):
    labels, before, after = make_answers(n, r, seed=seed)
    followed = revisions.follow_revisions(before, after, labels)
    won, lost, moved = (followed[name] for name in revisions.FLIPS)
    assert ((won + lost + moved) <= 1).all()
    gain = followed["accuracy with two"] - followed["accuracy with one"]
    np.testing.assert_array_equal(gain, won - lost)
    changed = before.argmax(axis=2) != after.argmax(axis=2)
    np.testing.assert_array_equal(changed, (won + lost + moved) > 0)


def test_the_same_answer_twice_is_no_revision():
    labels, before, _ = make_answers()
    followed = revisions.follow_revisions(before, before, labels)
    assert not any(followed[name].any() for name in revisions.FLIPS)
    groups = pd.DataFrame({"class": pd.Categorical.from_codes(labels, list(CLASSES))})
    table = revisions.tabulate_revisions(followed, labels, groups, BOOTSTRAP)
    assert (table[["gain", "gain low", "gain high", "change"]] == 0).all(axis=None)
    assert set(table["verdict"]) == {"undecided"}


def test_what_helps_and_what_hurts_is_found_by_group():
    labels, before, after = make_answers(500, r=5)
    after[:, labels == 3] = sharpen(np.zeros((5, 100), int))
    followed = revisions.follow_revisions(before, after, labels)
    groups = pd.DataFrame({"class": pd.Categorical.from_codes(labels, list(CLASSES))})
    table = revisions.tabulate_revisions(followed, labels, groups, BOOTSTRAP).set_index("group")
    assert table.loc["asteroid", "verdict"] == "hurts"
    assert table.loc["asteroid", "right to wrong"] == pytest.approx(table.loc["asteroid", "accuracy with one"])
    assert (table.loc[["AGN", "SN", "VS", "bogus"], "verdict"] == "helps").all()
    assert table.loc["all", "n"] == table["n"].drop("all").sum() == 500
    for name in ("accuracy with one", "wrong to right", "probability with two"):
        assert table.loc[list(CLASSES), name].mean() == pytest.approx(table.loc["all", name])
    np.testing.assert_allclose(table["gain"], table["wrong to right"] - table["right to wrong"], atol=1e-12)
    fewer = {name: values[:4] for name, values in followed.items()}
    assert set(revisions.tabulate_revisions(fewer, labels, groups, BOOTSTRAP)["verdict"]) == {"undecided"}


def test_a_few_objects_all_mended_decide_nothing():
    labels = np.zeros(5, int)
    followed = revisions.follow_revisions(sharpen(np.ones((5, 5), int)), sharpen(np.zeros((5, 5), int)), labels)
    row = revisions.tabulate_revisions(followed, labels, pd.DataFrame(index=range(5)), BOOTSTRAP).iloc[0]
    assert (row["gain low"], row["verdict"]) == (1, "undecided")


def test_objects_are_put_into_groups(tmp_path):
    table = pd.DataFrame(
        {
            "objectId": ["a", "b", "c"],
            "classALeRCE": ["SN", "AGN", "SN"],
            "deltajd": [0.02, 0.5, 99.0],
            "magpsf_1": [17.9, 18.0, 21.0],
            "fid_1": [1, 2, 2],
            "fid_2": [2, 2, 2],
            "xpos_1": [1500.0, 1500.0, 1500.0],
            "xpos_2": [1500.0, 3070.0, 1500.0],
            "ypos_1": [1500.0, 1500.0, 3.0],
            "ypos_2": [1500.0] * 3,
        }
    )
    table.to_parquet(tmp_path / "pairs.parquet")
    groups = revisions.group_objects(tmp_path / "pairs.parquet", np.array(["c", "a", "b"]), ["AGN", "SN"])
    assert groups["class"].tolist() == ["SN", "SN", "AGN"]
    assert groups["deltajd"].tolist() == ["over 30 d", "same night", "0.5-3 d"]
    assert groups["class and night"].tolist() == ["SN, later", "SN, same night", "AGN, later"]
    assert groups["magnitude"].tolist() == ["fainter than 20", "brighter than 18", "18-19"]
    assert groups["stamps"].tolist() == ["cut by an edge", "whole", "cut by an edge"]
    assert groups["filters"].tolist() == ["same", "different", "same"]


def make_views():
    labels, before, after = make_answers(500)
    first = Predictions(labels, CLASSES, {"one alert": before, "one or two": before})
    return first, Predictions(labels, CLASSES, {"two alerts": after, "one or two": before})


def test_the_joint_model_is_compared_with_its_like():
    first, second = make_views()
    pairs = [("one", "one or two", "one alert"), ("two", "one or two", "two alerts")]
    table = revisions.compare_with_dedicated(first, second, pairs, BOOTSTRAP)
    assert table.loc[0, ["difference", "low", "high"]].tolist() == [0, 0, 0]
    assert table.loc[1, "high"] < 0
    assert table["n"].tolist() == [500, 500]
    assert table["repetitions"].tolist() == [3, 3]
    figure = plot_dedicated(table)
    assert len(figure.axes[0].get_yticks()) == 2
    plt.close(figure)


def test_figures_show_every_group():
    labels, before, after = make_answers(100)
    groups = pd.DataFrame({"class": pd.Categorical.from_codes(labels, list(CLASSES))})
    groups["deltajd"] = pd.Categorical(np.where(labels > 2, "same night", "3-10 d"), list(revisions.DAYS))
    table = revisions.tabulate_revisions(revisions.follow_revisions(before, after, labels), labels, groups, BOOTSTRAP)
    figure = plot_value(table)
    assert [len(ax.get_yticks()) for ax in figure.axes] == [6, 2]
    plt.close(figure)
    figure = plot_flips(table)
    assert len(figure.axes[1].get_yticks()) == len(table)
    plt.close(figure)
