"""Features: names and order, the values of real packets, and a scaler that round-trips and refuses strangers."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest
from astropy.coordinates import SkyCoord
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tests.conftest import make_alert
from twostamp.alerts.archive import iter_members
from twostamp.alerts.packet import read_packets
from twostamp.data.features import (
    _CLIPS,
    ALL_FEATURES,
    FEATURE_LISTS,
    PACKET_FIELDS,
    Scaler,
    compute_features,
    count_other_filters,
    feature_names_two,
    ln_deltajd,
    packet_fields,
)
from twostamp.utils.coordinates import sky_coordinates

ALERCE = [
    *("sgscore1", "distpsnr1", "sgscore2", "distpsnr2", "sgscore3", "distpsnr3", "isdiffpos", "fwhm", "magpsf"),
    *("sigmapsf", "ra", "dec", "diffmaglim", "classtar", "ndethist", "ncovhist", "ecl_lat", "ecl_long", "gal_lat"),
    *("gal_long", "non_detections", "chinr", "sharpnr"),
]

# as the packet of candid 975188141815015112 (2020, r band) has them
GOLDEN = {
    "sgscore1": 0.946042,
    "distpsnr1": 0.184278,
    "isdiffpos": 1,
    "magpsf": 14.374372,
    "ndethist": 2,
    "ncovhist": 560,
    "non_detections": 558,
    "redetection_ratio": 1 / 560,
    "ecl_lat": 10.593219,
    "ecl_long": 289.945709,
    "gal_lat": -11.491588,
    "gal_long": 25.816221,
    "elong": 1.152466,
    "fid_g": 0,
    "fid_r": 1,
    "rb": 0.515714,
    "distnr": 0.226499,
    "magnr": 12.645,
}


def make_table(n=1, **values):
    candidate = make_alert()["candidate"] | {"ncovhist": 10, "ndethist": 2} | values
    return pd.DataFrame({f"{name}_1": pd.Series([value] * n) for name, value in candidate.items()})


def value_of(table, name):
    return compute_features(table, alert=1)[0, ALL_FEATURES.index(name)]


@pytest.fixture(scope="module")
def real_table(real_alerts):
    members = iter_members(str(real_alerts), progress=False)
    return pd.DataFrame([p["candidate"] for member in members for p in read_packets(member.data)]).add_suffix("_1")


def test_a_computed_feature_names_its_fields(monkeypatch):
    monkeypatch.setitem(FEATURE_LISTS, "mine", ("magpsf", "depth"))
    with pytest.raises(KeyError, match="_MADE_OF does not name the fields of depth"):
        packet_fields("mine")


def test_lists():
    assert list(FEATURE_LISTS["alerce23"]) == ALERCE
    assert list(FEATURE_LISTS["thesis26"]) == [*ALERCE, "elong", "fid_g", "fid_r"]
    assert set(FEATURE_LISTS["alerce26"]) == {*ALERCE, "rb", "distnr", "magnr"}
    assert set(FEATURE_LISTS["thesis26"]) - set(FEATURE_LISTS["thesis24"]) == {"elong", "non_detections"}
    assert not {"ndethist", "ncovhist", "non_detections"} & set(FEATURE_LISTS["drift_safe"])
    sizes = {
        "alerce23": 23,
        "thesis26": 26,
        "alerce26": 26,
        "thesis24": 24,
        "drift_safe": 24,
        "thesis26_no_coordinates": 20,
        "drift_safe_no_coordinates": 18,
    }
    assert sizes.items() <= {name: len(names) for name, names in FEATURE_LISTS.items()}.items()
    for name in ("thesis26", "drift_safe"):
        left_out = set(FEATURE_LISTS[name]) - set(FEATURE_LISTS[f"{name}_no_coordinates"])
        assert left_out == {"ra", "dec", "ecl_lat", "ecl_long", "gal_lat", "gal_long"}
    for names in FEATURE_LISTS.values():
        assert set(names) <= set(ALL_FEATURES)
        assert len(set(names)) == len(names)


@pytest.mark.parametrize(("name", "size"), [("thesis26", 53), ("thesis24", 49), ("alerce23", 47)])
def test_names_of_two_alerts(name, size):
    names = feature_names_two(name)
    assert len(names) == len(set(names)) == size
    assert (names[0], names[(size - 1) // 2], names[-1]) == ("sgscore1_1", "sgscore1_2", "ln_deltajd")


@pytest.mark.parametrize(
    ("raw", "binary"),
    [
        *(("t", 1), ("T", 1), ("1", 1), ("true", 1), (" True ", 1), (True, 1), (1, 1), (1.0, 1), (np.True_, 1)),
        *(("f", 0), ("F", 0), ("0", 0), ("false", 0), ("FALSE", 0), (False, 0), (0, 0), (0.0, 0), (np.False_, 0)),
    ],
)
def test_isdiffpos_spellings(raw, binary):
    assert value_of(make_table(isdiffpos=raw), "isdiffpos") == binary


@pytest.mark.parametrize("raw", ["yes", "", "nan", 2, -1, "tt"])
def test_other_isdiffpos_is_an_error(raw):
    with pytest.raises(ValueError, match="isdiffpos"):
        compute_features(make_table(isdiffpos=raw), alert=1)


@pytest.mark.parametrize(("fid", "one_hot"), [(1, (1, 0)), (2, (0, 1)), (3, (0, 0)), (None, (0, 0))])
def test_filters(fid, one_hot):
    table = make_table(fid=fid)
    assert (value_of(table, "fid_g"), value_of(table, "fid_r")) == one_hot
    assert count_other_filters(table, alert=1) == (sum(one_hot) == 0)


def test_nulls_stay_nan_and_sentinels_stay():
    table = make_table(sgscore1=None, distpsnr1=-999.0, rb=pd.NA, ncovhist=0)
    assert np.isnan([value_of(table, name) for name in ("sgscore1", "rb", "redetection_ratio")]).all()
    assert value_of(table, "distpsnr1") == -999


def test_absent_field_is_named():
    with pytest.raises(KeyError, match="chinr_1"):
        compute_features(make_table().drop(columns="chinr_1"), alert=1)


def test_no_rows():
    assert compute_features(make_table().iloc[:0], alert=1).shape == (0, len(ALL_FEATURES))


def test_coordinates_are_the_fields_of_the_j2000_ecliptic():
    longitudes = np.linspace(0, 359, 50)
    on_ecliptic = SkyCoord(longitudes, 0, unit="deg", frame="barycentricmeanecliptic").icrs
    angles = sky_coordinates(on_ecliptic.ra.deg, on_ecliptic.dec.deg)
    np.testing.assert_allclose(angles["ecl_lat"], 0, atol=1e-9)
    # the J2000 rotation that PyEphem, hence ALeRCE, applies: obliquity 23.4392911 degrees, nothing else
    ra, dec, tilt = np.radians(on_ecliptic.ra.deg), np.radians(on_ecliptic.dec.deg), np.radians(23.4392911)
    sin_latitude = np.sin(dec) * np.cos(tilt) - np.cos(dec) * np.sin(tilt) * np.sin(ra)
    np.testing.assert_allclose(np.degrees(np.arcsin(sin_latitude)), angles["ecl_lat"], atol=0.1 / 3600)


def test_ln_deltajd_has_a_floor():
    np.testing.assert_allclose(ln_deltajd([0, 1e-9, 1e-4, 1, 100]), np.log([1e-4, 1e-4, 1e-4, 1, 100]), rtol=1e-6)


# --- scaler

finite = st.floats(-1000, 1000, width=32)
features = hnp.arrays(np.float32, st.tuples(st.integers(2, 9), st.just(len(ALL_FEATURES))), elements=finite)


@settings(max_examples=30, deadline=None)
@given(features, st.sampled_from(sorted(FEATURE_LISTS)))
def test_scaled_training_set_has_mean_0_and_std_1_or_0(raw, list_name):
    scaled = Scaler.fit(raw, raw, ln_deltajd([1.0, 2.0])).transform(raw, 1, list_name).astype(np.float64)
    columns = raw[:, [ALL_FEATURES.index(name) for name in FEATURE_LISTS[list_name]]]
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(scaled.std(axis=0), np.ptp(columns, axis=0) > 0, atol=1e-4)


def random_features(seed, n=60):
    raw = np.random.default_rng(seed).normal(50, 900, (n, len(ALL_FEATURES))).astype(np.float32)
    raw[::7, 3] = np.nan
    return raw


@pytest.mark.parametrize("recipe", ["thesis", "alerce"])
def test_round_trip_is_exact(tmp_path, recipe):
    first, second = random_features(1), random_features(2)
    scaler = Scaler.fit(first, second, ln_deltajd(np.arange(60)), recipe)
    scaler.save(tmp_path / "scaler.json")
    loaded = Scaler.load(tmp_path / "scaler.json")
    assert [path.name for path in tmp_path.iterdir()] == ["scaler.json"]
    for alert, raw in ((1, first), (2, second)):
        np.testing.assert_array_equal(
            loaded.transform(raw, alert, "thesis26"), scaler.transform(raw, alert, "thesis26")
        )
    np.testing.assert_array_equal(loaded.transform_deltajd([[0.5]]), scaler.transform_deltajd([[0.5]]))
    assert loaded.transform(first, 1, "alerce23").dtype == np.float32
    assert not np.array_equal(scaler.mean[0], scaler.mean[1])


def test_a_scaler_is_read_after_a_feature_was_added(tmp_path):
    path, raw = tmp_path / "scaler.json", random_features(1)
    scaler = Scaler.fit(raw, random_features(2), ln_deltajd([1, 2]))
    scaler.save(path)
    loaded = Scaler.load(path, names=(*ALL_FEATURES, "depth"))
    with_depth = np.column_stack([raw, np.ones(len(raw))])
    np.testing.assert_array_equal(
        loaded.transform(with_depth, 1, "thesis26"), scaler.transform(raw, 1, "thesis26"), strict=True
    )


def test_other_names_are_refused(tmp_path):
    path = tmp_path / "scaler.json"
    Scaler.fit(random_features(1), random_features(2), ln_deltajd([1, 2])).save(path)
    with pytest.raises(ValueError, match="elong"):
        Scaler.load(path, names=[name for name in ALL_FEATURES if name != "elong"])
    with pytest.raises(ValueError, match="order"):
        Scaler.load(path, names=ALL_FEATURES[::-1])
    path.write_text(json.dumps(json.loads(path.read_text()) | {"names": ["sgscore9"]}))
    with pytest.raises(ValueError, match="sgscore9"):
        Scaler.load(path)


def test_recipes_differ_by_the_clips_alone():
    raw = random_features(4)
    clipped = raw.copy()
    for name, (low, high) in _CLIPS.items():
        clipped[:, ALL_FEATURES.index(name)] = clipped[:, ALL_FEATURES.index(name)].clip(low, high)
    days = ln_deltajd(np.arange(60))
    np.testing.assert_array_equal(
        Scaler.fit(raw, raw, days, "alerce").transform(raw, 1, "thesis26"),
        Scaler.fit(clipped, clipped, days, "thesis").transform(clipped, 1, "thesis26"),
    )


def test_nan_is_zero_before_standardising():
    raw = random_features(4)
    zero = np.nan_to_num(raw)
    scaler = Scaler.fit(raw, raw, ln_deltajd(np.arange(60)))
    np.testing.assert_array_equal(scaler.transform(raw, 1, "thesis26"), scaler.transform(zero, 1, "thesis26"))
    np.testing.assert_allclose(scaler.mean[0], zero.astype(np.float64).mean(axis=0))


def test_unknown_recipe():
    with pytest.raises(ValueError, match="robust"):
        Scaler.fit(random_features(1), random_features(1), [0.0, 1.0], "robust")


# --- real packets


def test_golden_packet(real_table):
    row = real_table[real_table["candid_1"] == 975188141815015112]
    values = dict(zip(ALL_FEATURES, compute_features(row, 1)[0].tolist(), strict=True))
    assert {name: values[name] for name in GOLDEN} == pytest.approx(GOLDEN, rel=1e-5)


def test_every_real_packet_has_every_feature(real_table):
    raw = compute_features(real_table, alert=1)
    assert raw.shape == (len(real_table), len(ALL_FEATURES))
    assert np.isfinite(raw).all()
    assert count_other_filters(real_table, alert=1) == 0
    assert len(PACKET_FIELDS) == 18 + 5  # Table 3.2's, then elong, rb, distnr, magnr, fid
    np.testing.assert_array_equal(
        raw[:, ALL_FEATURES.index("non_detections")], real_table["ncovhist_1"] - real_table["ndethist_1"]
    )


def test_no_scaler_holds_what_is_not_finite():
    features = np.ones((6, len(ALL_FEATURES)))
    features[:5] = np.array([np.inf, -np.inf, np.nan, 3e38, -999.0])[:, None]
    for recipe in ("thesis", "alerce"):
        scaler = Scaler.fit(features, features, [np.nan, np.inf, 0, 1, 2, 3], recipe)
        assert np.isfinite(scaler.mean).all()
        assert np.isfinite(scaler.std).all()
        assert np.isfinite(scaler.deltajd).all()
        assert np.isfinite(scaler.transform(features, 1, "thesis26")).all()
    with pytest.raises(ValueError, match="not finite"):
        dataclasses.replace(scaler, mean=scaler.mean * np.inf)


@pytest.mark.parametrize("raw", [np.inf, -np.inf, 1e300, "junk", None])
def test_what_is_not_finite_is_missing(raw):
    assert np.isnan(value_of(make_table(magnr=raw, dec=raw), "magnr"))
    assert np.isnan(value_of(make_table(dec=raw), "gal_lat"))
