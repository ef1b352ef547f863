"""Agreement of two explanations: on explanations that agree, that do not, and that only share the middle."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from scipy.stats import spearmanr

from twostamp.data.feature_lists import COORDINATES, FEATURE_LISTS
from twostamp.evaluation.bootstrap import Bootstrap
from twostamp.inspection.agreement import (
    NULLS,
    central_share,
    check_agreement,
    choose_examples,
    choose_objects,
    correlate_ranks,
    group_attributions,
    share_of_stamps,
    summarise_agreement,
    tabulate_attribution_shares,
)
from twostamp.plots.shortcut_audit import plot_agreement, plot_attributions

BOOTSTRAP = Bootstrap(300, seed=1)


def make_maps(n=24, seed=1):
    """A common middle, and details that are an object's own."""
    rng = np.random.default_rng(seed)
    middle = np.exp(-((np.arange(7) - 3) ** 2) / 4)
    common = np.broadcast_to(np.outer(middle, middle), (n, 2, 3, 7, 7))
    own = rng.random((n, 2, 3, 7, 7))
    return common, own, rng.random((n, 2, 3, 7, 7))


def make_attributions(n=6, crop=21):
    rng = np.random.default_rng(1)
    shapes = {"stamps_1": (crop, crop, 3), "stamps_2": (crop, crop, 3), "metadata_1": (26,), "metadata_2": (26,)}
    return {name: rng.normal(size=(n, *shape)) for name, shape in (shapes | {"deltajd": (1,)}).items()}


def test_every_pair_of_objects_has_scipys_correlation():
    first, second = np.random.default_rng(1).integers(0, 5, (2, 4, 3, 5)).astype(float)
    found = correlate_ranks(first, second)
    for i in range(4):
        for j in range(4):
            assert found[i, j] == pytest.approx(spearmanr(first[i].ravel(), second[j].ravel()).statistic)


def test_an_objects_own_details_are_told_from_what_all_share():
    common, own, noise = make_maps()
    table = check_agreement(
        common + own, common + own + 0.3 * noise, [common + noise, common + noise], BOOTSTRAP
    ).set_index("what")
    assert table.loc["own attributions", "correlation"] > 0.8
    assert (table.loc[list(NULLS), "correlation"] > 0.2).all()  # the middle
    assert (table.loc[list(NULLS), "excess low"] > 0.1).all()
    assert (table["low"] <= table["correlation"]).all()


def test_attributions_that_know_the_middle_alone_have_no_excess():
    common, own, noise = make_maps(n=60)
    random = make_maps(n=60, seed=2)[1]
    table = check_agreement(common + random, common + own, 2 * [common + noise], BOOTSTRAP).set_index("what")
    for null in NULLS:
        assert table.loc[null, "excess low"] < 0 < table.loc[null, "excess high"]


def test_an_object_without_any_attribution_does_not_count():
    common, own, noise = make_maps()
    flat = common + own
    flat[0] = 0
    assert (check_agreement(flat, common + own, 2 * [common + noise], BOOTSTRAP)["objects"] == 23).all()


def test_kinds_of_input_share_out_all_of_it():
    attributions = make_attributions()
    groups = group_attributions(attributions, FEATURE_LISTS["thesis26"])
    assert list(groups)[:2] == ["science, alert 1", "template, alert 1"]
    columns = [FEATURE_LISTS["thesis26"].index(name) for name in COORDINATES]
    both = [attributions[f"metadata_{i}"][:, columns].sum(axis=1) for i in (1, 2)]
    np.testing.assert_allclose(groups["coordinates"], np.abs(sum(both)))
    shares = tabulate_attribution_shares(attributions, attributions, FEATURE_LISTS["thesis26"], BOOTSTRAP)
    np.testing.assert_allclose(shares["untrained"], shares["share"])
    assert shares["share"].iloc[:-1].sum() == pytest.approx(1)
    assert share_of_stamps(shares) == pytest.approx(shares["share"].iloc[:6].sum())
    assert shares["share"].iloc[-1] == pytest.approx(1 / 9, abs=0.01)
    assert (shares["low"] <= shares["share"]).all()


def test_noise_in_many_pixels_does_not_outweigh_a_few_numbers():
    attributions = {name: values.copy() for name, values in make_attributions(40).items()}
    attributions["deltajd"] += 60.0  # the sum of an image's noise is about 20
    groups = group_attributions(attributions, FEATURE_LISTS["thesis26"])
    assert np.mean(groups["deltajd"]) > np.mean(groups["science, alert 1"])
    absolute = {name: np.abs(values) for name, values in attributions.items()}
    assert absolute["stamps_1"].sum(axis=(1, 2, 3)).mean() > absolute["deltajd"].mean()


def test_stamps_alone_have_no_other_kinds():
    stamps = {name: values for name, values in make_attributions().items() if name.startswith("stamps")}
    assert len(group_attributions(stamps, FEATURE_LISTS["thesis26"])) == 6


def test_the_middle_is_the_middle():
    stamps = np.zeros((2, 21, 21, 3))
    stamps[0, 7, 13], stamps[1, 6, 13] = -1, 1
    assert central_share({"stamps_1": stamps}).tolist() == [1, 0]


def test_objects_are_drawn_evenly_and_repeatably():
    labels = np.repeat(np.arange(5), 20)
    chosen = choose_objects(labels, 15, seed=1)
    assert np.bincount(labels[chosen]).tolist() == [3] * 5
    assert len(set(chosen)) == 15
    np.testing.assert_array_equal(chosen, choose_objects(labels, 15, seed=1))
    assert not np.array_equal(chosen, choose_objects(labels, 15, seed=2))
    assert choose_examples(labels[chosen], labels[chosen]) == [0, 3, 6, 9, 12]


def test_figures_have_a_panel_an_image_and_sentences_say_what_was_found():
    attributions, (common, own, noise) = make_attributions(5), make_maps()
    figure = plot_attributions(make_attributions(5), attributions, dict(enumerate("abcde")))
    assert len(figure.axes) == 5 * 6 + 1
    figure.canvas.draw()
    agreed = check_agreement(common + own, common + own, 2 * [common + noise], BOOTSTRAP)
    figure = plot_agreement(common + own, common + own, agreed)
    assert len(figure.axes) == 2 * 6 + 1 + 1
    figure.canvas.draw()
    plt.close("all")
    shares = tabulate_attribution_shares(attributions, attributions, FEATURE_LISTS["thesis26"], BOOTSTRAP)
    lines = summarise_agreement(shares, agreed)
    assert "coordinates" in lines[0]
    assert "rank correlation of attribution and occlusion 1.00" in "".join(lines)
    assert sum("are better by" in line for line in lines) == len(NULLS)
