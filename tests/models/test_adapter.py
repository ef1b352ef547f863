"""Ageing undone without labels: maps keep the order, and a night comes back to what the model learned from."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats import norm

from twostamp.data.arrays import Preparation, UnscaledArrays
from twostamp.data.features import ALL_FEATURES, FEATURE_LISTS, Scaler
from twostamp.data.survey_age import SurveyAges
from twostamp.models.adapter import LEAST, Adapter, AdapterError, match_quantiles
from twostamp.models.classifier import Classifier, ModelError

CLASSES = ("AGN", "SN", "VS")
COVERAGE, MAGNITUDE = ALL_FEATURES.index("ncovhist"), ALL_FEATURES.index("magpsf")
FILTER_R = ALL_FEATURES.index("fid_r")
GROWTH = 12.0

numbers = hnp.arrays(np.int64, st.integers(1, 60), elements=st.integers(0, 30))


def match_plainly(values, training, weights):
    """Each value by itself: walk through the sorted training values until its rank is reached."""
    mapped = []
    for value in values:
        rank = (np.mean(values < value) + np.mean(values <= value)) / 2
        pairs = sorted(zip(training, weights, strict=True))
        reached = np.cumsum([weight for _, weight in pairs]) / np.sum(weights)
        mapped.append(
            next((wanted for (wanted, _), share in zip(pairs, reached) if share >= rank - 1e-9), pairs[-1][0])
        )
    return np.array(mapped, float)


@given(numbers, numbers, st.integers(0, 10**6))
@settings(max_examples=60, deadline=None)
def test_each_value_becomes_the_training_value_of_its_rank(values, training, seed):
    weights = np.random.default_rng(seed).uniform(0.1, 1, len(training))
    knots, mapped = match_quantiles(values, training, weights)
    np.testing.assert_allclose(np.interp(values, knots, mapped), match_plainly(values, training, weights))
    assert (np.diff(knots) > 0).all()
    assert (np.diff(mapped) >= 0).all()


@given(hnp.arrays(np.int64, st.integers(1, 400), elements=st.integers(-5, 40)))
@settings(max_examples=40, deadline=None)
def test_what_is_distributed_as_the_training_set_is_left_as_it_is(values):
    np.testing.assert_array_equal(np.interp(values, *match_quantiles(values, values, np.ones(len(values)))), values)


def test_few_knots_hold_a_smooth_map():
    values = np.random.default_rng(1).lognormal(5, 0.5, 5000)
    knots, mapped = match_quantiles(GROWTH * values, values, np.ones(5000))
    inner = np.quantile(values, [0.1, 0.5, 0.9])
    np.testing.assert_allclose(np.interp(GROWTH * inner, knots, mapped), inner, rtol=0.01)


@dataclass
class Bayes:
    """A network that knows the training distributions, of equal classes: magnitude and, misled by age, coverage."""

    scaler: Scaler

    def predict_on_batch(self, inputs):
        metadata = inputs["metadata_1"]
        names = [name for name in ALL_FEATURES if name in ("ncovhist", "magpsf")]
        columns = {}
        for name in names:
            place, there = ALL_FEATURES.index(name), LIST.index(name)
            columns[name] = metadata[:, there] * self.scaler.std[0, place] + self.scaler.mean[0, place]
        label = np.arange(len(CLASSES))
        magnitude = norm.pdf(columns["magpsf"][:, None], 16 + 1.5 * label, 1)
        coverage = norm.pdf(np.log(np.maximum(columns["ncovhist"], 1))[:, None], 4 + 0.8 * label, 0.5)
        likelihood = magnitude * coverage + 1e-30
        return likelihood / likelihood.sum(axis=1, keepdims=True)


LIST = FEATURE_LISTS["thesis26"]


def make_objects(n, shares, growth=1.0, seed=1):
    """Objects with a coverage that grew, and their classes."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(len(CLASSES), n, p=shares)
    features = np.ones((n, len(ALL_FEATURES)), np.float32)
    features[:, MAGNITUDE] = rng.normal(16 + 1.5 * labels, 1)
    features[:, COVERAGE] = growth * np.exp(rng.normal(4 + 0.8 * labels, 0.5))
    features[:, FILTER_R], features[:, ALL_FEATURES.index("fid_g")] = np.arange(n) % 2, np.arange(n) % 2 == 0
    stamps = np.zeros((n, 21, 21, 3), np.float32)
    return UnscaledArrays([stamps], [features], None, np.arange(n).astype(str)), labels


@pytest.fixture(scope="module")
def classifier():
    objects, labels = make_objects(3000, np.full(3, 1 / 3))
    features = objects.metadata[0]
    scaler = Scaler.fit(features, features, np.zeros(len(features)))
    ages = SurveyAges.measure(objects.metadata, labels)
    return Classifier(Bayes(scaler), "stamp_26", CLASSES, 21, scaler, Preparation(), ages=ages)


MIX = np.array([0.7, 0.25, 0.05])


