"""Recalls on real packets: whole nights are drawn, and a class of few nights has no interval."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from twostamp.analysis import real_sky
from twostamp.data.features import PACKET_FIELDS
from twostamp.data.real_packets import is_judging_night
from twostamp.evaluation.bootstrap import Bootstrap
from twostamp.models.cross_fitting import StoredObjects
from twostamp.params import Parameters
from twostamp.plots.real_sky import plot_learning_curve, plot_recalls

CLASSES = ("AGN", "SN", "VS")
BOOTSTRAP = Bootstrap(400, seed=1)


def make_table(n=120, nights=8):
    rng = np.random.default_rng(2)
    night = rng.integers(0, nights, n)
    table = pd.DataFrame({"objectId": [f"ZTF{i:04d}" for i in range(n)], "classALeRCE": rng.choice(CLASSES, n)})
    return table.assign(year=np.where(night < nights / 2, 2018, 2023), night=[f"n{k}" for k in night])


def make_answers(table, right=0.7, seed=3):
    """Probabilities of a classifier that gives a share of the objects their class."""
    rng = np.random.default_rng(seed)
    labels = table["classALeRCE"].map(CLASSES.index).to_numpy()
    answer = np.where(rng.uniform(size=len(table)) < right, labels, rng.integers(0, len(CLASSES), len(table)))
    return np.eye(len(CLASSES))[answer] * 0.8 + 0.05


def find(table, classifier, epoch, what):
    return table.set_index(["classifier", "epoch", "what"]).loc[(classifier, epoch, what)]


def test_scores_are_those_of_the_plain_formula():
    table = make_table()
    answers = make_answers(table)
    recalls = real_sky.tabulate_recalls({"a": answers}, table, CLASSES, BOOTSTRAP)
    predicted = np.array(CLASSES)[answers.argmax(axis=1)]
    for epoch, chosen in (("all", table["year"] > 0), ("2023 on", table["year"] >= 2023)):
        right = (predicted == table["classALeRCE"])[chosen]
        by_class = right.groupby(table["classALeRCE"][chosen]).mean()
        for name in CLASSES:
            assert find(recalls, "a", epoch, name)["value"] == pytest.approx(by_class[name])
        assert find(recalls, "a", epoch, "accuracy")["value"] == pytest.approx(right.mean())
        row = find(recalls, "a", epoch, "balanced")
        assert row["value"] == pytest.approx(by_class.mean())
        assert row["n"] == chosen.sum()


def test_intervals_draw_whole_nights():
    """Objects of a night that are all right or all wrong tell as much as one object a night."""
    table = make_table(n=400, nights=10).assign(classALeRCE="SN", year=2018)
    wrong_nights = table["night"].isin(["n0", "n1", "n2", "n3", "n4"])
    answers = np.where(wrong_nights.to_numpy()[:, None], np.eye(3)[0], np.eye(3)[1])
    row = find(real_sky.tabulate_recalls({"a": answers}, table, CLASSES, BOOTSTRAP), "a", "all", "SN")
    assert row["high"] - row["low"] > 0.4  # 0.1 if the 400 objects were independent
    assert row["low"] < row["value"] < row["high"]


def test_nights_that_are_all_right_have_an_exact_interval():
    table = make_table(n=60, nights=6).assign(classALeRCE="SN", year=2018)
    row = find(real_sky.tabulate_recalls({"a": np.eye(3)[[1] * 60]}, table, CLASSES, BOOTSTRAP), "a", "all", "SN")
    assert row["high"] == 1
    assert row["low"] == pytest.approx(0.025 ** (1 / 6))


def test_judging_nights_are_a_part_of_their_own():
    table = make_table()
    recalls = real_sky.tabulate_recalls({"a": make_answers(table)}, table, CLASSES, BOOTSTRAP)
    kept = table["night"].map(is_judging_night)
    assert 0 < kept.sum() < len(table)
    assert find(recalls, "a", real_sky.JUDGING, "accuracy")["n"] == kept.sum()


def test_few_nights_have_no_interval_and_an_absent_class_no_row():
    table = make_table(nights=3)
    table = table[table["classALeRCE"] != "SN"].reset_index(drop=True)
    recalls = real_sky.tabulate_recalls({"a": make_answers(table)}, table, CLASSES, BOOTSTRAP)
    assert recalls["low"].isna().all()
    assert "SN" not in set(recalls["what"])
    assert recalls["value"].notna().all()
    line = real_sky.summarise_recalls(recalls)[0]
    assert "(95 %: -)" in line
    assert "of 3 nights" in line


def score_rare(rare):
    """Balanced accuracy where SN fill 20 nights, right on every other, and rare classes have one night each, wrong."""
    rows = [(f"n{k}", "SN", "SN" if k % 2 else "VS") for k in range(20)]
    rows += [(f"n{k}", name, "SN") for k, name in enumerate(rare)]
    table = pd.DataFrame(rows, columns=["night", "classALeRCE", "answer"]).assign(year=2018)
    answers = np.eye(3)[table["answer"].map(CLASSES.index)]
    return find(real_sky.tabulate_recalls({"a": answers}, table, CLASSES, BOOTSTRAP), "a", "all", "balanced")


def test_a_resample_that_lacks_a_class_has_no_balanced_accuracy():
    row = score_rare(["AGN"])
    assert row["value"] == pytest.approx(0.5 / 2)
    assert row["low"] < row["value"] < row["high"] < 0.4  # 0.7 with the mean of what resamples hold


def test_no_interval_where_under_half_of_the_resamples_hold_every_class():
    row = score_rare(["AGN", "VS"])  # about 0.64 squared of them do
    assert row["value"] == pytest.approx(0.5 / 3)
    assert np.isnan([row["low"], row["high"]]).all()


def test_what_the_second_alert_changes_is_counted():
    table = pd.DataFrame({"classALeRCE": ["SN", "SN", "VS", "VS"]})
    first = np.eye(3)[[1, 0, 2, 2]]
    second = np.eye(3)[[1, 1, 2, 0]]
    changes = real_sky.compare_answers(first, second, table, CLASSES).set_index("class")
    assert changes.loc["SN"].tolist() == [2, 1, 2, 1, 0]
    assert changes.loc["VS"].tolist() == [2, 2, 1, 0, 1]
    assert changes.loc["all"].tolist() == [4, 3, 3, 1, 1]


def make_alerts(n=90, seed=5):
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(rng.uniform(0.1, 1, (n, len(PACKET_FIELDS))), columns=[f"{name}_1" for name in PACKET_FIELDS])
    classes = np.array(CLASSES)[np.arange(n) % 3]
    table["magpsf_1"] = 15 + 2 * (np.arange(n) % 3) + rng.normal(0, 0.1, n)
    return table.assign(isdiffpos_1="t", fid_1=1, classALeRCE=classes, night=[f"n{k}" for k in rng.integers(0, 6, n)])


@pytest.mark.parametrize("name", real_sky.METADATA_MODELS)
def test_models_learn_from_metadata_and_from_other_nights(name):
    train, test = make_alerts(), make_alerts(seed=6)
    model = real_sky.fit_metadata(name, train, CLASSES, "drift_safe", seed=1)
    labels = test["classALeRCE"].map(CLASSES.index).to_numpy()
    assert (real_sky.predict_metadata(model, test, "drift_safe").argmax(axis=1) == labels).mean() > 0.9
    crossed = real_sky.cross_fit_metadata(name, test, CLASSES, "drift_safe", 3, seed=1)
    assert (crossed.argmax(axis=1) == labels).mean() > 0.9
    # a night that nothing else resembles cannot be learnt from itself
    odd = test.assign(magpsf_1=np.where(test["night"] == "n0", 40 - test["magpsf_1"], test["magpsf_1"]))
    odd["night"] = np.where(odd["night"] == "n0", "n0", "rest" + odd["night"])
    crossed = real_sky.cross_fit_metadata(name, odd, CLASSES, "drift_safe", 3, seed=1)
    alone = (odd["night"] == "n0").to_numpy()
    assert (crossed.argmax(axis=1) == labels)[alone].mean() < 0.7


def test_a_class_that_other_nights_lack_is_not_called_and_costs_nothing_else():
    table = make_alerts()
    table["night"] = np.where(table["classALeRCE"] == "VS", "n0", "rest" + table["night"])
    crossed = real_sky.cross_fit_metadata("forest", table, CLASSES, "drift_safe", 3, seed=1)
    assert crossed.shape == (len(table), 3)
    np.testing.assert_allclose(crossed.sum(axis=1), 1)


def test_nights_are_held_out_whole_and_each_object_once():
    table = make_alerts()
    folds = real_sky.split_nights(table, 3, seed=1)
    assert sorted(np.concatenate([held for _, held in folds])) == list(range(len(table)))
    for known, held in folds:
        assert not set(table["night"].iloc[known]) & set(table["night"].iloc[held])


def test_nothing_is_learned_from_alerts_of_the_partnership():
    table = make_alerts().assign(programid_1=1)
    table.loc[[3, 40], "programid_1"] = [2, 3]
    folds = real_sky.split_nights(table, 3, seed=1)
    assert sorted(np.concatenate([held for _, held in folds])) == list(range(len(table)))
    assert sorted(np.concatenate([known for known, _ in folds])) == sorted(2 * [*({*range(len(table))} - {3, 40})])


def test_a_network_is_fine_tuned_on_parts_that_hold_every_class(tmp_path, monkeypatch):
    """Every job learns from the other nights alone, the smaller parts from some of what the larger ones learn from."""
    table = make_alerts().assign(objectId=[f"ZTF{i:03d}" for i in range(90)])
    labels = table["classALeRCE"].map(CLASSES.index).to_numpy()
    hyperparameters = {"kernel_size": 3, "crop_size": 21, "batch_size": 16, "learning_rate": 2e-3, "dropout_rate": 0.3}
    own = SimpleNamespace(
        classes=CLASSES, crop_size=21, preparation=None, scaler=SimpleNamespace(recipe="thesis"),
        variant="stamp_26", card={"hyperparameters": hyperparameters},
    )  # fmt: skip
    asked = []

    def cross_fit(jobs, params):
        asked.extend(jobs)
        return [np.full((90, 3), i, float) for i in range(len(jobs))]

    stored = StoredObjects(tmp_path / "objects.npz", "digest", labels)
    monkeypatch.setattr(real_sky.Classifier, "load", lambda folder: own)
    monkeypatch.setattr(real_sky.StoredObjects, "write", lambda *_: stored)
    monkeypatch.setattr(real_sky, "cross_fit", cross_fit)
    params = Parameters(real_sizes=[6, 12], real_folds=3)
    found = real_sky.cross_fit_networks(tmp_path, table, tmp_path / "start", tmp_path, params)
    assert list(found) == ["fine-tuned on 6", "fine-tuned on 12", "fine-tuned on all", real_sky.REAL_ALONE]
    for fold, (known, held) in enumerate(real_sky.split_nights(table, 3, params.seed)):
        small, more, every, alone = asked[4 * fold : 4 * fold + 4]
        assert [len(job.data.train) for job in (small, more)] == [6, 12]
        assert np.bincount(labels[small.data.train]).tolist() == [2, 2, 2]
        assert set(small.data.train) < set(more.data.train) < set(every.data.train) == set(known)
        assert alone.start is None
        assert small.start == tmp_path / "start"
        assert small.trial.hyperparameters.learning_rate < alone.trial.hyperparameters.learning_rate
        assert (found["fine-tuned on 12"][held] == 4 * fold + 1).all()
    assert real_sky.cross_fit_networks(tmp_path, table[table["classALeRCE"] != "VS"], tmp_path, tmp_path, params) == {}


def test_the_learning_curve_has_a_point_a_size_and_a_level_a_rival():
    table = make_table()
    answers = {name: make_answers(table, right) for name, right in (("own", 0.4), ("on 50", 0.6), ("alone", 0.5))}
    recalls = real_sky.tabulate_recalls(answers, table, CLASSES, BOOTSTRAP)
    figure = plot_learning_curve(recalls, {"own": "0", "on 50": "50", "absent": "all"}, ["alone", "absent"])
    assert len(figure.axes) == len(real_sky.EPOCHS) + 1
    for ax in figure.axes:
        assert [label.get_text() for label in ax.get_xticklabels()] == ["0", "50"]
        assert [line.get_label() for line in ax.get_lines()] == ["simulated, then real", "alone"]
        assert "nights" in ax.get_title()


def test_confusions_count_every_object_once():
    table = make_table()
    counts = real_sky.count_confusions(make_answers(table), table, CLASSES)
    assert next(int(np.sum(matrices[0])) for matrices in counts.values()) == len(table)
    assert sum(int(np.sum(matrices[0])) for matrices in counts.values()) == 2 * len(table)
    assert "8 nights" in next(iter(counts))


def test_the_figure_has_every_classifier_in_every_epoch():
    table = make_table()
    recalls = real_sky.tabulate_recalls(
        {"a": make_answers(table), "b": make_answers(table, 0.4)}, table, CLASSES, BOOTSTRAP
    )
    figure = plot_recalls(recalls)
    assert [ax.get_title().split("\n")[0] for ax in figure.axes] == [*real_sky.EPOCHS, real_sky.JUDGING]
    assert all(len(ax.collections) == 4 for ax in figure.axes)
    labels = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert labels == ["AGN", "SN", "VS", "mean of classes"]
