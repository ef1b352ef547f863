"""Integrated gradients and occlusion: axioms on a random network, and on one whose right answer is known."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tests.models.test_architectures import build, make_arrays
from tests.models.test_search import make_records
from twostamp.data.arrays import Preparation
from twostamp.inspection.attribution import (
    ExplainedObjects,
    LogOdds,
    completeness_gap,
    integrate_gradients,
    load_explained_objects,
    mean_inputs,
    occlude,
    patch_starts,
    pool_patches,
    randomise,
    rotate_stamps,
    summarise_completeness,
)
from twostamp.models.architectures import input_shapes
from twostamp.models.classifier import Classifier
from twostamp.models.inference import model_inputs, predict

pytestmark = pytest.mark.slow
N = 3


@pytest.fixture(scope="module", params=["stamp_26", "stacked", "separated"])
def network(request: Any) -> tuple[keras.Model, dict[str, np.ndarray], dict[str, np.ndarray], np.ndarray]:
    """A network, its objects, a lopsided baseline, and the class to explain."""
    model = build(request.param, width=0.25)
    inputs = model_inputs(request.param, make_arrays(request.param, N))
    rng = np.random.default_rng(2)
    baseline = {name: rng.normal(0, 0.1, values.shape[1:]).astype("float32") for name, values in inputs.items()}
    return model, inputs, baseline, np.array([0, 3, 3])


def test_log_odds_are_those_of_the_probability(network: Any) -> None:
    model, inputs, _, targets = network
    p = model.predict_on_batch(inputs)[np.arange(N), targets].astype(float)
    np.testing.assert_allclose(LogOdds(model)(inputs, targets), np.log(p / (1 - p)), atol=1e-4)


def test_gradients_are_slopes(network: Any) -> None:
    model, inputs, _, targets = network
    log_odds = LogOdds(model)
    gradients = log_odds.gradients(inputs, targets)
    step = 1e-2
    moved = [
        inputs | {"metadata_1": inputs["metadata_1"] + sign * step * np.eye(26, dtype="f4")[4]} for sign in (1, -1)
    ]
    slope = (log_odds(moved[0], targets) - log_odds(moved[1], targets)) / (2 * step)
    # a rectifier's kink may lie between the two points of one object
    assert np.isclose(gradients["metadata_1"][:, 4], slope, atol=3e-3).sum() >= N - 1


def test_attributions_sum_to_the_difference_from_the_baseline(network: Any) -> None:
    model, inputs, baseline, targets = network
    objects = ExplainedObjects(LogOdds(model), inputs, baseline, targets)
    attributions = integrate_gradients(objects, steps=32)
    assert {name: values.shape for name, values in attributions.items()} == {k: v.shape for k, v in inputs.items()}
    expected, gap = completeness_gap(objects, attributions)
    strength = sum(np.abs(values).reshape(N, -1).sum(axis=1) for values in attributions.values())
    assert np.abs(expected).max() > 0.05
    assert (np.abs(gap) < 0.02 * strength).all()
    assert "miss it by 0.0" in summarise_completeness(objects, attributions)


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_attributions_turn_with_the_object_though_the_baseline_does_not(network: Any, turns: int) -> None:
    model, inputs, baseline, targets = network
    objects = ExplainedObjects(LogOdds(model), inputs, baseline, targets)
    upright = integrate_gradients(objects, steps=3)
    turned = integrate_gradients(objects._replace(inputs=rotate_stamps(inputs, turns)), steps=3)
    for name, values in rotate_stamps(upright, turns).items():
        np.testing.assert_allclose(turned[name], values, atol=1e-5)
    assert not np.allclose(turned["stamps_1"], upright["stamps_1"], atol=1e-5)


def test_what_equals_the_baseline_gets_nothing(network: Any) -> None:
    model, inputs, baseline, targets = network
    symmetric = baseline | {name: np.full_like(values, 0.1) for name, values in baseline.items() if "stamps" in name}
    half = inputs["stamps_1"].copy()
    half[:, :, :, 2] = 0.1
    objects = ExplainedObjects(LogOdds(model), inputs | {"stamps_1": half}, symmetric, targets)
    attributions = integrate_gradients(objects, steps=3)
    assert (attributions["stamps_1"][..., 2] == 0).all()
    assert (attributions["stamps_1"][..., :2] != 0).any()


def test_occlusion_is_what_is_lost_without_a_patch(network: Any) -> None:
    model, inputs, baseline, targets = network
    log_odds = LogOdds(model)
    lost = occlude(ExplainedObjects(log_odds, inputs, baseline, targets))
    alerts = sum(name.startswith("stamps") for name in inputs)
    assert lost.shape == (N, alerts, 3, 7, 7)
    changed = inputs["stamps_1"].copy()
    changed[:, 6:9, 15:18, 1] = baseline["stamps_1"][6:9, 15:18, 1]
    expected = log_odds(inputs, targets) - log_odds(inputs | {"stamps_1": changed}, targets)
    np.testing.assert_allclose(lost[:, 0, 1, 2, 5], expected, atol=1e-5)


def test_pooling_adds_up_the_same_patches() -> None:
    rng = np.random.default_rng(1)
    for crop in (21, 41, 42, 63):
        stamps = {f"stamps_{alert}": rng.normal(size=(2, crop, crop, 3)) for alert in (1, 2)}
        side, starts = patch_starts(crop)
        pooled = pool_patches(stamps | {"deltajd": np.ones((2, 1))})
        assert pooled.shape == (2, 2, 3, len(starts), len(starts))
        cut = stamps["stamps_2"][1, starts[3] : starts[3] + side, starts[6] : starts[6] + side, 2]
        assert pooled[1, 1, 2, 3, 6] == pytest.approx(cut.sum())


def test_both_find_the_only_pixel_that_counts() -> None:
    """A network without convolutions that knows one pixel of one stamp."""
    stamps, metadata = keras.Input((21, 21, 3), name="stamps_1"), keras.Input((2,), name="metadata_1")
    hidden = keras.layers.Concatenate()([keras.layers.Flatten()(stamps), metadata])
    output = keras.layers.Dense(2, activation="softmax")
    model = keras.Model({"stamps_1": stamps, "metadata_1": metadata}, output(hidden))
    kernel = np.zeros(output.kernel.shape, "f4")
    place = (10 * 21 + 10) * 3 + 2  # the centre, which no rotation moves
    kernel[place, 1] = 2.0
    output.set_weights([kernel, np.zeros(2, "f4")])
    inputs = {"stamps_1": np.ones((1, 21, 21, 3), "f4"), "metadata_1": np.ones((1, 2), "f4")}
    baseline = {name: np.zeros(values.shape[1:], "f4") for name, values in inputs.items()}
    objects = ExplainedObjects(LogOdds(model), inputs, baseline, np.array([1]))
    attributions = integrate_gradients(objects, steps=4)
    assert attributions["stamps_1"][0, 10, 10, 2] == pytest.approx(2)
    assert np.abs(attributions["stamps_1"]).sum() == pytest.approx(2)
    assert np.abs(attributions["metadata_1"]).sum() == 0
    lost = occlude(objects)
    assert lost[0, 0, 2, 3, 3] == pytest.approx(2, abs=1e-5)
    np.testing.assert_allclose(pool_patches(attributions), lost, atol=1e-5)


def test_many_objects_are_explained_in_parts_as_at_once() -> None:
    model = build("stamp_26", width=0.25)
    inputs = model_inputs("stamp_26", make_arrays("stamp_26", 70))
    targets = np.arange(70) % 5
    log_odds = LogOdds(model)
    last = {name: values[68:] for name, values in inputs.items()}
    np.testing.assert_allclose(log_odds(inputs, targets)[68:], log_odds(last, targets[68:]), atol=1e-5)
    together = log_odds.gradients(inputs, targets)["stamps_1"][68:]
    np.testing.assert_allclose(together, log_odds.gradients(last, targets[68:])["stamps_1"], atol=1e-5)


def test_a_random_network_has_the_form_and_not_the_weights() -> None:
    model = build("stacked", width=0.25)
    other, again = (randomise(model, seed) for seed in (5, 5))
    assert [w.shape for w in other.weights] == [w.shape for w in model.weights]
    assert not np.array_equal(other.weights[0].numpy(), model.weights[0].numpy())
    np.testing.assert_array_equal(other.weights[0].numpy(), again.weights[0].numpy())


def test_the_baseline_is_the_mean_of_the_training_set(tmp_path: Path) -> None:
    records = make_records(tmp_path)
    baseline = mean_inputs(records, input_shapes("stacked", 21), seed=1, crop=21)
    assert {name: values.shape for name, values in baseline.items()} == input_shapes("stacked", 21)
    train = records.arrays("train")
    np.testing.assert_allclose(baseline["stamps_1"], train.stamps_1.mean(axis=0), atol=0.05)
    np.testing.assert_allclose(baseline["metadata_2"], 0, atol=0.05)


def test_the_predicted_class_is_explained_of_the_objects_chosen(tmp_path: Path) -> None:
    records, variant = make_records(tmp_path), "stacked_drift_safe"
    model, arrays = build(variant, n_classes=3, width=0.25), make_arrays(variant, 9)
    classifier = Classifier(model, variant, ("a", "b", "c"), 21, records.scaler, Preparation())
    objects = load_explained_objects(classifier, arrays, [1, 7], records, seed=1)
    assert objects.targets.tolist() == predict(model, variant, arrays).argmax(axis=1)[[1, 7]].tolist()
    assert (objects.log_odds(objects.inputs, objects.targets) > -np.log(2)).all()
    np.testing.assert_array_equal(objects.inputs["deltajd"], arrays.deltajd[[1, 7]])
    assert objects.baseline["metadata_1"].shape == (24,)
    other = objects.with_random_weights(2)
    assert not np.allclose(
        other.log_odds(objects.inputs, objects.targets), objects.log_odds(objects.inputs, objects.targets)
    )
