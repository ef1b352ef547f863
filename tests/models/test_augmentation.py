"""Hidden second alerts and weather gaps in training: drawn as asked, from the seed, on physical days, off otherwise."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.models.test_architectures import make_arrays
from tests.models.test_search import SMALL, make_records
from tests.models.test_training import make_dataset
from twostamp.data.feature_lists import DELTAJD_FLOOR
from twostamp.data.tfrecords import Records
from twostamp.models import trial
from twostamp.models.architectures import SECOND_SEEN, input_shapes
from twostamp.models.augmentation import Augmentation, augment_batches, lengthen
from twostamp.models.search import make_repeats
from twostamp.models.training import make_batches
from twostamp.models.trial import Job, TrainingConfig
from twostamp.params import Parameters
from twostamp.taxonomy import CLASSES
from twostamp.utils.fingerprints import hash_code

pytestmark = pytest.mark.slow
SCALE = (0.7, 2.3)


def make_days(days, n=200):
    standardised = (np.log(days) - SCALE[0]) / SCALE[1]
    inputs = {"deltajd": np.full((n, 1), standardised, "float32"), "stamps_1": np.arange(n, dtype="float32")}
    return tf.data.Dataset.from_tensor_slices((inputs, np.eye(5, dtype="float32")[np.arange(n) % 5])).batch(20).repeat()


def draw(augmentation, seed=1, days=2.0, steps=50):
    drawn = [inputs for inputs, _ in augment_batches(make_days(days), augmentation, SCALE, seed, 50).take(steps)]
    columns = {name: np.concatenate([inputs[name].numpy() for inputs in drawn]) for name in drawn[0]}
    return columns[SECOND_SEEN][:, 0], np.exp(columns["deltajd"][:, 0] * SCALE[1] + SCALE[0]), columns["stamps_1"]


@given(st.floats(1e-3, 100), st.floats(0.5, 60))
@settings(max_examples=30, deadline=None)
def test_nights_are_added_to_physical_days(days, nights):
    before = tf.constant([[(math.log(days) - SCALE[0]) / SCALE[1]]], tf.float32)
    after = math.exp(float(lengthen(before, tf.constant([[nights]]), SCALE)[0, 0]) * SCALE[1] + SCALE[0])
    assert after == pytest.approx(days + nights, rel=1e-4)
    assert float(lengthen(before, tf.constant([[0.0]]), SCALE)[0, 0]) == float(before[0, 0])


def test_days_below_the_floor_count_as_the_floor():
    before = tf.constant([[(math.log(1e-9) - SCALE[0]) / SCALE[1]]], tf.float32)
    after = float(lengthen(before, tf.constant([[1e-6]]), SCALE)[0, 0]) * SCALE[1] + SCALE[0]
    assert math.exp(after) == pytest.approx(DELTAJD_FLOOR, rel=0.02)


def test_second_alerts_are_hidden_with_the_given_probability_and_anew_at_each_step():
    seen, days, _ = draw(Augmentation(hide_second=0.3))
    assert set(seen) == {0, 1}
    assert seen.mean() == pytest.approx(0.7, abs=4 * math.sqrt(0.21 / seen.size))
    assert np.unique(seen.reshape(50, 20), axis=0).shape[0] > 40
    assert np.ptp(days) == 0


def test_gaps_have_the_given_share_and_log_uniform_lengths():
    seen, days, stamps = draw(Augmentation(cadence_share=0.4, cadence_gap=30.0, cadence_start=0.0))
    gaps = days - 2.0
    chosen = gaps > 0.5
    assert (seen == 1).all()
    assert chosen.mean() == pytest.approx(0.4, abs=4 * math.sqrt(0.24 / gaps.size))
    assert gaps[chosen].min() > 0.99
    assert gaps[chosen].max() < 30.1
    assert np.log(gaps[chosen]).mean() == pytest.approx(math.log(30) / 2, abs=0.2)
    assert gaps[~chosen] == pytest.approx(0, abs=1e-5)
    assert (stamps.reshape(5, 200) == np.arange(200)).all()


def test_gaps_come_when_a_part_of_the_training_is_over():
    _, days, _ = draw(Augmentation(cadence_share=1.0, cadence_start=0.6))
    assert ((days.reshape(50, 20) > 2.9).all(axis=1) == (np.arange(50) >= 30)).all()
    assert days[: 30 * 20] == pytest.approx(2.0, rel=1e-5)


def test_no_gap_is_drawn_for_asteroids():
    always = Augmentation(cadence_share=1.0, cadence_start=0.0)
    column = always.find_moving(CLASSES)
    assert CLASSES[column] == "asteroid"
    assert always.find_moving(("SN", "VS")) == -1
    batches = augment_batches(make_days(2.0), always, SCALE, 1, 50, column).take(10)
    drawn = [(labels.numpy(), inputs["deltajd"].numpy()[:, 0]) for inputs, labels in batches]
    labels, after = (np.concatenate(values) for values in zip(*drawn, strict=True))
    days = np.exp(after * SCALE[1] + SCALE[0])
    moves = labels.argmax(axis=1) == column
    assert days[moves] == pytest.approx(2.0, rel=1e-5)
    assert (days[~moves] > 2.9).all()


def test_the_same_seed_draws_the_same_and_another_does_not():
    augmentation = Augmentation(0.5, 0.5, cadence_start=0.0)
    first, again, other = (draw(augmentation, seed, steps=3) for seed in (1, 1, 2))
    for i in range(2):
        np.testing.assert_array_equal(first[i], again[i])
        assert (first[i] != other[i]).any()


def test_without_an_augmentation_all_second_alerts_are_seen():
    arrays = make_arrays("one_or_two", 10)
    inputs, _ = next(iter(make_batches(make_dataset(arrays), "one_or_two")))
    assert set(inputs) == set(input_shapes("one_or_two", 21))
    assert inputs[SECOND_SEEN].numpy().tolist() == [[1.0]] * 5
    plain, _ = next(iter(make_batches(make_dataset(arrays), "separated")))
    assert SECOND_SEEN not in plain


def make_job(variant, records, folder, **changes):
    params = Parameters(epochs=1, **changes)
    (trial,) = make_repeats(variant, SMALL, 1, seed=1)
    return Job(trial, records, folder, TrainingConfig.of(params))


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    return make_records(tmp_path_factory.mktemp("data"))


def test_the_thesis_recipe_draws_nothing(records: Records, tmp_path: Path):
    plain = make_job("separated", records, tmp_path)
    assert plain.config.augment("separated") is None
    options = {"warmup_fraction": 0.05, "dropout_layers": 1, "siamese": False, "entropy_beta": 0.0}
    options |= {"mixed_precision": False, "threads_per_trial": 1, "batch_normalisation": True, "engine": "tensorflow"}
    options["code"] = hash_code(Path(trial.__file__).parent, trial._CODE)
    made_with = {"data": records.info.fingerprint, "width": 0.25, "epochs": 1, "metadata_recipe": "thesis"} | options
    assert plain.describe()["settings"] == made_with
    assert make_job("stamp_26", records, tmp_path, cadence_augmentation=True).config.augment("stamp_26") is None
    assert make_job("separated", records, tmp_path, hide_second=0.9).config.augment("separated") is None


def test_a_result_of_another_augmentation_or_other_code_is_made_again(
    records: Records, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    job = make_job("one_or_two", records, tmp_path)
    weights = {which: {"weights": job.path.name} for which in ("last", "best")}
    job.path.write_text(json.dumps(job.describe() | weights | {"status": "done"}))
    assert job.is_finished()
    assert make_job("one_or_two", records, tmp_path, hide_second=0.5).is_finished()
    for changed in ({"hide_second": 0.4}, {"cadence_augmentation": True}):
        assert not make_job("one_or_two", records, tmp_path, **changed).is_finished()
    monkeypatch.setattr(trial, "_CODE", ("layers.py",))
    assert not make_job("one_or_two", records, tmp_path).is_finished()


def test_gaps_change_only_what_they_should_in_real_batches(records: Records):
    batches = records.batches(6, seed=1).take(1).cache()
    scale = records.scaler.deltajd
    plain, labels = next(iter(batches))
    changed, same = next(iter(augment_batches(batches, Augmentation(0.0, 1.0, 30.0, 0.0), scale, 3, 1)))
    days = {name: np.exp(inputs["deltajd"] * scale[1] + scale[0]) for name, inputs in (("a", plain), ("b", changed))}
    assert ((days["b"] - days["a"]) > 0.98).all()
    for name in ("stamps_1", "stamps_2", "metadata_1", "metadata_2"):
        np.testing.assert_array_equal(plain[name], changed[name])
    np.testing.assert_array_equal(labels, same)
