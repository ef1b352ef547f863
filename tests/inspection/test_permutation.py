"""Permutation importance of networks: what is shuffled, that cutting the network changes nothing, and known answers."""

import keras
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from tests.models.test_architectures import build, make_arrays
from twostamp.data.feature_lists import COORDINATES, FEATURE_LISTS
from twostamp.inspection.forest import group_alerts
from twostamp.inspection.permutation import (
    ALL,
    SKY,
    STAMPS,
    compare_importance,
    list_groups,
    permute_network,
    shuffle_inputs,
    split_network,
    summarise_importance,
)
from twostamp.models.architectures import input_shapes
from twostamp.models.inference import model_inputs
from twostamp.plots.shortcut_audit import plot_importances

NAMES = FEATURE_LISTS["thesis26"]


def test_groups_hold_both_alerts_of_a_feature_and_everything_once_more():
    groups = list_groups(input_shapes("stacked", 21), "thesis26")
    assert list(groups) == [*NAMES, "ln_deltajd", SKY, ALL, STAMPS]
    assert groups["magpsf"] == [(f"metadata_{i}", NAMES.index("magpsf")) for i in (1, 2)]
    assert len(groups[SKY]) == 2 * len(COORDINATES)
    assert [name for name, _ in groups[ALL]] == ["metadata_1", "metadata_2", "deltajd"]
    assert [name for name, _ in groups[STAMPS]] == ["stamps_1", "stamps_2"]


def test_groups_are_those_that_a_network_has():
    assert list(list_groups(input_shapes("stacked_stamps_deltajd", 21), None)) == ["ln_deltajd", STAMPS]
    without = list_groups(input_shapes("stacked_thesis26_no_coordinates", 21), "thesis26_no_coordinates")
    assert SKY not in without
    one = list_groups(input_shapes("stamp_26", 21), "thesis26")
    assert one["ra"] == [("metadata_1", NAMES.index("ra"))]
    assert "ln_deltajd" not in one


def test_an_object_gets_all_columns_of_a_group_from_one_other_and_keeps_the_rest():
    inputs = {"metadata_1": np.arange(12.0).reshape(4, 3), "metadata_2": -np.arange(12.0).reshape(4, 3)}
    changed = shuffle_inputs(inputs, [("metadata_1", 1), ("metadata_2", None)], [2, 3, 0, 1])
    assert changed["metadata_1"][:, 1].tolist() == [7, 10, 1, 4]
    np.testing.assert_array_equal(changed["metadata_1"][:, [0, 2]], inputs["metadata_1"][:, [0, 2]])
    np.testing.assert_array_equal(changed["metadata_2"], inputs["metadata_2"][[2, 3, 0, 1]])
    assert inputs["metadata_1"][0, 1] == 1


@pytest.mark.slow
@pytest.mark.parametrize(("variant", "siamese"), [("stamp_26", 0), ("stacked", 0), ("separated", 0), ("separated", 1)])
def test_a_cut_network_says_the_same(variant, siamese):
    model = build(variant, width=0.25, siamese=siamese)
    inputs = model_inputs(variant, make_arrays(variant, 5))
    trunk, head = split_network(model)
    assert (trunk is None) == bool(siamese)
    if trunk is not None:
        vectors = trunk.predict_on_batch({name: x for name, x in inputs.items() if name.startswith("stamps")})
        inputs = vectors | {name: values for name, values in inputs.items() if not name.startswith("stamps")}
    expected = model(model_inputs(variant, make_arrays(variant, 5))).numpy()
    np.testing.assert_allclose(head.predict_on_batch(inputs), expected, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["stacked", "separated"])
def test_a_network_that_reads_one_number_depends_on_it_alone(variant):
    """The weights of the first dense layer are cut from all but one feature of the second alert."""
    model = build(variant, width=0.25)
    column = NAMES.index("magpsf")
    stacked = variant == "stacked"
    layer = model.get_layer("fully_connected_1" if stacked else "fully_connected_1_2")
    kernel, bias = layer.get_weights()
    row = kernel.shape[0] - 1 - 26 + column if stacked else kernel.shape[0] - 26 + column
    kernel[np.arange(len(kernel)) != row] = 0
    layer.set_weights([kernel, bias])
    if not stacked:
        join = model.get_layer("fully_connected_1")
        kernel, bias = join.get_weights()
        kernel[:16], kernel[-1] = 0, 0
        join.set_weights([kernel, bias])
    arrays = make_arrays(variant, 60)
    table = permute_network(model, variant, arrays, permutations=4, seed=1)
    worth = table.groupby("feature")["nll"].apply(lambda values: values.abs().max())
    assert len(table) == 4 * (26 + 4)
    assert worth["magpsf"] > 1e-3
    assert worth[ALL] > 1e-3
    assert worth.drop(["magpsf", ALL]).max() < 1e-6


@pytest.mark.slow
def test_shuffles_repeat_under_a_seed():
    model, arrays = build("stamp_26", width=0.25), make_arrays("stamp_26", 20)
    tables = [permute_network(model, "stamp_26", arrays, permutations=2, seed=seed) for seed in (1, 1, 2)]
    pd.testing.assert_frame_equal(tables[0], tables[1])
    assert not tables[0].equals(tables[2])
    keras.backend.clear_session()


def test_forest_and_network_stand_side_by_side_and_what_they_say_is_said():
    rng = np.random.default_rng(1)
    names = [*group_alerts([f"{name}_{i}" for i in (1, 2) for name in NAMES]), "ln_deltajd"]
    forest = pd.DataFrame({"feature": names})
    for measure in ("impurity", "permutation"):
        forest[[f"{measure}_mean", f"{measure}_std"]] = rng.random((27, 2))
        forest[f"{measure}_rank"] = forest[f"{measure}_mean"].rank(ascending=False).astype(int)
    network = pd.DataFrame({"feature": [*names[::-1], SKY, ALL, STAMPS], "n": 10})
    network[["accuracy_mean", "accuracy_std", "nll_mean", "nll_std"]] = rng.random((30, 4))
    table = compare_importance(forest, network)
    assert table["feature"].tolist() == names
    assert sorted(table["nll_rank"]) == list(range(1, 28))
    figure = plot_importances(table)
    assert [len(ax.patches) for ax in figure.axes] == [27] * 4
    figure.canvas.draw()
    plt.close(figure)
    lines = summarise_importance(table, network)
    assert lines[2].startswith(f"first five, network: {table.nsmallest(1, 'nll_rank')['feature'].item()}")
    assert sum(line.startswith("shuffling") for line in lines) == 3