def test_a_night_of_another_age_and_mix_is_recognised_again(classifier):
    young, labels = make_objects(1500, MIX, seed=2)
    old, _ = make_objects(1500, MIX, GROWTH, seed=2)
    fresh, aged = (classifier.predict_unscaled(each).argmax(axis=1) == labels for each in (young, old))
    assert aged.mean() < fresh.mean() - 0.2
    adapted = classifier.adapt(old, night="2023-10-18")
    mended = adapted.predict_unscaled(old).argmax(axis=1) == labels
    assert mended.mean() > fresh.mean() - 0.03
    adapter = adapted.scaler.adapter
    assert (adapter.night, adapter.alerts) == ("2023-10-18", 1500)
    np.testing.assert_allclose(list(adapter.shares.values()), MIX, atol=0.05)
    ratio = adapter.apply(old.metadata[0])[:, COVERAGE] / young.metadata[0][:, COVERAGE]
    assert np.abs(np.log(ratio)).mean() < 0.15
    plain = match_quantiles(old.metadata[0][:, COVERAGE], *make_training(classifier))
    wrong = np.interp(old.metadata[0][:, COVERAGE], *plain) / young.metadata[0][:, COVERAGE]
    assert np.abs(np.log(wrong)).mean() > 0.4  # where the night is taken to have the mix of the training set


def make_training(classifier):
    values = classifier.ages.values[:, 1]
    return values, np.ones(len(values))


def test_a_night_like_the_training_set_is_hardly_changed(classifier):
    night, _ = make_objects(3000, np.full(3, 1 / 3), seed=5)
    before = night.metadata[0]
    after = classifier.adapt(night).scaler.adapter.apply(before)
    middle = np.argsort(before[:, COVERAGE])[150:-150]
    assert np.abs(np.log(after[middle, COVERAGE] / before[middle, COVERAGE])).mean() < 0.08
    others = [place for place in range(len(ALL_FEATURES)) if place != COVERAGE]
    np.testing.assert_array_equal(after[:, others], before[:, others])


def test_order_is_kept_within_a_filter_and_what_is_missing_stays_missing(classifier):
    night, _ = make_objects(600, MIX, GROWTH, seed=3)
    features = night.metadata[0]
    features[:5, COVERAGE], features[5:9, COVERAGE] = -999, np.nan
    mapped = classifier.adapt(night).scaler.adapter.apply(features)
    assert (mapped[:5, COVERAGE] == -999).all()
    assert np.isnan(mapped[5:9, COVERAGE]).all()
    for band in (0, 1):
        rows = np.flatnonzero((features[:, FILTER_R] == band) & (features[:, COVERAGE] > 0))
        order = np.argsort(features[rows, COVERAGE])
        assert (np.diff(mapped[rows][order, COVERAGE]) >= 0).all()


def test_a_filter_and_a_field_are_mapped_by_themselves_where_alerts_suffice(classifier):
    night, _ = make_objects(600, MIX, GROWTH, seed=3)
    features = night.metadata[0]
    features[features[:, FILTER_R] == 1, COVERAGE] *= 3
    maps = classifier.adapt(night).scaler.adapter.maps
    assert set(maps) == {"", "g", "r", "g 12.0", "r 12.0"}  # one field of both
    mapped = classifier.adapt(night).scaler.adapter.apply(features)[:, COVERAGE]
    medians = [np.median(mapped[features[:, FILTER_R] == band]) for band in (0, 1)]
    assert medians[1] == pytest.approx(medians[0], rel=0.2)
    few = features[:, FILTER_R] == 1
    few[np.flatnonzero(few)[: LEAST - 1]] = False
    left = UnscaledArrays([night.stamps[0][~few]], [features[~few]], None, night.object_ids[~few])
    assert set(classifier.adapt(left).scaler.adapter.maps) == {"", "g", "g 12.0"}


def test_what_cannot_be_adapted_is_refused_in_a_sentence(classifier):
    few, _ = make_objects(LEAST - 1, MIX)
    with pytest.raises(AdapterError, match=f"{LEAST - 1} objects are too few .* {LEAST} are needed"):
        classifier.adapt(few)
    night, _ = make_objects(100, MIX)
    with pytest.raises(AdapterError, match="does not know the ages of its training set"):
        replace(classifier, ages=None).adapt(night)
    known = classifier.ages
    without = SurveyAges(known.values, known.groups, known.order, np.minimum(known.labels, 1))
    with pytest.raises(AdapterError, match="has no VS"):
        classifier.adapt(night, without)


def test_an_adapter_is_kept_beside_a_classifier(classifier, tmp_path):
    night, _ = make_objects(600, MIX, GROWTH, seed=3)
    adapted = classifier.adapt(night, night="2023-10-18")
    adapted.scaler.adapter.save(tmp_path / "adapter.json")
    again = Adapter.load(tmp_path / "adapter.json").wrap(classifier)
    np.testing.assert_array_equal(again.predict_unscaled(night), adapted.predict_unscaled(night))
    other = replace(classifier, scaler=replace(classifier.scaler, deltajd=(0.0, 2.0)))
    with pytest.raises(AdapterError, match="night '2023-10-18' is of another training set"):
        Adapter.load(tmp_path / "adapter.json").wrap(other)
    replace(adapted.scaler.adapter, scaler="").wrap(other)  # of an earlier version
    with pytest.raises(AdapterError, match="holds no adapter"):
        Adapter.load(tmp_path / "none.json")
    (tmp_path / "other.json").write_text('{"night": ""}')
    with pytest.raises(AdapterError, match="holds no adapter"):
        Adapter.load(tmp_path / "other.json")


def test_a_model_that_its_folder_would_not_hold_is_not_saved(classifier, tmp_path):
    night, _ = make_objects(100, MIX)
    for changed in (classifier.adapt(night), replace(classifier, first_alone=True)):
        with pytest.raises(ModelError, match="give the adapter to load, and call at_first_alert"):
            changed.save(tmp_path / "model")
    assert not list(tmp_path.iterdir())
