"""Random forests on metadata: shapes, determinism, and the claims on importance."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import RandomForestClassifier

from twostamp.analysis.metadata_importance import FILTERS, check_claims
from twostamp.data.features import FEATURE_LISTS, feature_names_two
from twostamp.inspection.forest import fit_forests, permute_features, stack_metadata

WIDTH = len(FEATURE_LISTS["thesis26"])


def make_arrays(n, seed, n_classes=3):
    """Objects whose class is written in deltajd, so that a forest must find it."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % n_classes
    noise = rng.normal(size=(2, n, WIDTH)).astype("float32")
    deltajd = (labels + rng.normal(0, 0.2, n)).astype("float32")[:, None]
    return SimpleNamespace(metadata_1=noise[0], metadata_2=noise[1], deltajd=deltajd, labels=labels)


def fit(n_jobs=1, n_classes=3):
    options = {"features": "thesis26", "n_classes": n_classes, "count": 3, "trees": 8, "seed": 7, "n_jobs": n_jobs}
    return fit_forests(make_arrays(120, 1), make_arrays(60, 2), **options)


@pytest.fixture(scope="module")
def forests():
    return fit()


def test_the_53_features_are_in_the_order_of_their_names():
    arrays = make_arrays(4, 1)
    stacked = stack_metadata(arrays)
    assert stacked.shape == (4, 53) == (4, len(feature_names_two("thesis26")))
    np.testing.assert_array_equal(stacked[:, -1:], arrays.deltajd)
    np.testing.assert_array_equal(stacked[:, WIDTH : 2 * WIDTH], arrays.metadata_2)


def test_forests_find_the_feature_that_carries_the_class(forests):
    assert forests.confusions.shape == (3, 3, 3)
    assert forests.confusions.sum(axis=(1, 2)).tolist() == [60, 60, 60]
    assert forests.accuracies.min() > 0.6
    assert forests.importance["feature"].iloc[0] == "ln_deltajd"
    assert forests.importance["impurity_mean"].sum() == pytest.approx(1)
    assert forests.importance.set_index("feature").loc["ln_deltajd", "permutation_rank"] == 1


def test_the_number_of_threads_changes_nothing(forests):
    again = fit(n_jobs=2)
    np.testing.assert_array_equal(again.confusions, forests.confusions)
    pd.testing.assert_frame_equal(again.importance, forests.importance)


def test_permutation_in_one_call_equals_one_call_per_feature(forests):
    train, test = make_arrays(120, 1), make_arrays(60, 2)
    x, forest = stack_metadata(test), RandomForestClassifier(8, random_state=3)
    forest.fit(stack_metadata(train), train.labels)
    rng, slow = np.random.default_rng(5), []
    for feature in range(x.shape[1]):
        shuffled = x.copy()
        shuffled[:, feature] = rng.permutation(x[:, feature])
        slow.append(forest.score(x, test.labels) - forest.score(shuffled, test.labels))
    np.testing.assert_allclose(permute_features(forest, x, test.labels, seed=5), slow, atol=1e-12)


def test_a_class_that_no_object_has_keeps_its_row():
    assert fit(n_classes=4).confusions.shape == (3, 4, 4)


def ranked(first, last):
    names = [n for n in feature_names_two("thesis26") if n not in (*first, *last)]
    order = [*first, *names, *last]
    ranks = range(1, len(order) + 1)
    return pd.DataFrame({"feature": order, "impurity_rank": ranks, "permutation_rank": list(ranks)[::-1]})


def test_first_alerts_alone_give_their_own_features():
    train, test = make_arrays(60, 1), make_arrays(30, 2)
    for arrays in (train, test):
        arrays.metadata_2 = arrays.deltajd = None
    forests = fit_forests(train, test, features="thesis26", n_classes=3, count=1, trees=5, seed=1)
    assert set(forests.importance["feature"]) == {f"{name}_1" for name in FEATURE_LISTS["thesis26"]}
    assert not check_claims(forests.importance)["impurity holds"].iloc[0]


def test_claims_hold_when_the_ranking_is_the_thesis_one():
    first = ["ln_deltajd", "distpsnr1_1", "distpsnr1_2", "magpsf_1", "magpsf_2", "ndethist_1", "ndethist_2"]
    claims = check_claims(ranked(first, FILTERS))
    assert claims["impurity holds"].all()
    assert not claims["permutation holds"].any()
    assert claims["impurity ranks"].iloc[-1] == "50, 51, 52, 53"


def test_claims_fail_one_by_one():
    claims = check_claims(ranked(["magpsf_1", "ln_deltajd", "magpsf_2"], ["fid_g_1", "ndethist_2"]))
    assert claims["impurity holds"].tolist() == [False, False, True, False, False]


def test_a_list_without_a_feature_does_not_support_a_claim_on_it():
    claims = check_claims(ranked(["ln_deltajd"], FILTERS).query("~feature.str.startswith('ndethist')"))
    assert not claims.set_index("section").loc["6.11", "impurity holds"]
