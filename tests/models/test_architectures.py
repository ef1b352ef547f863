"""Classifiers: sizes of thesis chapter 4, equal output for rotated stamps, saving, prediction."""

from pathlib import Path

import keras
import numpy as np
import pytest

from twostamp.data.arrays import Arrays
from twostamp.models.architectures import OTHER_LISTS, SECOND_SEEN, VARIANTS, build_model, input_shapes, name_variant
from twostamp.models.inference import model_inputs, predict
from twostamp.models.layers import DeepHiTS

pytestmark = pytest.mark.slow


def build(variant: str, **changes: float) -> keras.Model:
    keras.utils.set_random_seed(1)
    sizes = {"n_classes": 5, "crop_size": 21, "kernel_size": 3, "dropout_rate": 0.3} | changes
    return build_model(variant, **sizes)


def make_arrays(variant: str, n: int, crop: int = 21) -> Arrays:
    rng = np.random.default_rng(1)
    n_features = input_shapes(variant, crop).get("metadata_1", (26,))[0]
    stamps = rng.normal(size=(2, n, crop, crop, 3)).astype("float32")
    metadata = rng.normal(size=(2, n, n_features)).astype("float32")
    deltajd = rng.normal(size=(n, 1)).astype("float32")
    return Arrays(stamps[0], stamps[1], metadata[0], metadata[1], deltajd, np.arange(n) % 5, np.arange(n).astype(str))


@pytest.mark.parametrize(
    ("variant", "trainable", "total"),
    [
        ("stamp_23", 260851, 260897),
        ("stamp_26", 261049, 261101),
        ("stacked", 264365, 264469),
        ("separated", 546669, 546773),
    ],
)
def test_parameter_counts_are_those_of_decision_a8(variant: str, trainable: int, total: int) -> None:
    model = build(variant)
    assert sum(int(np.prod(weight.shape)) for weight in model.trainable_weights) == trainable
    assert model.count_params() == total


@pytest.mark.parametrize("variant", ["stamp_26", "stacked", "separated"])
def test_a_quarter_of_the_width_is_a_quarter_of_every_hidden_layer(variant: str) -> None:
    whole, narrow = build(variant), build(variant, width=0.25)
    for layer in whole.layers:
        if layer.name.startswith("fully_connected"):
            assert narrow.get_layer(layer.name).units == layer.units / 4
    assert narrow.output_shape == whole.output_shape
    assert whole.count_params() / 18 < narrow.count_params() < whole.count_params() / 10
    config = DeepHiTS(3, width=0.25).get_config()
    assert DeepHiTS.from_config(config)(np.zeros((1, 21, 21, 3), "float32")).shape == (1, 16)


@pytest.mark.parametrize("variant", [name for name in VARIANTS if name not in OTHER_LISTS])
def test_output_is_probabilities_for_any_number_of_classes(variant: str) -> None:
    for n_classes in (5, 20):
        model = build(variant, n_classes=n_classes)
        probabilities = predict(model, variant, make_arrays(variant, 7), batch_size=4)
        assert probabilities.shape == (7, n_classes)
        assert probabilities.dtype == np.float32
        np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("siamese", [False, True])
def test_a_second_alert_that_is_not_seen_has_no_effect(siamese: bool) -> None:
    model, arrays = build("one_or_two", siamese=siamese), make_arrays("one_or_two", 6)
    seen = model_inputs("one_or_two", arrays)
    assert (seen[SECOND_SEEN] == 1).all()
    hidden = seen | {SECOND_SEEN: np.zeros((6, 1), "float32")}
    expected = model.predict_on_batch(hidden)
    rng = np.random.default_rng(2)
    for name in ("stamps_2", "metadata_2", "deltajd"):
        other = rng.normal(scale=9, size=seen[name].shape).astype("float32")
        np.testing.assert_array_equal(model.predict_on_batch(hidden | {name: other}), expected)
        assert not np.allclose(model.predict_on_batch(seen | {name: other}), model.predict_on_batch(seen))
    assert not np.allclose(model.predict_on_batch(hidden | {"stamps_1": seen["stamps_2"]}), expected)
    np.testing.assert_array_equal(predict(model, "one_or_two", arrays.first_alone()), expected)


def test_one_batch_may_hold_objects_with_one_alert_and_with_two() -> None:
    model, arrays = build("one_or_two"), make_arrays("one_or_two", 4)
    inputs = model_inputs("one_or_two", arrays)
    mixed = model.predict_on_batch(inputs | {SECOND_SEEN: np.array([[1], [0], [1], [0]], "float32")})
    whole, first = (predict(model, "one_or_two", objects) for objects in (arrays, arrays.first_alone()))
    np.testing.assert_allclose(mixed, np.where([[True], [False], [True], [False]], whole, first), atol=1e-6)


def test_the_first_alert_alone_loses_only_what_belongs_to_the_second() -> None:
    arrays = make_arrays("one_or_two", 4)
    first = arrays.first_alone()
    assert first.stamps_1 is arrays.stamps_1
    assert first.labels is arrays.labels
    assert first.stamps_2 is first.metadata_2 is first.deltajd is None
    inputs = model_inputs("one_or_two", first)
    assert {name: values.shape[1:] for name, values in inputs.items()} == input_shapes("one_or_two", 21)
    assert not any(inputs[name].any() for name in ("stamps_2", "metadata_2", "deltajd", SECOND_SEEN))


