"""Averaged networks."""

import keras
import numpy as np
import pytest

from twostamp.data.arrays import Preparation
from twostamp.data.features import Scaler
from twostamp.models.architectures import build_model, input_shapes
from twostamp.models.classifier import Classifier
from twostamp.models.pretrained import average_classifiers

VARIANT = "one_or_two_drift_safe"


def make_classifier(seed):
    keras.utils.set_random_seed(seed)
    network = build_model(VARIANT, n_classes=3, crop_size=21, kernel_size=3, dropout_rate=0.3, width=0.1)
    rng = np.random.default_rng(1)
    scaler = Scaler.fit(rng.normal(size=(9, 30)), rng.normal(size=(9, 30)), rng.uniform(0.1, 9, 9))
    return Classifier(network, VARIANT, ("AGN", "SN", "VS"), 21, scaler, Preparation(), {"width": 0.1})


def make_inputs(n=5):
    rng = np.random.default_rng(4)
    return {name: rng.normal(size=(n, *shape)).astype(np.float32) for name, shape in input_shapes(VARIANT, 21).items()}


@pytest.mark.slow
def test_an_average_gives_the_mean_of_its_members_and_survives_saving(tmp_path):
    members = [make_classifier(seed) for seed in (1, 2, 3)]
    inputs = make_inputs()
    expected = np.mean([member.network.predict_on_batch(inputs) for member in members], axis=0)
    average = average_classifiers(members)
    np.testing.assert_allclose(average.network.predict_on_batch(inputs), expected, atol=1e-6)
    average.save(tmp_path / "model")
    loaded = Classifier.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.network.predict_on_batch(inputs), average.network.predict_on_batch(inputs))
    assert loaded.card["width"] == 0.1
