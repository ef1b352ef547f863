"""Survey-age features of a training set: what is kept of them, and by what they are grouped."""

import numpy as np

from twostamp.data.feature_lists import ALL_FEATURES, FEATURE_LISTS, SURVEY_AGE
from twostamp.data.survey_age import SurveyAges, name_groups


def make_features(n=40, seed=1, **columns):
    features = np.random.default_rng(seed).uniform(1, 50, (n, len(ALL_FEATURES))).astype(np.float32)
    for name in ("fid_g", "fid_r"):
        features[:, ALL_FEATURES.index(name)] = np.arange(n) % 2 == (name == "fid_r")
    for name, values in columns.items():
        features[:, ALL_FEATURES.index(name)] = values
    return features


def test_what_drift_safe_leaves_out_or_makes_of_counts_is_all_that_ages():
    assert set(SURVEY_AGE) == (set(FEATURE_LISTS["thesis26"]) ^ set(FEATURE_LISTS["drift_safe"]))


def test_alerts_keep_their_order_label_and_missing_values():
    first, second = make_features(ncovhist=-999), make_features(seed=2)
    second[3, ALL_FEATURES.index("ndethist")] = np.nan
    ages = SurveyAges.measure([first, second], np.arange(40) % 5)
    assert ages.order.tolist() == [1] * 40 + [2] * 40
    assert ages.labels.tolist() == 2 * (np.arange(40) % 5).tolist()
    assert np.isnan(ages.values[:40, SURVEY_AGE.index("ncovhist")]).all()
    assert np.isnan(ages.values[43, SURVEY_AGE.index("ndethist")])
    assert np.isfinite(ages.values[40:]).sum() == 40 * len(SURVEY_AGE) - 1
    assert len(ages.first(1).labels) == 40
    assert len(ages.first(2).labels) == 80


def test_a_file_gives_back_what_was_saved_in_the_same_bytes(tmp_path):
    ages = SurveyAges.measure([make_features()], np.arange(40) % 5)
    for name in "ab":
        ages.save(tmp_path / f"{name}.npz")
    read = SurveyAges.load(tmp_path / "a.npz")
    for name, values in vars(ages).items():
        np.testing.assert_array_equal(getattr(read, name), values)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    assert SurveyAges.load(tmp_path / "none.npz") is None


def test_fields_are_of_the_size_of_ztfs_wherever_they_lie():
    rng = np.random.default_rng(3)
    dec = np.degrees(np.arcsin(rng.uniform(-0.5, 1, 20_000)))
    groups = name_groups(make_features(20_000, ra=rng.uniform(0, 360, 20_000), dec=dec))
    assert set(groups[:, 1]) == {"g", "r"}
    _, counts = np.unique([name.split()[1] for name in groups[:, 2]], return_counts=True)
    sky = 0.75 * 41_253  # square degrees of which they are
    assert 45 < sky / len(counts) < 60  # a field of ZTF has 47, and some at the ends of rows are cut
    assert np.quantile(counts, 0.9) < 1.7 * np.median(counts)


def test_a_filter_that_is_neither_and_a_missing_position_have_groups():
    odd = make_features(1, fid_g=0, fid_r=0, ra=np.nan, dec=np.nan)
    assert name_groups(odd)[0].tolist() == ["", "i", "i 12.0"]