@pytest.mark.parametrize("variant", ["stamp_23", "stacked", "separated"])
@pytest.mark.parametrize(("crop_size", "kernel_size"), [(21, 3), (42, 5)])
def test_rotated_stamps_give_the_same_output(variant: str, crop_size: int, kernel_size: int) -> None:
    model = build(variant, crop_size=crop_size, kernel_size=kernel_size)
    inputs = model_inputs(variant, make_arrays(variant, 3, crop_size))
    expected = model(inputs).numpy()
    for k in (1, 2, 3):
        rotated = {n: np.rot90(x, k, axes=(1, 2)).copy() if "stamps" in n else x for n, x in inputs.items()}
        np.testing.assert_allclose(model(rotated).numpy(), expected, atol=1e-5)


def test_deephits_is_the_mean_over_rotations_of_the_plain_network() -> None:
    keras.utils.set_random_seed(1)
    layer = DeepHiTS(kernel_size=3)
    stamps = np.random.default_rng(1).normal(size=(3, 21, 21, 6)).astype("float32")
    fast = layer(stamps).numpy()
    names = ("zero_padding", "convolution", "max_pooling", "flatten", "fully_connected")
    plain = [stage for stage in layer.stages if stage.name.startswith(names)]
    vectors = []
    for k in range(4):
        vector = np.rot90(stamps, k, axes=(1, 2)).copy()
        for stage in plain:
            vector = stage(vector)
        vectors.append(vector)
    np.testing.assert_allclose(fast, np.mean(vectors, axis=0), atol=1e-6)


def test_branches_of_separated_share_no_weights() -> None:
    model = build("separated")
    first, second = model.get_layer("deephits_1"), model.get_layer("deephits_2")
    assert not {id(w) for w in first.weights} & {id(w) for w in second.weights}


def test_siamese_branches_share_their_weights() -> None:
    siamese, branch = build("separated", siamese=True), build("stamp_26").count_params() - (64 + 1) * 5
    assert siamese.count_params() == build("separated").count_params() - branch
    inputs = model_inputs("separated", make_arrays("separated", 4))
    before = siamese.predict_on_batch(inputs)
    assert not np.allclose(before, siamese.predict_on_batch(inputs | {"stamps_2": inputs["stamps_1"]}))


@pytest.mark.parametrize("variant", ["stamp_23", "stacked", "separated"])
def test_three_dropouts_change_no_weight(variant: str) -> None:
    one, three = build(variant), build(variant, dropout_layers=3)
    dropouts = [sum(isinstance(layer, keras.layers.Dropout) for layer in model.layers) for model in (one, three)]
    assert dropouts[1] == 3 * dropouts[0]
    assert one.count_params() == three.count_params()


@pytest.mark.parametrize(("variant", "siamese"), [("stamp_26", 0), ("stacked", 0), ("separated", 0), ("separated", 1)])
def test_without_batch_normalisation_all_other_weights_are_the_same(variant: str, siamese: bool) -> None:
    with_it, without = build(variant, siamese=siamese), build(variant, siamese=siamese, batch_normalisation=False)
    kept = [weight for weight in with_it.weights if "batch_normalisation" not in weight.path]
    assert len(with_it.weights) > len(kept) == len(without.weights)
    for a, b in zip(kept, without.weights, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    arrays = make_arrays(variant, 4)
    assert np.isfinite(predict(without, variant, arrays)).all()


def test_other_lists_of_features_are_variants_of_the_three_architectures() -> None:
    assert name_variant("stacked", "thesis26") == "stacked"
    name = name_variant("separated", "thesis26_no_coordinates")
    assert input_shapes(name, 21)["metadata_2"] == (20,)
    assert input_shapes(name_variant("stamp", "drift_safe"), 21).keys() == {"stamps_1", "metadata_1"}
    assert predict(build(name), name, make_arrays(name, 2)).shape == (2, 5)


def test_deltajd_is_not_batch_normalised() -> None:
    model = build("stacked")
    assert model.get_layer("batch_normalisation").output.shape == (None, 52)
    assert model.get_layer("concatenation").output.shape == (None, 64 + 53)


@pytest.mark.parametrize("variant", ["stamp_26", "separated", "one_or_two"])
def test_a_saved_model_predicts_the_same(variant: str, tmp_path: Path) -> None:
    model, arrays = build(variant), make_arrays(variant, 4)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(predict(model, variant, arrays), predict(again, variant, arrays))


def test_prediction_in_parts_is_prediction_at_once() -> None:
    model, arrays = build("stacked"), make_arrays("stacked", 11)
    np.testing.assert_allclose(predict(model, "stacked", arrays, 4), predict(model, "stacked", arrays), atol=1e-6)


def test_no_objects_give_no_predictions() -> None:
    assert predict(build("stamp_23"), "stamp_23", make_arrays("stamp_23", 0)).shape == (0, 5)


def test_an_unknown_variant_is_named() -> None:
    with pytest.raises(ValueError, match=r"'stamp'; there are stamp_23"):
        build("stamp")
